"""The whole way between native space and atlas as files that other programs read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pds_bids.prep.conversion import write_matrix
from pds_bids.prep.engine import write_composite
from pds_bids.prep.failures import failures_of
from pds_bids.prep.registration import Alignment
from pds_bids.prep.scratch import scratch_folder


def write_transforms(alignment: Alignment, forward_h5: Path, inverse_h5: Path) -> None:
    """Write the whole way between native space and atlas as two ITK composites.

    Parameters
    ----------
    forward_h5
        `antsApplyTransforms -i native -r atlas -t FORWARD` carries an image from native space to the atlas.
    inverse_h5
        `antsApplyTransforms -i atlas -r native -t INVERSE` carries it back.

    Raises
    ------
    TemporaryError
        If the disk is full.
    """
    with failures_of(forward_h5), scratch_folder() as folder:
        backward = write_matrix(np.linalg.inv(alignment.to_model), folder / "backward.mat")
        forward = write_matrix(alignment.to_model, folder / "forward.mat")
        # Resampling maps points the other way than images: the forward file starts from atlas points.
        write_composite([*alignment.syn, backward], forward_h5)
        write_composite([forward, *alignment.syn_inverse], inverse_h5)
