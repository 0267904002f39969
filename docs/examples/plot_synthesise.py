"""
One image in, one volume out
============================

A simulated person has an fMRI (BOLD) series and no dMRI: what would the trace image look like?
"""

import subprocess
import tempfile
from pathlib import Path

from pds_bids import synthesise

# %%
# A person to try it on. ``pds-model simulate`` needs no data: it scans a body made from the ICBM template.

study = Path(tempfile.mkdtemp()) / "study"
simulate = ["pds-model", "simulate", str(study), "--n-subjects", "1", "--sites", "oasis", "--missing", "0"]
subprocess.run(simulate, check=True, capture_output=True)
(bold,) = study.glob("sub-*/func/*_bold.nii.gz")
(t1w,) = study.glob("sub-*/anat/*_T1w.nii.gz")

# %%
# Registration, intensity scaling, networks and the way back to the grid of the series, as in the command.

trace = synthesise(bold, t1w=t1w)
trace.plot()

# %%
# The volume is **synthetic** and says so wherever it goes. May it be believed? A score says how unlike the
# training scans its source is.

{name: trace.sidecar["Synthesis"][f"out_of_distribution_{name}"] for name in ("score", "limit")}

# %%
# And it brings its own uncertainty, in its own units:

trace.plot_sd()
