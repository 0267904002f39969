"""`from pds_bids import synthesise`: one image in, one volume out, by the same steps as the command."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pds_bids.app.process import process
from pds_bids.app.provenance import new_run_id
from pds_bids.bids.inventory import inventory
from pds_bids.bids.naming import BidsName
from pds_bids.core.config import Config, OutputConfig, PrepConfig, SynthesisConfig
from pds_bids.core.errors import PdsError, UsageError
from pds_bids.core.modality import Modality
from pds_bids.core.volume import Volume, load_volume

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUBJECT = "image"


@dataclass(frozen=True)
class Picture:
    """A figure that a notebook shows, whatever its settings are; `figure.savefig` keeps it."""

    figure: Figure

    def _repr_html_(self) -> str:
        from pds_bids.report.encoding import to_svg

        return f"<div style='max-width: 60em'>{to_svg(self.figure)}</div>"


@dataclass(frozen=True)
class SyntheticVolume(Volume):
    """A synthesised mean volume on the grid of its source.

    Attributes
    ----------
    sd
        Standard deviation of the error that the model expects, same grid.
    sidecar
        What the command would write beside it.
    """

    sd: Volume = field(kw_only=True)
    sidecar: dict[str, Any] = field(kw_only=True)

    def plot(self) -> Picture:
        """Slices in three planes, marked as synthetic."""
        from pds_bids.report.figures import mosaic

        return Picture(mosaic(self, title=self._title, synthetic=True))

    def plot_sd(self) -> Picture:
        """The same slices of the uncertainty."""
        from pds_bids.report.figures import mosaic

        label = "standard deviation, in units of the volume"
        return Picture(mosaic(self.sd, title=self._title, synthetic=True, cmap="magma", label=label))

    @property
    def _title(self) -> str:
        return str(self.sidecar["Description"]).partition(";")[0]


def synthesise(
    image: str | Path,
    t1w: str | Path | None = None,
    *,
    modality: Modality | str | None = None,
    model: str = "base",
    seed: int = 0,
    threads: int = 1,
    device: str = "auto",
) -> SyntheticVolume:
    """Synthesise what is missing beside a BOLD or a DWI series.

    Parameters
    ----------
    image
        4D NIfTI; a DWI series has `.bval` and `.bvec` beside it, and either may have a `.json`.
    t1w
        A T1w image of the same person: better with one.
    modality
        `bold` or `dwi`; by default what the name of the image ends on.
    model
        Name of bundled weights, or a checkpoint.
    seed, threads, device
        As of the command; one thread gives the same bits each time.

    Raises
    ------
    UsageError
        If nothing says what modality the image is of.
    PdsError
        What the command would say of it.
    """
    source = Path(image).absolute()
    given = _modality(source, modality)
    with tempfile.TemporaryDirectory(prefix="pds-bids-") as folder:
        bids, out, work = (Path(folder) / name for name in ("bids", "out", "work"))
        work.mkdir()
        _write_dataset(bids, source, given, None if t1w is None else Path(t1w).absolute())
        config = Config(
            bids_dir=bids,
            output_dir=out,
            work_dir=work,
            prep=PrepConfig(threads=threads, seed=seed),
            synthesis=SynthesisConfig(model=model, seed=seed, threads=threads, device=device),
            output=OutputConfig(spaces=("native",)),
        )
        [visit] = inventory(bids, config.selection)
        result = process(config, visit, new_run_id())
        if result.status != "complete":
            raise PdsError(_with_own_names(result.message, bids))
        return _load(out, given.other)


def _modality(image: Path, said: Modality | str | None) -> Modality:
    stem = image.name.partition(".")[0]
    word = said or stem.rpartition("_")[2]
    if word not in list(Modality):
        raise UsageError(f"{image}: is it fMRI or dMRI? its name does not say; give modality='bold' or 'dwi'")
    return Modality(word)


def _write_dataset(bids: Path, image: Path, modality: Modality, t1w: Path | None) -> None:
    """One subject, whose files are links."""
    task = {"task": "rest"} if modality is Modality.BOLD else {}
    _link(image, bids / f"sub-{SUBJECT}" / modality.datatype, {"sub": SUBJECT, **task}, modality)
    if t1w is not None:
        _link(t1w, bids / f"sub-{SUBJECT}" / "anat", {"sub": SUBJECT}, "T1w")
    description = {"Name": image.name, "BIDSVersion": "1.10.0"}
    (bids / "dataset_description.json").write_text(json.dumps(description))


def _link(image: Path, folder: Path, entities: dict[str, str], suffix: str) -> None:
    """Link an image and what lies beside it under its name."""
    stem, dot, extension = image.name.partition(".nii")
    folder.mkdir(parents=True)
    for ending in (dot + extension, ".json", ".bval", ".bvec"):
        beside = image.with_name(stem + ending)
        if beside.exists() or beside == image:
            (folder / BidsName(entities, suffix, ending).compose()).symlink_to(beside)


def _with_own_names(message: str, bids: Path) -> str:
    """A message that names the links as the files that they lead to."""
    for link in filter(Path.is_symlink, bids.rglob("*")):
        message = message.replace(str(link), str(link.readlink()))
    return message


def _load(out: Path, target: Modality) -> SyntheticVolume:
    found = {}
    for desc in ("synth", "synthstd"):
        [found[desc]] = out.rglob(f"*_desc-{desc}_{target.mean_suffix}.nii.gz")
    volume, sd = (load_volume(path) for path in found.values())
    sidecar = json.loads(Path(str(found["synth"]).replace(".nii.gz", ".json")).read_text())
    return SyntheticVolume(volume.data, volume.affine, volume.space, sd=sd, sidecar=sidecar)
