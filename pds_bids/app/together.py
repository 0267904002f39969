"""Calls from several threads, answered together."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class Together(Generic[Asked, Answer]):
    """What is asked while an answer is under way waits, and is then answered all at once.

    Parameters
    ----------
    answer
        Answers several at once, in their order.
    most
        How many at once.
    """

    def __init__(self, answer: Callable[[Sequence[Asked]], Sequence[Answer]], most: int) -> None:
        self._answer, self._most = answer, most
        self._turn = threading.Lock()
        self._waiting: deque[tuple[Asked, Future[Answer]]] = deque()

    def __call__(self, asked: Asked) -> Answer:
        """The answer; raises what answering this alone raises."""
        mine: Future[Answer] = Future()
        self._waiting.append((asked, mine))
        with self._turn:  # whoever has it answers the others as well
            while not mine.done():
                n = min(self._most, len(self._waiting))
                self._settle([self._waiting.popleft() for _ in range(n)])
        return mine.result()

    def _settle(self, batch: Sequence[tuple[Asked, Future[Answer]]]) -> None:
        try:
            answers = self._answer([asked for asked, _ in batch])
        except Exception as error:
            if len(batch) == 1:
                batch[0][1].set_exception(error)
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                future.set_result(answer)
        # The fault is one's, or all of them are too much for the memory, which the error held until here.
        for one in batch:
            if not one[1].done():
                self._settle([one])
