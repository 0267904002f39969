"""The way to the template through the subject's T1w image, where there is one."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pds_bids.core.config import PrepConfig
from pds_bids.core.volume import MODEL_GRID, MODEL_SPACE, Volume
from pds_bids.prep.atlas import template, template_mask
from pds_bids.prep.bias import correct_bias
from pds_bids.prep.conversion import Matrix
from pds_bids.prep.engine import AFFINE, FINE_AFFINE, RIGID, estimate_linear, schedule
from pds_bids.prep.masking import grow
from pds_bids.prep.quality import MIN_COVERAGE, filled_grid
from pds_bids.prep.resampling import coarsen, field_of_view, part_seen, resample

WORKING_MM = 2.0

RIM_MM = 2.0
"""The metric looks this far beyond the brain: far enough to see its edge, too near to see the skull."""

NEIGHBOURHOOD_MM = 16.0
"""Of the local correlation (standard deviation): finer than a bias field or an atrophied lobe."""

GOOD_CORRELATION = 0.45
MIN_CORRELATION = 0.30
"""Local correlation of a T1w image with the template inside its brain. At the right place a real head gave
0.66, and simulated ones 0.50 (strong bias field) and 0.37 (ventricles of 270 ml); 10 mm off it was 0.22."""


DARK = 0.02
"""Of the bright end of a T1w brain: there is nothing below but the ripples of an interpolation."""


class ThroughT1w(NamedTuple):
    """The two ways that one registration by the T1w image yields, (4, 4) world -> model world each."""

    source: Matrix
    t1w: Matrix


def affine_through_t1w(
    reference: Volume, mask: Volume, t1w: Volume, direct: Matrix, config: PrepConfig
) -> ThroughT1w | None:
    """Source -> T1w (6 parameters), then T1w -> template (12 parameters).

    The affine then rests on undistorted anatomy with the template's own contrast. No skull is stripped from
    the T1w image: masks on the side of the source and of the template keep the scalp out of the metric.

    Parameters
    ----------
    reference, mask
        The source and its refined brain mask, native grid.
    t1w
        Whole head.
    direct
        (4, 4) affine of the source straight to the template: where the search begins.

    Returns
    -------
    ThroughT1w or None
        None where the images could not be brought together.
    """
    head = coarsen(t1w, WORKING_MM)
    to_source = _head_to_source(reference, mask, head, direct, config)
    if to_source is None:
        return None
    brain = resample(mask, head.grid, np.linalg.inv(to_source), "nearest", space=head.space)
    flat = correct_bias(head, brain, config)
    rim = grow(template_mask(), RIM_MM)
    stages = schedule(config, AFFINE, FINE_AFFINE)
    to_model = estimate_linear(template(), flat, stages, config, start=direct @ to_source, fixed_mask=rim)
    return ThroughT1w(to_model @ np.linalg.inv(to_source), to_model)


def t1w_context(t1w: Volume, to_model: Matrix, model_mask: Volume, config: PrepConfig) -> Volume | None:
    """The T1w image as the networks see it: on the model grid in one resampling, its bias field removed.

    Parameters
    ----------
    t1w
        Whole head.
    to_model
        (4, 4) T1w world -> model world.
    model_mask
        Brain of the source on `MODEL_GRID`.

    Returns
    -------
    Volume or None
        Masked, scanner units, >= 0; None where the image covers too little of the brain or is mostly dark.
    """
    from scipy import ndimage

    seen = field_of_view(filled_grid(t1w), MODEL_GRID, to_model)
    if seen[model_mask.data > 0].mean() < MIN_COVERAGE:
        return None
    head = part_seen(t1w, MODEL_GRID, to_model)
    # What the mean over the larger voxel would blur: (2^2 - s^2) / 12 mm^2, the difference of two boxes.
    voxel_mm = head.grid.voxel_mm
    sigma = np.sqrt((MODEL_GRID.voxel_mm**2 - voxel_mm**2).clip(0) / 12) / voxel_mm
    smooth = head.like(ndimage.gaussian_filter(head.data, sigma))
    moved = resample(smooth, MODEL_GRID, to_model, "bspline", space=MODEL_SPACE)
    masked = model_mask.like(moved.data.clip(0) * model_mask.data)
    brain = masked.data[model_mask.data > 0]
    if np.mean(brain > DARK * np.percentile(brain, 95)) < MIN_COVERAGE:
        return None
    return correct_bias(masked, model_mask, config)


def _head_to_source(
    reference: Volume, mask: Volume, head: Volume, direct: Matrix, config: PrepConfig
) -> Matrix | None:
    """Rigid transform of a whole head to the source, from the better of two starts."""
    found: list[tuple[float, Matrix]] = []
    # One visit usually shares one scanner frame (identity); images brought from elsewhere may not.
    for start in (np.eye(4), None):
        matrix = estimate_linear(
            reference, head, schedule(config, RIGID), config, start=start, fixed_mask=grow(mask, 2 * RIM_MM)
        )
        found.append((local_correlation(head, direct @ matrix), matrix))
        if found[-1][0] > GOOD_CORRELATION:
            break
    correlation, matrix = max(found, key=lambda pair: pair[0])
    return matrix if correlation > MIN_CORRELATION else None


def local_correlation(head: Volume, to_model: Matrix) -> float:
    """Local correlation with the template inside its brain: both are T1-weighted.

    Bias fields and the sheer size of ventricles change no local contrast, so that they do not count against
    a head in the right place.
    """
    inside = template_mask().data > 0
    moved = resample(head, MODEL_GRID, to_model, space=MODEL_SPACE).data
    return float(np.mean((_local_contrast(moved, inside) * _template_contrast())[inside]))


@cache
def _template_contrast() -> NDArray[np.float64]:
    return _local_contrast(template().data, template_mask().data > 0)


def _local_contrast(image: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(X, Y, Z) deviation from the mean of the neighbourhood, in its standard deviations.

    All in all of mean 0 and variance 1 inside; zero where the image is flat.
    """
    from scipy import ndimage

    sigma = NEIGHBOURHOOD_MM / MODEL_GRID.voxel_mm

    def smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
        within: NDArray[np.float64] = ndimage.gaussian_filter(values * inside, sigma) / weight
        return within

    weight = ndimage.gaussian_filter(inside.astype(np.float64), sigma) + 1e-6
    deviation = image - smooth(image.astype(np.float64))
    contrast = deviation / (np.sqrt(smooth(deviation**2)) + 1e-6 * (1 + np.abs(image).max()))
    centred: NDArray[np.float64] = contrast - contrast[inside].mean()
    return centred / max(float(centred[inside].std()), 1e-6)
