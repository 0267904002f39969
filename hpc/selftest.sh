#!/usr/bin/env bash
# selftest.sh [STEP...]: builds the image and runs it every way that the documentation names, then an array on a real
# Slurm and a Dask cluster on it; ends with 'N passed, N failed, N skipped'. Needs root on Debian 12, and pds-bids with its
# extra `hpc` on the PATH. It takes half an hour on two cores. Steps: image sif wrapper api slurm dask.
#
#   SHARED=../shared               folder with the tools and the data of development; by default beside the checkout
#   WORK=/tmp/pds-bids-selftest    outputs and logs; kept, for a look
#   BUILD_ARGS="--build-arg ..."   more arguments for the build; by default torch comes from pip's own sources
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
shared=$(realpath -m "${SHARED:-$root/../shared}")
tools=$shared/tools data=$shared/data/bids_single
work=${WORK:-/tmp/pds-bids-selftest}
# Where container-test.sh puts its configuration of podman, which the wrapper's podman needs as well.
export CONTAINER_TEST_DIR=$work/podman CONTAINERS_CONF=$work/podman/containers.conf
image=localhost/pds-bids sif=$work/pds-bids.sif
some=(--participant-label d03 b04 --sloppy --omp-nthreads 1)
n_passed=0 n_failed=0 n_skipped=0
mkdir -p "$work"

check() { # NAME COMMAND...
  local name=$1 log=$work/$1.log start=$SECONDS
  shift
  if "$@" >"$log" 2>&1; then
    n_passed=$((n_passed + 1))
    echo "passed  $name ($((SECONDS - start)) s)"
  else
    n_failed=$((n_failed + 1))
    echo "FAILED  $name ($((SECONDS - start)) s): $log"
    tail -n 5 "$log"
  fi
}

skip() { # WHAT WHY
  n_skipped=$((n_skipped + 1))
  echo "SKIPPED $1: $2"
}

out() { # an empty folder that any user may write to
  rm -rf "${work:?}/$1" && mkdir "$work/$1" && chmod 777 "$work/$1" && echo "$work/$1"
}

# One volume synthesised for each of the two participants, in two spaces, and its uncertainty.
made_all() { [ "$(find "$1" -name '*_desc-synth*.nii.gz' | wc -l)" = 8 ]; }

in_image() { # HOW FOLDER OPTIONS...: a run, what it made, and a second run that repeats nothing
  local how=$1 folder=$2
  shift 2
  "$tools/container-test.sh" "$how" "$image" "$@" -- /data /out participant "${some[@]}" && made_all "$folder" &&
    "$tools/container-test.sh" "$how" "$image" "$@" -- /data /out participant "${some[@]}" | grep -q '2 already-complete'
}

podman_ready() { "$tools/container-test.sh" setup && "$tools/container-test.sh" bases; }

run_image() {
  check podman podman_ready
  # shellcheck disable=SC2086  # several arguments
  check build "$tools/container-test.sh" build "$root" "$image" --build-arg VERSION=selftest \
    ${BUILD_ARGS:---build-arg PIP_EXTRA_INDEX_URL=}
  local to
  to=$(out run) && check run in_image run "$to" -v "$data:/data:ro" -v "$to:/out"
  to=$(out locked) && check locked in_image locked "$to" -v "$data:/data:ro" -v "$to:/out"
  to=$(out stand-in) && check apptainer-stand-in in_image apptainer "$to" --containall --net-none \
    -B "$data:/data:ro" -B "$to:/out"
}

in_apptainer() { # FOLDER
  "$tools/apptainer-real.sh" user run --containall --cleanenv -B "$data:/data:ro" -B "$1:/out" \
    "$sif" /data /out participant "${some[@]}" && made_all "$1"
}

run_sif() {
  check sif "$tools/apptainer-real.sh" sif "$image" "$sif"
  local to
  to=$(out apptainer) && check apptainer in_apptainer "$to"
}

in_wrapper() { # FOLDER
  pds-bids-docker "$data" "$1" participant "${some[@]}" --engine podman --image "$image" && made_all "$1"
}

run_wrapper() {
  local to
  to=$(out wrapper) && check wrapper in_wrapper "$to"
}

# Docker's own client, which talks to podman through the API that both have.
in_api() { # FOLDER
  local socket=$work/podman.sock service code=0
  podman system service --time=0 "unix://$socket" &
  service=$!
  for _ in {1..50}; do [ -S "$socket" ] && break; sleep 0.2; done
  DOCKER_HOST=unix://$socket pds-bids-docker "$data" "$1" participant "${some[@]}" --engine docker --image "$image" &&
    made_all "$1" || code=1
  kill "$service"
  return "$code"
}

run_api() {
  if ! command -v docker >/dev/null; then
    skip api "no docker client on the PATH (Debian: docker.io)"
    return
  fi
  local to
  to=$(out api) && check api in_api "$to"
}

running() { [ -n "$(squeue --noheader --states=RUNNING --jobs="$1" 2>/dev/null)" ]; }
ended() { [ -z "$(squeue --noheader --jobs="$1" 2>/dev/null)" ]; }

until_it_is() { # STATE JOBS: for at most half an hour
  local _
  for _ in {1..900}; do
    "$@" && return 0
    sleep 2
  done
  return 1
}

simulated() { # STUDY
  [ -d "$1" ] || pds-model simulate "$1" --n-subjects 8 --no-t1w --missing 1 --sites oasis --groups nc
}

# Eight simulated participants on a real Slurm. The first task is put back while it runs, as after preemption, and Slurm
# starts it again; the third is killed, and a second call of submit.sh submits it and nothing else.
array() {
  local study=$work/study to job group
  simulated "$study" || return
  to=$(out slurm)
  { read -r job && read -r group; } < <("$root/hpc/submit.sh" "$study" "$to" --sloppy)
  until_it_is running "${job}_1" && sleep 15 && scontrol requeue "${job}_1" || return
  until_it_is running "${job}_3" && sleep 15 && scancel --signal=KILL --full "${job}_3" || return
  until_it_is ended "$job,$group" || return
  cat "$to/group_synthesis.tsv"
  [ "$(done_in "$to")" = 7 ] && grep -q interrupted "$to/group_synthesis.tsv" || return

  { read -r job && read -r group; } < <("$root/hpc/submit.sh" "$study" "$to" --sloppy)
  until_it_is ended "$job,$group" || return
  cat "$to/group_synthesis.tsv" "$to"/logs/slurm-*/*
  [ "$(done_in "$to")" = 8 ] && [ "$(cat "$to"/logs/slurm-*/participants-*.txt | wc -l)" = 9 ]
}

done_in() { grep -c $'\tcomplete\t' "$1/group_synthesis.tsv"; }

# The same eight on two Dask workers, which are jobs of that Slurm. One is killed in the midst of a visit.
on_dask() {
  local study=$work/study to run
  simulated "$study" || return
  to=$(out dask)
  DASK_JOBQUEUE__SLURM__INTERFACE=lo DASK_TEMPORARY_DIRECTORY=$work python "$root/hpc/dask_slurm.py" 2 "$study" "$to" --sloppy &
  run=$!
  until_it_is began "$to" 3 && scancel --signal=KILL --full "$(squeue --noheader --states=RUNNING --format=%i | head -n 1)"
  wait "$run" || return
  pds-bids "$study" "$to" group && cat "$to/group_synthesis.tsv" && [ "$(done_in "$to")" = 8 ]
}

began() { [ "$(find "$1" -path '*/log/lock' | wc -l)" -ge "$2" ]; } # FOLDER VISITS

with_slurm() { # NAME COMMAND
  local state=$work/slurm-state
  if ! "$tools/slurm-up.sh" up "$state" >"$work/slurm-up.log" 2>&1; then
    skip "$1" "no Slurm could be started: $work/slurm-up.log"
    return
  fi
  eval "$("$tools/slurm-up.sh" env "$state")"
  check "$@"
  "$tools/slurm-up.sh" down "$state"
}

run_slurm() { with_slurm slurm array; }

run_dask() {
  if python -c "import dask_jobqueue" 2>/dev/null; then
    with_slurm dask on_dask
  else
    skip dask "needs Dask: pip install 'pds-bids[hpc]'"
  fi
}

[ $# -gt 0 ] || set -- image sif wrapper api slurm dask
if [ ! -x "$tools/container-test.sh" ]; then
  skip "$*" "needs the tools, absent here: $tools"
  set --
fi
for step; do
  "run_$step"
done
echo "$n_passed passed, $n_failed failed, $n_skipped skipped"
[ "$n_failed" = 0 ]
