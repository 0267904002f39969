"""Networks that visits of many workers share: those of the workers of a Dask cluster that offer a GPU."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pds_bids.app.cluster import GPU, offering
from pds_bids.app.visit import load_synthesiser
from pds_bids.core.config import SynthesisConfig
from pds_bids.core.modality import Modality
from pds_bids.core.volume import Volume
from pds_bids.synthesis.pipeline import Synthesiser
from pds_bids.synthesis.result import Synthesised

if TYPE_CHECKING:
    from distributed import Future

LOOK_S = 30
"""How often a visit that waits for a GPU looks whether there still is one, in seconds."""

FIRST = 10
"""Priority of a synthesis, for which a visit waits, over visits that have not begun."""


@dataclass(frozen=True)
class SharedSynthesiser(Synthesiser):
    """Has volumes made by a worker that offers a GPU; makes them here where it is this one, or none."""

    def synthesise(
        self,
        source: Volume,
        mask: Volume,
        target: Modality,
        config: SynthesisConfig,
        seed: int,
        t1w: Volume | None = None,
    ) -> Synthesised:
        """See `Synthesiser.synthesise`."""
        given = (source, mask, target, config, seed, t1w)
        if not _others_offer_gpu():
            return super().synthesise(*given)
        from distributed import get_client

        job = get_client().submit(_synthesise, *given, resources={GPU: 1}, priority=FIRST, pure=False)
        return _made(job) or super().synthesise(*given)


def load_shared(config: SynthesisConfig) -> Synthesiser:
    """The networks that a configuration names, kept on the CPU where only others offer the GPU it names."""
    elsewhere = config.device.startswith("cuda") and _others_offer_gpu()
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


def _synthesise(
    source: Volume, mask: Volume, target: Modality, config: SynthesisConfig, seed: int, t1w: Volume | None
) -> Synthesised:
    """In a worker that offers a GPU."""
    return load_synthesiser(config).synthesise(source, mask, target, config, seed, t1w)
