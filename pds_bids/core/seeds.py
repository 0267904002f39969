"""Randomness is an argument: every random choice comes from a named seed."""

from __future__ import annotations

import hashlib


def derived_seed(seed: int, *names: str | int) -> int:
    """A seed for one named use, independent of the order in which uses come.

    Parameters
    ----------
    seed
        The user's `--random-seed`.
    names
        What the randomness is for, e.g. subject, session, purpose.

    Returns
    -------
    int
        In [0, 2**63).

    Examples
    --------
    >>> derived_seed(0, "01", "", "draws") == derived_seed(0, "01", "", "draws")
    True
    >>> derived_seed(0, "01") == derived_seed(1, "01")
    False
    """
    digest = hashlib.sha256("/".join(str(part) for part in (seed, *names)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
