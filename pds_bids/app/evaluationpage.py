"""The page of one experiment or several, from the JSON that each has written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pds_bids.app.provenance import flat
from pds_bids.bids.writing import write_text
from pds_bids.core.errors import UsageError
from pds_bids.core.volume import MODEL_GRID, MODEL_SPACE, Volume, load_volume
from pds_bids.report.charts import chart
from pds_bids.report.encoding import to_svg
from pds_bids.report.figures import Row, comparison
from pds_bids.report.results import BANNERS, Chart, Part, ResultsPage, render_results
from pds_bids.report.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

About = Mapping[str, Any]
"""What an experiment's JSON says: how it was made, and `SHOWN`."""

SHOWN = ("experiment", "title", "findings", "tables", "charts")
"""Keys of what the page shows; the others, where they are plain values, tell how the numbers came about."""

SLICES = "slices"
"""Kind of chart whose images lie beside the JSON: `images`, name to path, and which names are
`acquired`; or maps of one `quantity`, all in one `window`."""

HEADINGS = {
    "target": "Target",
    "method": "Method",
    "n": "Subjects",
    "psnr_db": "PSNR (dB)",
    "psnr_whole_db": "PSNR, whole volume (dB)",
    "brain_fraction": "Brain / volume",
    "ssim": "SSIM",
    "mae": "MAE",
    "nmi": "NMI",
    "sharpness": "Sharpness",
    "crps": "CRPS",
    "ause": "AUSE",
    "main_gain_psnr_db": "Gain in PSNR (dB)",
    "main_gain_sharpness": "Gain in sharpness",
    "main_p_psnr_db": "p of the gain in PSNR",
    "main_p_sharpness": "p of the gain in sharpness",
}
"""Key of a column to its heading; other keys are written out."""


def write(path: Path, about: About) -> None:
    """Write the page of one experiment.

    Parameters
    ----------
    path
        Page, beside the JSON.
    about
        What the JSON says.

    Raises
    ------
    UsageError
        If it is not what an experiment says.
    """
    part = part_of(about, path)
    write_text(path, render_results(ResultsPage(part.title, [part])))


def run(results: Sequence[Path], out: Path) -> int:
    """Join experiments on one page, in the order given.

    Raises
    ------
    UsageError
        If one of `results` is not the JSON of an experiment.
    """
    parts = [part_of(load(path), path) for path in results]
    title = parts[0].title if len(parts) == 1 else "What the model is worth"
    write_text(out, render_results(ResultsPage(title, parts)))
    print(out)
    return 0


def load(path: Path) -> About:
    """What an experiment wrote.

    Raises
    ------
    UsageError
        If it cannot be read, or an experiment did not write it.
    """
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read ({error}); give the JSON of an experiment") from error
    if not isinstance(about, dict) or not set(SHOWN) <= about.keys():
        lacking = ", ".join(name for name in SHOWN if name not in about)
        raise UsageError(f"{path}: lacks {lacking}; give the JSON of an experiment")
    return about


def part_of(about: About, path: Path) -> Part:
    """What a page shows of an experiment.

    Parameters
    ----------
    path
        A file in the folder in which its images lie.

    Raises
    ------
    UsageError
        If a chart cannot be drawn from what it says.
    """
    return Part(
        title=about["title"],
        subjects=_subjects(about),
        findings=about["findings"],
        tables=tables_of(about),
        charts=list(charts_of(about, path)),
        command=about.get("command", ""),
        facts=_provenance(about),
    )


def _subjects(about: About) -> str:
    """Who was measured: as it says itself, or else people made from label maps, or those of a dataset."""
    if about.get("subjects") in list(BANNERS):
        return str(about["subjects"])
    return "simulated" if about.get("test_maps") or about.get("label_maps") else "dataset"


def tables_of(about: About) -> list[Table]:
    """The tables of an experiment."""
    made = []
    for title, rows in about["tables"].items():
        names = {name for row in rows for name in row}
        made.append(Table(title, rows, {name: HEADINGS.get(name, name.replace("_", " ")) for name in names}))
    return made


def charts_of(about: About, path: Path) -> Iterator[Chart]:
    """The charts of an experiment, drawn; `path` and errors as in `part_of`."""
    for told in about["charts"]:
        try:
            yield Chart(told["title"], to_svg(_drawn(told, path.parent)), told["caption"])
        except (KeyError, TypeError, ValueError) as error:
            fault = f"the chart {told.get('title')} cannot be drawn ({type(error).__name__}: {error})"
            raise UsageError(f"{path}: {fault}; run the experiment again") from error


def _drawn(told: Mapping[str, Any], folder: Path) -> Figure:
    if told["kind"] == SLICES:
        return _slices(told["title"], told["data"], folder)
    return chart(told["kind"], told["title"], told["data"])


def _slices(title: str, data: Mapping[str, Any], folder: Path) -> Figure:
    rows = _rows(data, folder)
    if "quantity" not in data:
        return comparison(rows, title=title)
    low, high = data["window"]
    return comparison(rows, title=title, window=(low, high), cmap="magma", label=data["quantity"])


def _rows(data: Mapping[str, Any], folder: Path) -> list[Row]:
    """Images as rows of one figure; each is SYNTHETIC that is neither a map nor said to be acquired."""
    acquired = data["images"] if "quantity" in data else data.get("acquired", ())
    return [Row(name, _image(folder / file), name not in acquired) for name, file in data["images"].items()]


def _image(path: Path) -> Volume:
    """A NIfTI image, or an array (X, Y, Z) on the model grid."""
    import numpy as np

    if path.suffix != ".npy":
        return load_volume(path, MODEL_SPACE)
    return Volume(np.load(path, allow_pickle=False), MODEL_GRID.affine, MODEL_SPACE)


def _provenance(about: About) -> dict[str, Any]:
    """How the numbers came about: what is not shown otherwise, less lists of records."""
    told = {name: value for name, value in about.items() if name not in (*SHOWN, "command")}
    return dict(flat({name: value for name, value in told.items() if not _holds_records(value)}))


def _holds_records(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(entry, list | Mapping) for entry in value)
