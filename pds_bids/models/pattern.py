"""What the pattern-aware loss knows of each ROI, as it travels in a checkpoint: vectors, not volumes."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pds_bids.core.modality import Modality
from pds_bids.core.rois import RoiAtlas, RoiGroup
from pds_bids.core.volume import MODEL_GRID

DIGITS = 4

CONTEXT_GROUPS = (RoiGroup.LIMBIC, RoiGroup.SUBCORTICAL, RoiGroup.VENTRICULAR)

N_PLACES = len(Modality) + 1 + len(CONTEXT_GROUPS)
"""Maps that `PatternValues.places` gives."""


@dataclass(frozen=True)
class PatternValues:
    """Effects per ROI, estimated from training subjects.

    Attributes
    ----------
    atlas
        The R ROIs.
    d_MR
        (M, R) Cohen's d of patients against controls by `Modality`, shrunk and clipped; 0 without labels.
    rho_R
        (R,) partial correlation of the modalities, shrunk and clipped.
    n_pairs, n_controls, n_patients
        What they were estimated from.
    """

    atlas: RoiAtlas
    d_MR: NDArray[np.float64]
    rho_R: NDArray[np.float64]
    n_pairs: int
    n_controls: int
    n_patients: int

    def places(self) -> NDArray[np.float32]:
        """(`N_PLACES`, X, Y, Z) on `MODEL_GRID`: |d| of each modality, rho, membership of `CONTEXT_GROUPS`.

        What a network is told of a place, the same for everybody: 0 outside the ROIs.
        """
        belongs = [[own is group for own in self.atlas.groups] for group in CONTEXT_GROUPS]
        return self.atlas.painted(np.concatenate([np.abs(self.d_MR), self.rho_R[None], belongs]), MODEL_GRID)

    def to_json(self) -> str:
        """As text, with `DIGITS` decimals."""
        return json.dumps(
            {
                "names": self.atlas.names,
                "centres_mm": self.atlas.centres_mm.round(DIGITS).tolist(),
                "radii_mm": self.atlas.radii_mm.round(DIGITS).tolist(),
                "groups": self.atlas.groups,
                "d": self.d_MR.round(DIGITS).tolist(),
                "rho": self.rho_R.round(DIGITS).tolist(),
                "n_pairs": self.n_pairs,
                "n_controls": self.n_controls,
                "n_patients": self.n_patients,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> PatternValues:
        """From what `to_json` wrote.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it is something else.
        """
        read = json.loads(text)
        centres, radii = np.array(read["centres_mm"], float), np.array(read["radii_mm"], float)
        d, rho = np.array(read["d"], float), np.array(read["rho"], float)
        n = len(read["names"])
        groups = tuple(RoiGroup(group) for group in read["groups"])
        if (len(groups), centres.shape, radii.shape, d.shape[1:], rho.shape) != (n, (n, 3), (n,), (n,), (n,)):
            raise ValueError(f"the pattern is not of {n} ROIs throughout")
        counts = (int(read[name]) for name in ("n_pairs", "n_controls", "n_patients"))
        return cls(RoiAtlas(tuple(read["names"]), centres, radii, groups), d, rho, *counts)
