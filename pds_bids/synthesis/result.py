"""What synthesis makes: the volume, what is known of its error, and a record of how it was made."""

from __future__ import annotations

from dataclasses import dataclass

from pds_bids.core.modality import Modality
from pds_bids.core.volume import Volume


@dataclass(frozen=True)
class SynthesisRecord:
    """How a volume was made: what its sidecar says. `steps` are those of each draw, None without draws."""

    model: str
    model_version: str
    weights_sha256: str
    training_data: str
    source: Modality
    target: Modality
    t1w_context: bool
    num_samples: int
    steps: int | None
    seed: int
    device: str


@dataclass(frozen=True)
class Draws:
    """Samples of the diffusion model, in relative units on the model grid; one alone has no sd."""

    volumes: tuple[Volume, ...]
    mean: Volume
    sd: Volume | None


@dataclass(frozen=True)
class Synthesised:
    """The missing volume on the model grid.

    Attributes
    ----------
    volume
        Point estimate in units of the brain's median, [0, 2]; zero outside the mask.
    sd
        Calibrated standard deviation of its error, same units.
    draws
        None unless samples were asked for.
    outlier_score
        How unlike the training scans the source is; about 1 for one of them.
    outlier_limit
        The score that few calibration scans exceed.
    record
        How it was made.
    """

    volume: Volume
    sd: Volume
    draws: Draws | None
    outlier_score: float
    outlier_limit: float
    record: SynthesisRecord
