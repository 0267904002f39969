"""What is shared by the options of all commands: types, which check and convert a value, and grouping."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from pds_bids.core.config import Filters
from pds_bids.core.modality import Modality

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def together(*options: Decorator) -> Decorator:
    """Options as one decorator; `--help` lists them in this order."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


class Label(click.ParamType[str]):
    """A BIDS label, given with or without its entity: `01` and `sub-01` are the same participant.

    >>> Label("sub").convert("sub-01", None, None)
    '01'
    """

    name = "label"

    def __init__(self, entity: str) -> None:
        self.entity = entity

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The label alone; anything but letters and digits fails."""
        label = str(value).removeprefix(f"{self.entity}-")
        if not re.fullmatch("[0-9A-Za-z]+", label):
            self.fail(f"{value!r} is not a label (letters and digits only); a list ends at `--`", param, ctx)
        return label


class Folder(click.Path):
    """A folder as an absolute path, whether it exists or not; an empty text is none.

    >>> Folder().convert("/data/../out", None, None).as_posix()
    '/out'
    """

    def __init__(self) -> None:
        super().__init__(file_okay=False, readable=False, resolve_path=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; an unset variable in a script does not become the current folder."""
        if not os.fspath(value):
            self.fail("the path is empty; name a folder", param, ctx)
        return super().convert(value, param, ctx)


class Target(click.Choice[str]):
    """What to synthesise: `auto`, which is all that is missing, or some data types.

    >>> Target().convert("dwi", None, None), Target().convert("auto", None, None)
    ((<Modality.DWI: 'dwi'>,), (<Modality.BOLD: 'bold'>, <Modality.DWI: 'dwi'>))
    """

    def __init__(self) -> None:
        super().__init__(["auto", *(modality.datatype for modality in Modality)])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The modalities; a list has commas between."""
        wanted = {super(Target, self).convert(word, param, ctx) for word in str(value).split(",")}
        return tuple(modality for modality in Modality if wanted & {"auto", modality.datatype})


class Device(click.ParamType[str]):
    """Where networks run: `auto`, `cpu`, `cuda` or `cuda:N`; whether it exists is found out later."""

    name = "device"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The same text, if it names a device."""
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", value):
            self.fail(f"{value!r} is not a device: use auto, cpu, cuda or cuda:N", param, ctx)
        return str(value)


class Memory(click.ParamType[int]):
    """An amount of memory in MB: `8GB`, `8G`, `8000MB`, `8000`; decimal units, as other BIDS Apps take it.

    >>> [Memory().convert(text, None, None) for text in ("8GB", "8000", "1.5t", "250000K")]
    [8000, 8000, 1500000, 250]
    """

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Whole megabytes, at least one."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)B?", str(value).strip().upper())
        megabytes = int(float(match[1]) * _MEGABYTES[match[2]]) if match else 0
        if not megabytes:
            self.fail(f"{value!r} is not an amount of memory: write it as 8GB, or as 8000 (MB)", param, ctx)
        return megabytes


_MEGABYTES = {"": 1, "K": 1e-3, "M": 1, "G": 1e3, "T": 1e6}


class Scheduler(click.ParamType[str]):
    """A Dask scheduler: its address, or the absolute path of its scheduler file.

    >>> Scheduler().convert("tcp://10.0.0.1:8786", None, None)
    'tcp://10.0.0.1:8786'
    """

    name = "address|file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The address as it is; anything else must be a file."""
        if re.fullmatch(r"([a-z]+://)?[^/]+:\d+", str(value)):
            return str(value)
        if not Path(value).is_file():
            self.fail(
                f"{value!r} is neither an address like tcp://HOST:8786 nor a scheduler file", param, ctx
            )
        return str(Path(value).resolve())


class DerivativeDataset(click.ParamType[tuple[str, Path]]):
    """A derivative dataset, `NAME=PATH`; a path alone is named by its folder.

    >>> DerivativeDataset().convert("fmriprep=/", None, None)
    ('fmriprep', PosixPath('/'))
    """

    name = "name=path"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Path]:
        """The name, fit for a BIDS URI, and the folder, which must exist."""
        given, equals, path = str(value).rpartition("=")
        folder = Folder().convert(path, param, ctx)
        name = given if equals else folder.name
        if not re.fullmatch("[A-Za-z0-9][A-Za-z0-9_-]*", name) or name == "raw":
            self.fail(
                f"{name!r} cannot name a dataset: use letters, digits, - and _, and not `raw`", param, ctx
            )
        if not folder.is_dir():
            self.fail(f"{folder}: is not a folder; write NAME=PATH", param, ctx)
        return name, folder


class FilterFile(click.ParamType[Filters]):
    """A BIDS filter file, read: `{"bold": {"run": 1}, "t1w": {"acquisition": ["mprage", null]}}`.

    Labels become texts, one of them a list of one; `null`, which is no label, becomes `Query.NONE`.
    """

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Filters:
        """Kind of image to entity to labels."""
        try:
            content = value if isinstance(value, Mapping) else json.loads(Path(value).read_text("utf-8"))
            return {
                kind: {entity: _labels(given) for entity, given in query.items()}
                for kind, query in content.items()
            }
        except OSError as error:
            self.fail(f"{value}: cannot be read ({error.strerror}); name a JSON file", param, ctx)
        except (ValueError, AttributeError, TypeError) as error:
            remedy = 'write it as {"bold": {"run": "1"}}'
            self.fail(f"{value}: is not a BIDS filter file ({error}); {remedy}", param, ctx)


def _labels(given: Any) -> tuple[str, ...]:
    """The labels that a query allows.

    >>> _labels(1), _labels(["a", None])
    (('1',), ('a', 'Query.NONE'))
    """
    labels = given if isinstance(given, (list, tuple)) else [given]
    if not labels or any(isinstance(label, (bool, float, list, dict)) for label in labels):
        raise ValueError(f"{given!r} is neither a label nor a list of labels")
    return tuple("Query.NONE" if label is None else str(label) for label in labels)
