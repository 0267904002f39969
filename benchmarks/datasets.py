"""Datasets to be measured on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np


def write_empty_dataset(folder: Path, n_subjects: int) -> Path:
    """A BIDS dataset of empty files: everyone has a T1w image and BOLD, every other one also DWI."""
    folder.mkdir(parents=True)
    description = {"Name": "benchmark", "BIDSVersion": "1.10.0"}
    (folder / "dataset_description.json").write_text(json.dumps(description), encoding="utf-8")
    for number in range(n_subjects):
        subject = f"sub-{number:05d}"
        names = [f"anat/{subject}_T1w", f"func/{subject}_task-rest_bold"]
        names += [f"dwi/{subject}_dwi"] if number % 2 else []
        for name in names:
            for extension in (".nii.gz", ".json", *((".bval", ".bvec") if name.startswith("dwi") else ())):
                path = folder / subject / f"{name}{extension}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
    return folder


def write_bold(path: Path, n_volumes: int, seed: int = 0) -> Path:
    """A series of 64 x 64 x 36 voxels of 3.5 mm and 16 bit, a ball with noise, compressed."""
    import nibabel as nb

    shape = (64, 64, 36)
    generator = np.random.default_rng(seed)
    radius = np.linalg.norm([(g - n / 2) / n for g, n in zip(np.indices(shape), shape, strict=True)], axis=0)
    ball = (800 * (radius < 0.4)).astype(np.int16)
    noise = generator.integers(0, 100, (*shape, 16), np.int16)
    data = np.stack([ball + noise[..., t % 16] for t in range(n_volumes)], axis=-1)
    image = nb.Nifti1Image(data, np.diag([3.5, 3.5, 3.5, 1.0]))
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = 2.0
    nb.save(image, path)
    return path
