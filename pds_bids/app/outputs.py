"""What one visit writes: images with sidecars, transforms, in every space that was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pds_bids.app.scores import Reference
from pds_bids.bids.derivatives import (
    DRAW_DESC,
    RAW_DATASET,
    REFERENCE_DESC,
    bids_uri,
    context_desc,
    derivative_path,
    mask_sidecar,
    source_uri,
    synthetic_sidecar,
    volume_sidecar,
)
from pds_bids.bids.description import CALIBRATION
from pds_bids.bids.inventory import Visit
from pds_bids.bids.sources import Series
from pds_bids.bids.writing import atomic_write, write_json, write_volume
from pds_bids.core.config import Config
from pds_bids.core.modality import Modality
from pds_bids.core.volume import ATLAS_SPACE, MODEL_SPACE, Volume
from pds_bids.prep.registration import to_atlas, to_native
from pds_bids.prep.source import Prepared
from pds_bids.prep.transforms import write_transforms
from pds_bids.synthesis.result import Synthesised

RESOLUTION = "2 mm isotropic, 80 x 96 x 88 voxels"
RELATIVE_UNITS = "relative: 1 is the median of the brain; clipped to [0, 2]"
SD_UNITS = "relative: 1 is the median of the brain"
DESCRIP = "SYNTHETIC volume made by pds-bids, not acquired"

TEST_MARK = "TEST ONLY (--sloppy): "
"""Begins every description of what a coarse run made."""

TEST_WARNING = f"{TEST_MARK}coarse registration, not fit for analysis"


@dataclass
class VisitWriter:
    """Writes below OUTPUT_DIR for one visit and one source series, and remembers what it wrote."""

    config: Config
    visit: Visit
    series: Series
    t1w: Path | None
    prepared: Prepared
    warnings: tuple[str, ...]
    written: list[Path] = field(default_factory=list)

    def write_source(self) -> None:
        """The acquired mean and its brain mask in every space, the T1w context in that of the model, and the
        transforms to the atlas and back.
        """
        modality = self.series.modality
        for space in self.config.output.spaces:
            image, mask = self._source_in(space)
            path = self._path(modality.datatype, space, "preproc", modality.mean_suffix)
            sidecar = self._sidecar(f"{modality.full_name}, {_meaning(self.series)}", space, path)
            self._image(path, image, sidecar | {"Preprocessing": self._account()})
            path = self._path(modality.datatype, space, "brain", "mask")
            self._image(path, mask, mask_sidecar(self._sidecar("Brain mask", space, path)), np.uint8)
        if MODEL_SPACE in self.config.output.spaces and self.prepared.t1w:
            path = self._path("anat", MODEL_SPACE, context_desc(modality), "T1w")
            text = f"T1w image beside the {modality.full_name}, N4 bias field correction"
            self._image(path, self.prepared.t1w, self._sidecar(text, MODEL_SPACE, path))
        if ATLAS_SPACE in self.config.output.spaces:
            self._write_transforms()

    def write_synthesised(self, synthesised: Synthesised) -> None:
        """The synthetic volume, its uncertainty, and what is asked for of the draws."""
        target = synthesised.record.target
        facts = _json(asdict(synthesised.record)) | {
            "out_of_distribution_score": round(synthesised.outlier_score, 4),
            "out_of_distribution_limit": round(synthesised.outlier_limit, 4),
            "sloppy": self.config.prep.sloppy,
        }
        for desc, volume, description, units in _images(synthesised, self.config.output.save_draws):
            for space in self.config.output.spaces:
                path = self._path(target.datatype, space, desc, target.mean_suffix)
                sidecar = self._sidecar(f"{description}; intensities {units}", space, path)
                synthetic = synthetic_sidecar(sidecar, facts | {"units": units})
                self._image(path, self._carry_model(volume, space), synthetic)

    def write_reference(self, reference: Reference, acquired: Series) -> None:
        """The acquired target as it was scored, where model space is asked for: training needs it."""
        if MODEL_SPACE not in self.config.output.spaces:
            return
        target, source = acquired.modality, self.series.modality
        text = f"{target.full_name}, {_meaning(acquired)}, in the space of the {source.full_name}"
        for volume, suffix, description, dtype in (
            (reference.volume, target.mean_suffix, f"{text}; intensities {RELATIVE_UNITS}", np.float32),
            (reference.mask, "mask", "Brain mask of the source as far as the reference reaches", np.uint8),
        ):
            path = self._path(
                target.datatype, MODEL_SPACE, REFERENCE_DESC, suffix, acquired.entities.get("task")
            )
            sidecar = self._sidecar(description, MODEL_SPACE, path, acquired.files)
            self._image(path, volume, mask_sidecar(sidecar) if suffix == "mask" else sidecar, dtype)

    def _source_in(self, space: str) -> tuple[Volume, Volume]:
        """The acquired mean, zero outside the brain, and the mask."""
        prepared = self.prepared
        known = {
            "native": (prepared.reference, prepared.mask),
            MODEL_SPACE: (prepared.model, prepared.model_mask),
        }
        image, mask = known.get(space) or (
            to_atlas(prepared.reference, prepared.alignment, "bspline"),
            to_atlas(prepared.mask, prepared.alignment, "nearest"),
        )
        return image.like(image.data.clip(0) * (mask.data > 0)), mask

    def _carry_model(self, volume: Volume, space: str) -> Volume:
        carry = {"native": to_native, ATLAS_SPACE: to_atlas}.get(space)
        return carry(volume, self.prepared.alignment) if carry else volume

    def _path(self, datatype: str, space: str, desc: str, suffix: str, task: str | None = None) -> Path:
        return derivative_path(
            self.config.output_dir,
            self.visit.subject,
            self.visit.session,
            datatype,
            task=task or self.series.entities.get("task"),
            space=None if space == "native" else space,
            res=None if space == "native" else "2",
            desc=desc,
            suffix=suffix,
            extension=".nii.gz",
        )

    def _sidecar(
        self, description: str, space: str, path: Path, others: Sequence[Path] = ()
    ) -> dict[str, Any]:
        inputs = [
            *others,
            *self.series.files,
            *([self.t1w] if self.t1w and self.prepared.alignment.through_t1w else []),
        ]
        datasets = {RAW_DATASET: self.config.bids_dir, **self.config.selection.derivatives}
        sources = [source_uri(file, datasets) for file in inputs]
        return volume_sidecar(
            description=self._marked(description),
            sources=sources,
            space=space,
            reference=bids_uri("", path, self.config.output_dir) if space == MODEL_SPACE else sources[0],
            skull_stripped=True,
            resolution=None if space == "native" else RESOLUTION,
        )

    def _marked(self, description: str) -> str:
        return f"{TEST_MARK}{description}" if self.config.prep.sloppy else description

    def _account(self) -> dict[str, Any]:
        """What preprocessing did, on which grounds, and what a reader should know about it."""
        through_t1w = self.prepared.alignment.through_t1w
        return self.prepared.facts | {"through_t1w": through_t1w, "warnings": list(self.warnings)}

    def _image(self, path: Path, volume: Volume, sidecar: Mapping[str, Any], dtype: Any = np.float32) -> None:
        description = DESCRIP if sidecar.get("SyntheticData") else "pds-bids"
        write_volume(path, volume, description=self._marked(description), dtype=dtype)
        beside = path.with_name(path.name.removesuffix(".nii.gz") + ".json")
        write_json(beside, sidecar)
        self.written += [path, beside]

    def _write_transforms(self) -> None:
        suffix = self.series.modality.mean_suffix
        ends = [(suffix, ATLAS_SPACE), (ATLAS_SPACE, suffix)]
        forward, inverse = (
            derivative_path(
                self.config.output_dir,
                self.visit.subject,
                self.visit.session,
                self.series.modality.datatype,
                task=self.series.entities.get("task"),
                suffix="xfm",
                extension=".h5",
                **{"from": start, "to": end, "mode": "image"},
            )
            for start, end in ends
        )
        with atomic_write(forward) as to_atlas_h5, atomic_write(inverse) as from_atlas_h5:
            write_transforms(self.prepared.alignment, to_atlas_h5, from_atlas_h5)
        self.written += [forward, inverse]


MEANING = {
    Modality.BOLD: "mean of the motion-corrected series, N4 bias field correction",
    Modality.DWI: "mean of the aligned diffusion-weighted volumes of one shell, N4 bias field correction",
}


def _meaning(series: Series) -> str:
    reused = series.reused
    if reused and reused.is_reference:
        return f"reference image of {reused.dataset}, N4 bias field correction"
    return MEANING[series.modality]


def _images(made: Synthesised, save_draws: bool) -> Iterator[tuple[str, Volume, str, str]]:
    """The `desc-` label, volume, description and units of everything synthesised."""
    record, n_draws = made.record, made.record.num_samples
    estimate = f"{record.target.full_name} estimated from {record.source.full_name}"
    error = f"Standard deviation of the error of the synthetic volume, {CALIBRATION}"
    yield "synth", made.volume, estimate, RELATIVE_UNITS
    yield "synthstd", made.sd, error, SD_UNITS
    if made.draws:
        yield "synthdrawmean", made.draws.mean, f"Mean of {n_draws} draws", RELATIVE_UNITS
    if made.draws and made.draws.sd:
        yield "synthdrawstd", made.draws.sd, f"Standard deviation of {n_draws} draws", SD_UNITS
    if made.draws and save_draws:
        for number, volume in enumerate(made.draws.volumes, start=1):
            yield f"{DRAW_DESC}{number}", volume, f"Draw {number} of {n_draws}", RELATIVE_UNITS


def _json(record: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values; what has none is left out."""
    return {
        name: value.value if isinstance(value, Modality) else value
        for name, value in record.items()
        if value is not None
    }
