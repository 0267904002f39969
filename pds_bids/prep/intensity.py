"""Relative intensities: the brain's median is 1, twice the median is the top."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pds_bids.core.volume import Volume

TOP = 2.0


@dataclass(frozen=True)
class IntensityScale:
    """Scanner units -> [-1, 1].

    The median, not a high percentile: bright CSF and vessels move the top of the histogram, not its middle.

    Attributes
    ----------
    median
        Of the volume inside its brain mask, scanner units, > 0.

    Examples
    --------
    >>> volume = Volume(np.full((2, 2, 2), 300, "float32"), np.eye(4))
    >>> scale = IntensityScale.fit(volume, volume.like(np.ones((2, 2, 2))))
    >>> scale.apply(volume).data.max()
    np.float32(0.0)
    """

    median: float

    @classmethod
    def fit(cls, volume: Volume, mask: Volume) -> IntensityScale:
        """The scale of a volume, measured inside a mask that comes from the source.

        Raises
        ------
        GridMismatch
            If the two do not share a grid.
        ValueError
            If the mask is empty or the median inside it is not positive.
        """
        volume.require(mask)
        inside = volume.data[mask.data > 0]
        if inside.size == 0 or not np.median(inside) > 0:
            raise ValueError("no positive signal inside the mask")
        return cls(float(np.median(inside)))

    def relative(self, volume: Volume) -> Volume:
        """Scanner units -> relative units, clipped to [0, 2]."""
        return volume.like((volume.data / np.float32(self.median)).clip(0.0, TOP))

    def apply(self, volume: Volume) -> Volume:
        """Scanner units -> [-1, 1]: what the networks see."""
        relative = self.relative(volume)
        return relative.like(to_network(relative.data))


def to_network(relative: np.ndarray) -> np.ndarray:
    """[0, 2] -> [-1, 1]."""
    return relative * (2.0 / TOP) - 1.0
