"""Small datasets shaped like the public BIDS examples."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest

Tree = Mapping[str, object]
BuildTree = Callable[[Tree], Path]


def write_series(path: Path, n_volumes: int) -> None:
    shape = (3, 3, 3) if n_volumes == 0 else (3, 3, 3, n_volumes)
    nb.Nifti1Image(np.ones(shape, np.int16), np.eye(4)).to_filename(path)


@pytest.fixture
def build_tree(tmp_path: Path) -> BuildTree:
    """Make a dataset from `{path: content}`.

    An int is a series of that many volumes (0: a 3D image), a dict JSON, a str or bytes a file, None a link
    to nowhere. A valid dataset_description.json is added unless one is given.
    """

    def build(tree: Tree) -> Path:
        root = tmp_path / "dataset"
        description = {"Name": "Example", "BIDSVersion": "1.10.0"}
        for name, content in {"dataset_description.json": description, **tree}.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            match content:
                case None:
                    path.symlink_to(Path("../../.git/annex/objects/nowhere"))
                case int():
                    write_series(path, content)
                case dict():
                    path.write_text(json.dumps(content))
                case bytes():
                    path.write_bytes(content)
                case _:
                    path.write_text(str(content))
        return root

    return build
