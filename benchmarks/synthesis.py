"""What one 2 mm volume costs, against MONAI's DiffusionModelUNet and a network of the published size.

Usage, with MONAI installed (``pip install -e ".[bench]"``)::

    python -m benchmarks.synthesis docs/results/performance_synthesis.json --rounds 3
    python -m benchmarks.synthesis docs/results/performance_synthesis_cuda.json --device cuda

Rivals have random weights, which cost as much as trained ones, and are timed for one step of their samplers:
a volume is so many of them. Ours is timed whole, from the scaled source to the volume, after a first one that
warms up. MONAI's network has as many parameters as our denoiser and sees the same grid. What stands for the
published networks is built of our own blocks: two U-Nets of 64 to 512 channels, 194 million parameters in
all, one on each modality's grid, 50 steps.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence

from benchmarks.measure import Cost, Costs, Row, compared, cost, in_turn, probe_cost, run, spread

STEPS = 8
PUBLISHED_STEPS = 50

MONAI_CHANNELS = (32, 48, 64)
PUBLISHED_GRIDS = ((64, 64, 36), (96, 96, 60))


def our_step(device: str) -> Cost:
    """One step of our denoiser."""
    import torch

    from pds_bids.core.config import SynthesisConfig
    from pds_bids.models.denoiser import N_CONTEXT
    from pds_bids.synthesis.pipeline import Synthesiser

    config = SynthesisConfig(device=device, threads=torch.get_num_threads())
    denoiser = Synthesiser.load(config).model.denoiser
    bands = torch.randn(1, 2, 8, 40, 48, 44, device=device)
    context = torch.randn(1, N_CONTEXT, 40, 48, 44, device=device)
    times = torch.tensor([[0.0, 0.5]], device=device)
    with torch.inference_mode():
        denoiser(bands, times, context)
        return _timed(lambda: denoiser(bands, times, context), device)


def point_estimate(device: str) -> Cost:
    """Our default output: volume, uncertainty, and how unusual the source is."""
    return _whole(device, num_samples=0)


def one_draw(device: str) -> Cost:
    """The default output, and one draw of `STEPS` steps."""
    return _whole(device, num_samples=1)


def _whole(device: str, num_samples: int) -> Cost:
    import numpy as np
    import torch

    from pds_bids.core.config import SynthesisConfig
    from pds_bids.core.modality import Modality
    from pds_bids.core.volume import MODEL_GRID, MODEL_SPACE, Volume
    from pds_bids.synthesis.pipeline import Synthesiser

    threads = torch.get_num_threads()
    config = SynthesisConfig(num_samples=num_samples, steps=STEPS, device=device, threads=threads)
    synthesiser = Synthesiser.load(config)
    template = synthesiser.templates[Modality.BOLD].data
    mask = Volume((template > 0.1).astype(np.float32), MODEL_GRID.affine, MODEL_SPACE)
    source = mask.like(template - 1)

    def work() -> None:
        synthesiser.synthesise(source, mask, Modality.DWI, config, seed=0)

    work()
    return cost(work)


def monai_step(device: str) -> Cost:
    """One step of MONAI's network at the grid of the volume, the source beside the noisy target."""
    import torch
    from monai.networks.nets import DiffusionModelUNet

    from pds_bids.core.volume import MODEL_GRID

    network = DiffusionModelUNet(
        spatial_dims=3,
        in_channels=2,
        out_channels=1,
        channels=MONAI_CHANNELS,
        num_res_blocks=1,
        attention_levels=(False, False, False),
        norm_num_groups=8,
        use_flash_attention=True,
    )
    network = network.eval().to(device)
    images = torch.randn(1, 2, *MODEL_GRID.shape, device=device)
    times = torch.tensor([500], device=device)
    with torch.inference_mode():
        return _timed(lambda: network(images, times), device)


def published_step(device: str) -> Cost:
    """One step of both networks."""
    import torch

    from pds_bids.models.blocks import UNet

    def network() -> UNet:
        return UNet(1, 1, (64, 128, 256, 512), (2, 2, 4, 4), width=256, attention=True).eval().to(device)

    pairs = [(network(), torch.randn(1, 1, *shape, device=device)) for shape in PUBLISHED_GRIDS]
    times = torch.randn(1, 256, device=device)
    with torch.inference_mode():
        return _timed(lambda: [unet(image, times) for unet, image in pairs], device)


def _timed(step: Callable[[], object], device: str) -> Cost:
    """Cost of a step; on a GPU of one that is warmed up, and until it has ended there."""
    import torch

    def ended() -> None:
        step()
        torch.cuda.synchronize()

    if device == "cpu":
        return cost(step)
    ended()
    return cost(ended)


PROBES = {
    "step": our_step,
    "point": point_estimate,
    "draw": one_draw,
    "monai": monai_step,
    "published": published_step,
}

NAMES = {
    "step": f"pds-bids, {STEPS} steps of the denoiser alone",
    "point": "pds-bids, default output",
    "draw": f"pds-bids, default output and a draw of {STEPS} steps",
    "monai": f"MONAI DiffusionModelUNet, {STEPS} steps",
    "published": f"size of the published networks, {PUBLISHED_STEPS} steps",
}

FACTORS = {"step": STEPS, "point": 1, "draw": 1, "monai": STEPS, "published": PUBLISHED_STEPS}
"""Steps of which one was timed."""


def measure(arguments: argparse.Namespace) -> Mapping[str, Sequence[Row]]:
    """Every rival in a process of its own."""
    device, cores = arguments.device, arguments.threads

    def of(probe: str) -> Callable[[], Cost]:
        return lambda: probe_cost("synthesis", probe, device, cores=cores).times(FACTORS[probe])

    costs = in_turn({NAMES[probe]: of(probe) for probe in arguments.rivals}, arguments.rounds)
    tables = {"One volume": compared(costs, NAMES["draw"])}
    ours = [NAMES[probe] for probe in ("step", "draw", "point") if probe in arguments.rivals]
    theirs = [name for name in costs if name not in ours]
    for title, measured in (
        ("How many times our processor time", "cpu_s"),
        ("How many times our memory", "peak_mb"),
    ):
        tables[title] = [times_ours(name, costs, ours, measured) for name in theirs]
    return tables


def times_ours(rival: str, costs: Costs, ours: Sequence[str], measured: str) -> Row:
    """A row: what a rival takes, as a multiple of each of ours in the same round."""
    row: Row = {"what": rival}
    for name in ours:
        pairs = zip(costs[rival], costs[name], strict=True)
        row[name] = spread([getattr(their, measured) / getattr(our, measured) for their, our in pairs])
    return row


def main() -> None:
    """Add what can be chosen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rivals", nargs="+", choices=list(PROBES), default=list(PROBES))
    run("synthesis", "Synthesis of one volume", measure, parser)


if __name__ == "__main__":
    main()
