"""Diffusion gradients: well-spread directions, and how BIDS writes them down."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))
REPULSIONS = 100


def gradient_directions(n: int) -> NDArray[np.float64]:
    """(n, 3) unit vectors that, taken with their opposites, cover the sphere evenly.

    A golden spiral on the hemisphere, spread by electrostatic repulsion of the vectors and their opposites
    (Jones 1999); every second one is reversed, so that both halves are used.
    """
    height = (np.arange(n) + 0.5) / n
    radius, angle = np.sqrt(1 - height**2), np.arange(n) * GOLDEN_ANGLE
    directions = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)
    for step in np.geomspace(0.1, 0.005, REPULSIONS) / max(n, 1):
        both = np.concatenate([directions, -directions])
        apart = directions[:, None] - both
        distance = np.linalg.norm(apart, axis=2, keepdims=True)
        force = np.divide(apart, distance**3, out=np.zeros_like(apart), where=distance > 0).sum(1)
        directions = directions + step * force
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
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
    >>> [bvecs_of(right, np.diag([x, 2.0, 2.0, 1.0])).T.tolist() for x in (2.0, -2.0)]
    [[[-1.0, 0.0, 0.0]], [[-1.0, 0.0, 0.0]]]
    """
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    bvecs: NDArray[np.float64] = axes.T @ gradients.T
    if np.linalg.det(axes) > 0:
        bvecs[0] *= -1
    return bvecs + 0.0
