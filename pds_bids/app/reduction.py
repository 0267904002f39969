"""The acquired series of a visit, or what another pipeline made of it, as one mean volume."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pds_bids.bids.sources import Series
from pds_bids.core.config import PrepConfig
from pds_bids.core.errors import ParticipantError
from pds_bids.core.modality import Modality
from pds_bids.prep.diffusion import reduce_dwi
from pds_bids.prep.functional import reduce_bold
from pds_bids.prep.reduced import Choose, Reduced
from pds_bids.prep.reference import load_reference


def _reduce_bold(series: Series, config: PrepConfig, choose: Choose) -> Reduced:
    return reduce_bold(series.path, series.metadata, config, choose)


def _reduce_dwi(series: Series, config: PrepConfig, choose: Choose) -> Reduced:
    if series.bval is None or series.bvec is None:
        raise ParticipantError(series.path, "has no gradient table", "add .bval and .bvec beside it")
    return reduce_dwi(series.path, series.bval, series.bvec, config, choose)


REDUCE: Mapping[Modality, Callable[[Series, PrepConfig, Choose], Reduced]] = {
    Modality.BOLD: _reduce_bold,
    Modality.DWI: _reduce_dwi,
}


def reduce_series(series: Series, config: PrepConfig, choose: Choose = list) -> Reduced:
    """Average a series, unless another pipeline has done so.

    Parameters
    ----------
    choose
        Which of the usable volumes are averaged: by default all of them.

    Raises
    ------
    ParticipantError
        If a file is broken, or a diffusion series has no gradient table.
    """
    if series.reused is None or not series.reused.is_reference:
        return REDUCE[series.modality](series, config, choose)
    facts = {"modality": series.modality.value, "reused_from": series.reused.dataset}
    return load_reference(series.path, series.reused.mask, facts, config)
