"""Networks that visits of many workers share: those of the workers of a Dask cluster that offer a GPU."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from pds_bids.app.cluster import GPU, offering
from pds_bids.app.together import Together
from pds_bids.app.visit import load_synthesiser
from pds_bids.core.config import SynthesisConfig
from pds_bids.synthesis.pipeline import Synthesiser, Wanted
from pds_bids.synthesis.result import Synthesised

if TYPE_CHECKING:
    from distributed import Future

LOOK_S = 30
"""How often a visit that waits for a GPU looks whether there still is one, in seconds."""

MOST_AT_ONCE = 8
"""Volumes in one pass through the networks."""

FIRST = 10
"""Priority of a synthesis, for which a visit waits, over visits that have not begun."""


@dataclass(frozen=True)
class SharedSynthesiser(Synthesiser):
    """Has volumes made by a worker that offers a GPU; makes them here where it is this one, or none."""

    def synthesise_all(self, wanted: Sequence[Wanted], config: SynthesisConfig) -> list[Synthesised]:
        """See `Synthesiser.synthesise_all`."""
        if not _others_offer_gpu():
            return super().synthesise_all(wanted, config)
        from distributed import get_client

        client = get_client()
        how: dict[str, Any] = {"resources": {GPU: 1}, "priority": FIRST, "pure": False}
        jobs = [client.submit(_synthesise, one, config, **how) for one in wanted]
        made = [one for job in jobs if (one := _made(job)) is not None]
        return made if len(made) == len(wanted) else super().synthesise_all(wanted, config)


def load_shared(config: SynthesisConfig) -> Synthesiser:
    """The networks that a configuration names, kept on the CPU where others offer the GPU for them.

    A GPU that is asked for by name may be that of a worker who is still to come, or to come back.
    """
    import torch

    absent = config.device.startswith("cuda") and not torch.cuda.is_available()
    elsewhere = config.device != "cpu" and (absent or _others_offer_gpu())
    loaded = load_synthesiser(replace(config, device="cpu") if elsewhere else config)
    return loaded if config.device == "cpu" else SharedSynthesiser(loaded.checkpoint, loaded.device)


def _others_offer_gpu() -> bool:
    """Whether a GPU is offered, and not by this worker: it would wait for itself."""
    from distributed import get_client, get_worker

    theirs = offering(get_client(), GPU)
    return bool(theirs) and get_worker().address not in theirs


def _made(job: Future[Synthesised]) -> Synthesised | None:
    """What a worker made; None where the last one that offers a GPU was lost."""
    from distributed import CancelledError, KilledWorker

    while True:
        try:
            return job.result(timeout=LOOK_S)
        except TimeoutError:
            if not _others_offer_gpu():
                job.cancel()
                return None
        except (CancelledError, KilledWorker):
            return None


def _synthesise(wanted: Wanted, config: SynthesisConfig) -> Synthesised:
    """In a worker that offers a GPU: what its threads ask for at once goes through the networks together."""
    with _loading:
        together = _together(config)
    return together(wanted)


_loading = threading.Lock()
"""So that threads which begin at once load one model, not one each."""


@cache
def _together(config: SynthesisConfig) -> Together[Wanted, Synthesised]:
    synthesiser = load_synthesiser(config)
    most = 1 if synthesiser.device == "cpu" else MOST_AT_ONCE
    return Together(lambda wanted: synthesiser.synthesise_all(wanted, config), most)
