import base64
import io
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from pds_bids.core.errors import GridMismatch
from pds_bids.core.volume import Volume, load_volume
from pds_bids.report.encoding import to_png, to_svg
from pds_bids.report.figures import Row, comparison, mosaic, overlay
from pds_bids.report.patterns import pattern_maps
from pds_bids.report.sheet import CONVENTION, SYNTHETIC

HOSTILE = """<script>alert("1")</script> & $\\frac{1}{ 'ü'"""


def texts(svg: str) -> list[str]:
    """What a reader of the figure reads."""
    return ["".join(node.itertext()) for node in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def pictures(svg: str) -> list[Image.Image]:
    """Those inside."""
    found = re.findall(r"data:image/png;base64,([^\"]+)", svg)
    return [Image.open(io.BytesIO(base64.b64decode(png))) for png in found]


def test_every_slice_of_a_synthetic_volume_says_so(make_head):
    written = texts(to_svg(mosaic(make_head(), title="trace", synthetic=True, n_slices=5)))
    assert written.count(SYNTHETIC) == 15


def test_the_word_lies_inside_its_slice_and_hides_little_of_the_head(make_head):
    figure = mosaic(make_head(), title="trace", synthetic=True)
    figure.canvas.draw()
    axes = figure.axes[0]
    head = axes.images[0].get_array().filled(0) > 0.1
    hidden = np.zeros_like(head)
    for stamp in (text for text in axes.texts if text.get_text() == SYNTHETIC):
        box = stamp.get_window_extent().transformed(axes.transData.inverted())
        (left, bottom), (right, top) = box.get_points()
        assert 0 <= left < right <= head.shape[1]
        assert 0 <= top < bottom <= head.shape[0]
        hidden[round(top) : round(bottom), round(left) : round(right)] = True
    assert hidden.any()
    assert (hidden & head).sum() < 0.05 * head.sum()


def test_an_acquired_volume_is_not_called_synthetic(make_head):
    head = make_head()
    for figure in (mosaic(head, title="boldref", synthetic=False), overlay(head, head, title="mask")):
        assert SYNTHETIC not in to_svg(figure)


def test_a_comparison_marks_the_synthetic_rows_only(make_head):
    rows = [Row("acquired BOLD", make_head(), False), Row("synthesised BOLD", make_head(), True)]
    written = texts(to_svg(comparison(rows, title="sub-01")))
    assert written.count(SYNTHETIC) == 7
    assert {"acquired BOLD", "synthesised BOLD"} <= set(written)


def test_figures_name_sides_convention_window_and_quantity(make_head):
    figure = mosaic(make_head(), title="sd", synthetic=True, vmax=2.5, cmap="magma", label="relative units")
    written = texts(to_svg(figure))
    assert [written.count(letter) for letter in "LRPA"] == [2, 2, 1, 1]
    footer = next(line for line in written if line.startswith(CONVENTION))
    assert "window 0 to 2.5" in footer
    assert any(line.startswith("relative units") for line in written)


def test_letter_l_stands_left_of_r_as_the_marker_does(make_head, stored_as):
    figure = mosaic(stored_as(make_head(), "LAS"), title="boldref", synthetic=False, n_slices=1)
    axes = figure.axes[0]
    at = {text.get_text(): text.get_position()[0] for text in reversed(axes.texts)}
    axial = axes.images[0].get_array()[:100]
    marker = np.nonzero(axial.filled(0) > 0.9)[1].mean()
    assert at["L"] < marker < (at["L"] + at["R"]) / 2


def test_same_volume_same_bytes(make_head):
    def draw() -> str:
        return to_svg(overlay(make_head(), make_head(), title="mask", synthetic=True, kind="edges"))

    assert draw() == draw()
    assert "dc:date" not in draw()


def test_a_title_is_text_and_never_markup(make_head):
    svg = to_svg(mosaic(make_head(), title=HOSTILE, synthetic=False, n_slices=1))
    assert HOSTILE in texts(svg)
    assert "<script" not in svg


@pytest.mark.parametrize("cmap", ["gray", "viridis"])
def test_a_smaller_picture_has_the_same_colours(cmap, make_head):
    head = make_head()
    figure = mosaic(head, title="boldref", synthetic=False, n_slices=2, cmap=cmap)
    image = figure.axes[0].images[0]
    drawn = image.to_rgba(image.get_array(), bytes=True)[..., :3].astype(int)
    (picture,) = pictures(to_svg(figure))
    assert picture.mode == ("L" if cmap == "gray" else "P")
    assert np.abs(np.asarray(picture.convert("RGB")) - drawn).max() <= (cmap != "gray")


@pytest.mark.parametrize("form", ["pdf", "eps", "png"])
def test_a_figure_can_be_saved_in_other_forms(form, make_head):
    buffer = io.BytesIO()

    mosaic(make_head(), title="boldref", synthetic=False, n_slices=1).savefig(buffer, format=form)

    assert len(buffer.getvalue()) > 10_000


def test_a_figure_can_be_zoomed(make_head):
    figure = mosaic(make_head(), title="boldref", synthetic=False, n_slices=1)
    figure.axes[0].set_xlim(10, 60)
    assert "clip-path" in to_svg(figure)

    figure.axes[0].set_xlim(1000, 1010)

    assert pictures(to_svg(figure)) == []


def test_what_is_seen_through_stays_so(make_head):
    figure = mosaic(make_head(), title="boldref", synthetic=False, n_slices=1)
    image = figure.axes[0].images[0]
    image.set_cmap(image.get_cmap().with_extremes(bad="none"))

    (picture,) = pictures(to_svg(figure))

    assert picture.getchannel("A").getextrema() == (0, 255)


def test_what_has_no_value_shows_what_lies_behind(make_head):
    head = make_head()
    values = head.like(np.where(head.data > 0, 0.5, np.nan))

    below, above, *_ = pictures(to_svg(pattern_maps(head, {"d": values}, title="d", label="d")))

    assert below.mode == "L"
    assert above.getchannel("A").getextrema() == (0, 255)


@pytest.mark.parametrize("kind", ["contour", "edges"])
def test_outlines_follow_the_surface(make_head, kind):
    head = make_head()
    skull = head.like(head.data > 0)
    figure = overlay(head, skull, title="mask", kind=kind, n_slices=1)
    axes = figure.axes[0]
    points = axes.lines[0].get_xydata()
    points = points[np.isfinite(points).all(axis=1)]
    surface = axes.images[0].get_array().filled(0) > 0.1
    x, y = points.round().astype(int).T
    near = [surface[max(j - 4, 0) : j + 5, max(i - 4, 0) : i + 5] for i, j in zip(x, y, strict=True)]
    assert len(near) > 50
    assert all(patch.any() and not patch.all() for patch in near)


def test_the_window_comes_from_the_mask(make_head):
    head = make_head()
    mask = head.like((head.data > 0) & (head.data < 2))
    image = mosaic(head, title="boldref", synthetic=False, mask=mask).axes[0].images[0]
    assert image.get_array().max() == pytest.approx(4.0, abs=0.05)  # the marker, four times the window


@pytest.mark.parametrize("value", [0.0, 7.0, np.nan])
def test_a_flat_volume_is_drawn_all_the_same(value):
    flat = Volume(np.full((9, 8, 7), value, np.float32), np.eye(4))
    assert to_png(mosaic(flat, title="flat", synthetic=False)).startswith(b"\x89PNG")
    assert to_png(overlay(flat, flat, title="flat", kind="edges")).startswith(b"\x89PNG")


def test_another_grid_is_refused(make_head):
    head = make_head()
    other = Volume(head.data[1:], head.affine)
    with pytest.raises(GridMismatch):
        mosaic(head, title="boldref", synthetic=False, mask=other)
    with pytest.raises(GridMismatch):
        overlay(head, other, title="mask")
    with pytest.raises(GridMismatch):
        comparison([Row("a", head, False), Row("b", other, True)], title="sub-01")


def test_no_figure_is_left_in_global_state(make_head):
    from matplotlib._pylab_helpers import Gcf

    to_svg(mosaic(make_head(), title="boldref", synthetic=False, n_slices=1))
    assert not Gcf.figs


@pytest.mark.parametrize(
    "subject", ["sub-01/func/sub-01_task-rest_desc-mean_boldref", "sub-03/dwi/sub-03_desc-mean_dwiref"]
)
def test_a_real_figure_is_small(shared_data, subject):
    volume = load_volume(shared_data / "bids_real/derivatives/meanrefs" / f"{subject}.nii.gz")
    svg = to_svg(mosaic(volume, title="acquired", synthetic=False))
    assert 20_000 < len(svg) < 400_000
