"""The state of a training between two steps, in one safetensors file: what it needs to go on, bit by bit.

No state of a random generator is in it, since every draw follows from the seed and the step (see `feed`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from pds_bids.core.errors import TemporaryError, UsageError
from pds_bids.models.pdsmodel import PdsModel
from pds_bids.training.ema import Ema

FORMAT = "pds-bids-state-1"


@dataclass(frozen=True)
class Position:
    """How far a training has come: its stage, the steps and seconds of it that are done, or all of it."""

    stage: str
    step: int
    elapsed_s: float
    complete: bool = False


@dataclass(frozen=True)
class State:
    """Position, and tensors by name: `model.*`, `ema.*`, and `adam.N.*` of the N-th parameter."""

    position: Position
    tensors: dict[str, Tensor]

    def restore_model(self, model: PdsModel) -> None:
        """Every weight and buffer."""
        model.load_state_dict(self._below("model."))

    def restore_stage(self, network: nn.Module, ema: Ema[Any], optimiser: torch.optim.AdamW) -> None:
        """Moving average and moments; `network` is the one that learns, its weights restored already."""
        ema.network.load_state_dict(self._below("ema."))
        ema.steps = self.position.step
        state: dict[int, dict[str, Tensor]] = {}
        for number, parameter in enumerate(network.parameters()):
            stored = self._below(f"adam.{number}.")
            if stored:  # a parameter that never had a gradient has no moments; the others lie as it does
                moments = {k: torch.empty_like(parameter).copy_(v) for k, v in stored.items() if k != "step"}
                state[number] = {"step": stored["step"], **moments}
        optimiser.load_state_dict({**optimiser.state_dict(), "state": state})

    def _below(self, prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix): v for k, v in self.tensors.items() if k.startswith(prefix)}


@dataclass(frozen=True)
class StateFile:
    """Where the state of one recipe is kept.

    Attributes
    ----------
    path
        The file; it exists whole or not at all.
    recipe
        Whatever decides the weights, as JSON knows it: the state of another recipe is refused.
    """

    path: Path
    recipe: Mapping[str, Any]

    def write(
        self, position: Position, model: PdsModel, ema: Ema[Any], optimiser: torch.optim.Optimizer
    ) -> None:
        """Replace the file.

        Raises
        ------
        TemporaryError
            If it cannot be written.
        """
        tensors = {f"model.{name}": t for name, t in model.state_dict().items()}
        tensors |= {f"ema.{name}": t for name, t in ema.network.state_dict().items()}
        for number, moments in optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{number}.{name}": t for name, t in moments.items()}
        self._write(position, tensors)

    def mark_complete(self) -> None:
        """Note that nothing is left to be done."""
        state = self.load()
        if state is not None:
            self._write(replace(state.position, complete=True), state.tensors)

    def _write(self, position: Position, tensors: Mapping[str, Tensor]) -> None:
        metadata = {
            "format": FORMAT,
            "recipe": json.dumps(self.recipe),
            "position": json.dumps(asdict(position)),
        }
        partial = self.path.with_name(f"{self.path.name}.partial")
        try:
            partial.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(save({k: t.contiguous() for k, t in tensors.items()}, metadata))
            os.replace(partial, self.path)
        except OSError as error:
            raise TemporaryError(
                f"{self.path}: the state of the training cannot be written ({error})"
            ) from error

    def load(self) -> State | None:
        """The state of this recipe; None where there is no file.

        Raises
        ------
        UsageError
            If the file is of another recipe, or damaged.
        """
        if not self.path.is_file():
            return None
        remedy = "--restart begins anew, another --out leaves it alone"
        try:
            with safe_open(self.path, framework="pt") as stream:
                metadata = stream.metadata() or {}
                recipe, position = (json.loads(metadata[key]) for key in ("recipe", "position"))
                differences = _differences(recipe, json.loads(json.dumps(self.recipe)))
                if metadata["format"] != FORMAT or differences:
                    fault = "; ".join(differences) or "of another version"
                    raise UsageError(f"{self.path}: begun with another recipe ({fault}); {remedy}")
                tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
        except (SafetensorError, KeyError, ValueError, OSError) as error:
            raise UsageError(f"{self.path}: damaged state of a training ({error}); {remedy}") from error
        return State(Position(**position), tensors)


def _differences(before: Any, now: Any) -> list[str]:
    """What differs, such as `training.refiner.steps was 10, is 20`."""
    old, new = dict(_leaves(before)), dict(_leaves(now))
    changed = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return [f"{key} was {json.dumps(old.get(key))}, is {json.dumps(new.get(key))}" for key in changed]


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _leaves(below, f"{path}.{key}" if path else key)
    else:
        yield path, value
