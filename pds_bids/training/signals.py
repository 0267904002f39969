"""A signal ends a training after the step it is at, and not within."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType

from pds_bids.core.errors import TemporaryError


class SignalWatch:
    """While it lasts, `received` is the number of the SIGINT or SIGTERM that came, 0 before; a second acts.

    One that came too late for anybody to make an exception of it acts at the end. Of use in the main thread
    alone, as handlers of signals are.
    """

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, object] = {}

    def __enter__(self) -> SignalWatch:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
        if kind is None and self.received:
            signal.raise_signal(self.received)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received = number
        self._restore()

    def _restore(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())  # type: ignore[arg-type]  # what signal.signal gave


def stopped_by(number: int) -> BaseException:
    """What to raise once everything is saved: Ctrl-C stays one, anything else may be repeated later."""
    if number == signal.SIGINT:
        return KeyboardInterrupt()
    return TemporaryError(f"training: stopped by {signal.Signals(number).name}; a rerun goes on from here")
