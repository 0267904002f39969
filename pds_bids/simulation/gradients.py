"""Diffusion gradients: well-spread directions, and how BIDS writes them down."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))


def gradient_directions(n: int) -> NDArray[np.float64]:
    """(n, 3) unit vectors that, taken with their opposites, cover the sphere evenly.

    A golden spiral on the hemisphere; every second one is reversed, so that both halves are used.
    """
    height = (np.arange(n) + 0.5) / n
    radius, angle = np.sqrt(1 - height**2), np.arange(n) * GOLDEN_ANGLE
    directions = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)
    directions[1::2] *= -1
    return directions


def bvecs_of(gradients: NDArray[np.float64], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gradients in scanner axes to the bvecs of BIDS and FSL.

    Those are in the axes of the image, and FSL takes every image for a left-handed one: the first component
    changes sign where the affine's determinant is positive.

    Parameters
    ----------
    gradients
        (T, 3) in scanner RAS.
    affine
        (4, 4) of the image.

    Returns
    -------
    ndarray
        (3, T).

    Examples
    --------
    >>> right = np.array([[1.0, 0.0, 0.0]])
    >>> bvecs_of(right, np.diag([2.0, 2, 2, 1])).T.tolist(), bvecs_of(right, np.diag([-2.0, 2, 2, 1])).T.tolist()
    ([[-1.0, 0.0, 0.0]], [[-1.0, 0.0, 0.0]])
    """
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    bvecs: NDArray[np.float64] = axes.T @ gradients.T
    if np.linalg.det(axes) > 0:
        bvecs[0] *= -1
    return bvecs + 0.0
