"""Are outputs copies of training scans? Pure functions of arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pds_bids.evaluation.metrics import Array


class Neighbours(NamedTuple):
    """How each query lies among training scans.

    Attributes
    ----------
    nearest
        (Q,) largest correlation with a training scan.
    prominence
        (Q,) by how many standard deviations of all its correlations the largest exceeds their mean. What
        lowers all of them alike, such as noise in the query, leaves it as it is.
    """

    nearest: Array
    prominence: Array


def neighbours(query_QV: Array, training_NV: Array) -> Neighbours:
    """Correlate queries with training scans.

    Parameters
    ----------
    query_QV, training_NV
        Deviations from the population template, voxel by voxel; zero outside the brain.
    """
    correlation_QN = correlations(query_QV, training_NV)
    nearest = correlation_QN.max(axis=1)
    spread = correlation_QN.std(axis=1)
    away = nearest - correlation_QN.mean(axis=1)
    return Neighbours(nearest, np.divide(away, spread, out=np.zeros_like(away), where=spread > 0))


def correlations(a_QV: Array, b_NV: Array) -> Array:
    """(Q, N) of rows with rows, without taking means away: deviations have none that is not their own."""

    def unit(rows: Array) -> Array:
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        scaled: Array = np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)
        return scaled

    return unit(np.asarray(a_QV, float)) @ unit(np.asarray(b_NV, float)).T
