"""The participants on a Dask cluster whose workers are Slurm jobs.

    dask_slurm.py JOBS BIDS_DIR OUTPUT_DIR [OPTIONS OF PDS-BIDS...]

JOBS workers of one CPU each. A job that dies, or whose time is over, is submitted again; what it was doing
is done by another. Account, partition, walltime (30 minutes), memory (2 GB) and network interface come from
~/.config/dask/jobqueue.yaml, or from DASK_JOBQUEUE__SLURM__ACCOUNT, ...__QUEUE, ...__WALLTIME and so on.
"""

import subprocess
import sys

import dask
from dask_jobqueue import SLURMCluster


def main(jobs: str, *args: str) -> int:
    """The exit code of pds-bids."""
    # A worker in the midst of a registration answers nobody; that it died is seen from its connection.
    dask.config.set({"distributed.scheduler.worker-ttl": None})
    memory = dask.config.get("jobqueue.slurm.memory", None) or "2GB"
    with SLURMCluster(
        cores=1,
        processes=1,
        memory=memory,
        log_directory=f"{args[1]}/logs/dask",
        scheduler_options={"dashboard": False},  # one port less that is open to others
    ) as cluster:
        cluster.adapt(minimum_jobs=int(jobs), maximum_jobs=int(jobs))
        command = [sys.executable, "-m", "pds_bids", *args[:2], "participant", *args[2:]]
        with subprocess.Popen([*command, "--scheduler", cluster.scheduler_address]) as run:
            try:
                return run.wait()
            except KeyboardInterrupt:  # which the run has received, too; its workers stay until it ends
                return run.wait()


if __name__ == "__main__":  # workers import this file
    if len(sys.argv) < 4 or not sys.argv[1].isdigit():
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
