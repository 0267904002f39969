"""What is trained and how: everything that decides which weights come out."""

from __future__ import annotations

from dataclasses import dataclass, field

from pds_bids.core.errors import UsageError
from pds_bids.models.microstructure import MrConfig

ROUNDING = 1e-9
"""Shares may add up to so much more than 1."""


def require_counts(where: str, **values: object) -> None:
    """Raise `UsageError` where one of these is no whole number of at least 1."""
    for name, value in values.items():
        if not isinstance(value, int) or value < 1:
            raise UsageError(f"{where}: {name} = {value!r} must be a whole number, at least 1")


def _require(holds: bool, name: str, value: object, remedy: str) -> None:
    if not holds:
        raise UsageError(f"a stage of [training]: {name} = {value!r} must be {remedy}")


@dataclass(frozen=True)
class StageConfig:
    """One stage of a training.

    Attributes
    ----------
    share, steps
        How long it takes, one of the two: its share of the minutes given, or so many steps.
    batch_size, coarse_batch_size
        Pairs of one step, all processes together; at 4 mm, the second.
    learning_rate
        After the warm-up; it falls along half a cosine.
    coarse, regression
        Shares of the stage spent at 4 mm, and (after that) at target time 1 only. Of the denoiser.
    draws, draw_steps
        In this share of the steps the estimate to be refined is the mean of draws of the denoiser, sampled in
        so many steps; else it is the one-step estimate. Of the refiner.
    accumulate
        Parts that each process cuts its share of a batch into, one in memory at a time.
    checkpointing
        Compute activations twice instead of keeping them (see `UNet`). This and `accumulate` need less
        memory, and change no gradient.

    Raises
    ------
    UsageError
        If it has both or neither of `share` and `steps`, or a number that cannot be.
    """

    share: float | None = None
    steps: int | None = None
    batch_size: int = 1
    coarse_batch_size: int = 4
    learning_rate: float = 6e-4
    coarse: float = 0.0
    regression: float = 0.0
    draws: float = 0.0
    draw_steps: int = 4
    accumulate: int = 1
    checkpointing: bool = False

    def __post_init__(self) -> None:
        if (self.share is None) == (self.steps is None):
            raise UsageError("a stage of [training] needs either share (of the minutes) or steps")
        if self.share is None:
            require_counts("a stage of [training]", steps=self.steps)
        else:
            _require(0 < self.share <= 1, "share", self.share, "above 0, and at most 1")
        sizes = ("batch_size", "coarse_batch_size", "draw_steps", "accumulate")
        require_counts("a stage of [training]", **{name: getattr(self, name) for name in sizes})
        _require(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")
        for name in ("coarse", "regression", "draws"):
            value = getattr(self, name)
            _require(0 <= value <= 1, name, value, "from 0 to 1")
        both = self.coarse + self.regression
        _require(both <= 1 + ROUNDING, "coarse + regression", both, "at most 1")

    def progress(self, step: int, elapsed_s: float, minutes: float | None) -> float:
        """The share of the stage that is done after so many steps and seconds; 1 or more at its end.

        Parameters
        ----------
        minutes
            For all stages that take a share of them.
        """
        if self.steps is not None:
            return step / self.steps
        assert self.share is not None and minutes is not None  # noqa: PT018
        return elapsed_s / (60 * minutes * self.share)


@dataclass(frozen=True)
class TrainingConfig:
    """Both stages, and what the second one compares microstructure by.

    `bf16` is automatic mixed precision in bfloat16, without which everything is computed in single precision.

    Raises
    ------
    UsageError
        If the stages share more than there is, or a number cannot be.
    """

    denoiser: StageConfig = field(default_factory=lambda: StageConfig(0.7, coarse=0.2, regression=0.5))
    refiner: StageConfig = field(default_factory=lambda: StageConfig(0.3, learning_rate=4e-4))
    mr: MrConfig = field(default_factory=MrConfig)
    warmup_steps: int = 100
    weight_decay: float = 1e-4
    ema: float = 0.999
    bf16: bool = True

    def __post_init__(self) -> None:
        require_counts("[training]", warmup_steps=self.warmup_steps)
        if not 0 <= self.ema < 1:
            raise UsageError(f"[training]: ema = {self.ema!r} must be from 0 to below 1")
        shared = sum(stage.share or 0 for stage in self.stages.values())
        if shared > 1 + ROUNDING:
            raise UsageError(f"[training]: the stages' shares add up to {shared:g}; make that 1 at most")

    @property
    def stages(self) -> dict[str, StageConfig]:
        """By the name of the network that each trains, in their order."""
        return {"denoiser": self.denoiser, "refiner": self.refiner}

    @property
    def timed(self) -> bool:
        """Whether any stage takes a share of the minutes."""
        return any(stage.share is not None for stage in self.stages.values())

    def require_processes(self, processes: int) -> None:
        """Raise `UsageError` where so many processes cannot share a batch evenly."""
        for name, stage in self.stages.items():
            sizes = {"batch_size": stage.batch_size}
            if stage.coarse > 0:
                sizes["coarse_batch_size"] = stage.coarse_batch_size
            for key, size in sizes.items():
                if size % processes:
                    raise UsageError(
                        f"[training.{name}] {key} = {size} cannot be shared by {processes} processes; "
                        f"make it a multiple of {processes}"
                    )
