"""The two modalities, and what BIDS calls the things that belong to each."""

from __future__ import annotations

import enum


class Modality(enum.StrEnum):
    """One of the pair. Code iterates over this class instead of having a branch per modality.

    >>> Modality.BOLD.other
    <Modality.DWI: 'dwi'>
    >>> Modality.DWI.mean_suffix, Modality.BOLD.datatype
    ('trace', 'func')
    """

    BOLD = "bold"
    DWI = "dwi"

    @property
    def other(self) -> Modality:
        """The modality this one is synthesised from."""
        return Modality.DWI if self is Modality.BOLD else Modality.BOLD

    @property
    def datatype(self) -> str:
        """BIDS data type: the folder below the subject."""
        return {"bold": "func", "dwi": "dwi"}[self.value]

    @property
    def mean_suffix(self) -> str:
        """BIDS suffix of the 3D mean volume (never `bold` or `dwi`, which promise a 4D series)."""
        return {"bold": "boldref", "dwi": "trace"}[self.value]

    @property
    def full_name(self) -> str:
        """What people call it."""
        return {"bold": "mean fMRI (BOLD)", "dwi": "mean dMRI (trace)"}[self.value]
