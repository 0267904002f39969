from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from pds_bids.app.together import Together


@pytest.mark.parametrize(
    ("most", "faulty", "sizes"),
    [(5, (), [1, 5]), (2, (), [1, 1, 2, 2]), (5, (3,), [1, 1, 1, 1, 1, 1, 5])],
    ids=["all at once", "in parts", "each alone after a fault"],
)
def test_what_waits_is_answered_at_once(most: int, faulty: Sequence[int], sizes: list[int]) -> None:
    batches: list[list[int]] = []
    begun, others_wait = threading.Event(), threading.Event()

    def answer(asked: Sequence[int]) -> list[int]:
        batches.append(list(asked))
        begun.set()
        assert others_wait.wait(30)
        if set(faulty) & set(asked):
            raise ValueError("one of them")
        return [2 * number for number in asked]

    together = Together(answer, most)
    with ThreadPoolExecutor(6) as threads:
        jobs: dict[int, Future[int]] = {0: threads.submit(together, 0)}
        assert begun.wait(30)
        jobs |= {number: threads.submit(together, number) for number in range(1, 6)}
        while len(together._waiting) < 5:
            pass
        others_wait.set()
        failed = [number for number, job in jobs.items() if job.exception(30)]
        answered = {number: job.result() for number, job in jobs.items() if number not in failed}

    assert failed == list(faulty)
    assert answered == {number: 2 * number for number in jobs if number not in faulty}
    assert sorted(map(len, batches)) == sizes
