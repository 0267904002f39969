"""One safetensors file holds a model: weights in fp16 and, as metadata, everything needed to use them.

Never pickle: a checkpoint is data, and loading one runs nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pds_bids.core.errors import UsageError
from pds_bids.models.pattern import PatternValues
from pds_bids.models.pdsmodel import ModelConfig, PdsModel

FORMAT = "pds-bids-1"

MAX_BYTES = 2 * 2**30
MAX_SIZE = 1024
"""Largest file, and largest number of channels, blocks or the like: a stranger's file promises no more."""


@dataclass(frozen=True)
class Checkpoint:
    """A model ready for use, with its card and the SHA-256 of its file."""

    model: PdsModel
    card: dict[str, Any]
    sha256: str
    name: str


def resolve(model: str) -> Path:
    """Path of a bundled model, or of a user's file.

    Raises
    ------
    UsageError
        If there is neither.
    """
    bundled = Path(str(files("pds_bids") / "weights" / f"{model}.safetensors"))
    for candidate in (bundled, Path(model)):
        if candidate.is_file():
            return candidate
    known = ", ".join(sorted(p.stem for p in bundled.parent.glob("*.safetensors")))
    raise UsageError(
        f"--model {model}: neither a bundled model ({known}) nor a file; models are never downloaded"
    )


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _stored(name: str, tensor: Tensor) -> Tensor:
    """In half precision, save what is fitted to a few scans: a whitening may hold more than 65,504."""
    return tensor if name.startswith("outlier.") or not tensor.is_floating_point() else tensor.half()


def round_as_stored(model: PdsModel) -> None:
    """Give a model the values that it will have once read back: what is calibrated is then what ships."""
    for name, tensor in model.state_dict().items():
        tensor.copy_(_stored(name, tensor))


def write_checkpoint(path: Path, model: PdsModel, card: dict[str, Any]) -> None:
    """Write weights as fp16 with configuration, card and pattern in the metadata; whole or not at all."""
    tensors = {name: _stored(name, t).contiguous() for name, t in model.state_dict().items()}
    metadata = {"format": FORMAT, "config": json.dumps(asdict(model.config)), "card": json.dumps(card)}
    if model.pattern is not None:
        metadata["pattern"] = model.pattern.to_json()
    _write(path, tensors, metadata)


def annotate(path: Path, **entries: Any) -> None:
    """Add entries to the card of a checkpoint, e.g. `metrics`; the weights stay as they are, bit for bit."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as stream:
        metadata = stream.metadata()
        tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    _write(path, tensors, metadata | {"card": json.dumps(json.loads(metadata["card"]) | entries)})


def _write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    from safetensors.torch import save

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(save(tensors, metadata=metadata))
    os.replace(partial, path)


def _modest(config: dict[str, Any], tensors: dict[str, Tensor]) -> ModelConfig:
    """A configuration that asks for no more memory than the file itself holds; nothing is allocated to see.

    Raises
    ------
    ValueError
        If it asks for more, or for something else.
    """
    sections = [section for section in config.values() if isinstance(section, dict)]
    values = [value for section in sections for value in section.values()]
    sizes = [size for value in values for size in (value if isinstance(value, list) else [value])]
    if any(isinstance(size, (int, float)) and size > MAX_SIZE for size in sizes) or len(sizes) > MAX_SIZE:
        raise ValueError(f"a size beyond {MAX_SIZE}")
    asked = ModelConfig.from_dict(config)
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in PdsModel(asked).state_dict().items()}
    if shapes != {name: tensor.shape for name, tensor in tensors.items()}:
        raise ValueError("weights of other shapes than its configuration says")
    return asked


def load_checkpoint(model: str) -> Checkpoint:
    """Load a bundled model by name, or a file.

    Raises
    ------
    UsageError
        If the file is missing, damaged, or not one of ours.
    """
    from safetensors import SafetensorError, safe_open

    path = resolve(model)
    if path.stat().st_size > MAX_BYTES:
        fault = f"larger than {MAX_BYTES // 2**30} GB; that is no model of this program"
        raise UsageError(f"--model {path}: {fault}")
    try:
        with safe_open(path, framework="pt") as stream:
            metadata = stream.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise UsageError(
                    f"--model {path}: not a {FORMAT} checkpoint; train one with `pds-model train`"
                )
            tensors = {name: stream.get_tensor(name).float() for name in stream.keys()}  # noqa: SIM118
        network = PdsModel(_modest(json.loads(metadata["config"]), tensors))
        network.load_state_dict(tensors)
        card = json.loads(metadata["card"])
        if "pattern" in metadata:
            network.know(PatternValues.from_json(metadata["pattern"]))
    except (SafetensorError, AttributeError, KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
        fault = str(error).partition("\n")[0].rstrip(" :")
        raise UsageError(f"--model {path}: damaged checkpoint ({fault}); fetch it again") from error
    return Checkpoint(network.eval(), card, file_sha256(path), path.stem)
