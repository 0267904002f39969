#!/usr/bin/env bash
# pds-bids.sh BIDS_DIR OUTPUT_DIR LEVEL [OPTIONS...]: pds-bids itself, or, where PDS_BIDS_IMAGE names one, its image
# in Apptainer (APPTAINER names another program, e.g. singularity). Folders keep their places in the container.
# PDS_BIDS_BIND=/models,/scratch: further folders that the options name.
set -euo pipefail
[ -n "${PDS_BIDS_IMAGE:-}" ] || exec pds-bids "$@"

bids=$(realpath "$1") out=$(realpath -m "$2")
shift 2
mkdir -p "$out"
# --containall: /tmp is in memory there, so the node's own scratch is bound over it.
scratch=${SLURM_TMPDIR:-${TMPDIR:-/tmp}}
exec "${APPTAINER:-apptainer}" run --containall --cleanenv --bind "$bids:$bids:ro" --bind "$out:$out" \
  --bind "$scratch:/tmp" ${PDS_BIDS_BIND:+--bind "$PDS_BIDS_BIND"} ${PDS_BIDS_GPU:+--nv} "$PDS_BIDS_IMAGE" "$bids" "$out" "$@"
