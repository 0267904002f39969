#!/usr/bin/env bash
# submit.sh BIDS_DIR OUTPUT_DIR [OPTIONS OF PDS-BIDS...]
#
# Submits a Slurm array with one task for every participant still to do, and the group level after it.
# Run it again after a time limit, a dead node or a failure: only what is missing is submitted.
#
#   PDS_BIDS_IMAGE=/path/pds-bids.sif   run that image with Apptainer; by default the pds-bids on the PATH
#   PDS_BIDS_AT_ONCE=50                 tasks that may run at the same time; by default as many as fit
#   SBATCH_ACCOUNT, SBATCH_PARTITION, SBATCH_TIMELIMIT, ...   as sbatch reads them; they win over participant.sbatch
#
# Lists and logs of the tasks go to OUTPUT_DIR/logs/slurm-TIME; the job numbers are printed, the group's last.
set -euo pipefail

if [ $# -lt 2 ]; then
  sed -n '2,12s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bids=$(realpath "$1") out=$(realpath -m "$2")
shift 2

# What is to be done decides pds-bids, which knows what is complete.
to_do=$("$here/pds-bids.sh" "$bids" "$out" participant "$@" --dry-run --format list)
if [ -z "$to_do" ]; then
  echo "nothing to do" >&2
  exit 0
fi
logs=$out/logs/slurm-$(date -u +%Y%m%d-%H%M%S)-$$
mkdir -p "$logs"
# A cluster's limit on the size of an array (1001 unless it was changed) is one more than its highest index.
limit=$(scontrol show config | awk '$1 == "MaxArraySize" { print $3 - 1 }')
split --lines="${limit:-1000}" --numeric-suffixes=1 --additional-suffix=.txt - "$logs/participants-" <<<"$to_do"

arrays=()
for list in "$logs"/participants-*.txt; do
  arrays+=("$(sbatch --parsable --array="1-$(wc -l <"$list")${PDS_BIDS_AT_ONCE:+%$PDS_BIDS_AT_ONCE}" \
    --output="$logs/%A_%a.log" "$here/participant.sbatch" "$here/pds-bids.sh" "$list" "$bids" "$out" "$@")")
done
# afterany: the group level tells who failed, too.
group=$(sbatch --parsable --job-name=pds-bids-group --output="$logs/group.log" --mem=2G \
  --dependency="afterany$(printf ':%s' "${arrays[@]%%;*}")" "$here/pds-bids.sh" "$bids" "$out" group)
printf '%s\n' "${arrays[@]}" "$group"
