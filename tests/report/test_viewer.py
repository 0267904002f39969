"""Pages with scripts, used in a browser as a reader uses them."""

from __future__ import annotations

import re

import numpy as np
import pytest

from pds_bids.core.errors import GridMismatch
from pds_bids.core.modality import Modality
from pds_bids.report.histogram import histograms
from pds_bids.report.overview import Entry, OverviewPage, Spread, render_overview
from pds_bids.report.viewer import viewer

from ..chromium import dom_of, needs_chromium, said_after

HOSTILE = """"><script>alert('1')</script><img src=x onerror=alert(1)>"""


@pytest.fixture(scope="module")
def overview() -> str:
    names = {"status": "Status", "snr": "Signal to noise"}
    entries = [
        Entry(
            f"sub-{k:03}",
            f"sub-{k:03}.html",
            f"{k}.png",
            {"status": "complete", "snr": 300.5 - k},
            ["snr"] * (k == 7),
        )
        for k in range(250)
    ]
    entries += [Entry("sub-999", "", "", {"status": "failed", "snr": None})]
    return render_overview(OverviewPage({}, [], [], [Spread("SNR", np.arange(9.0))], names, entries))


@needs_chromium
@pytest.mark.slow
def test_visits_are_sorted_and_searched_in_a_browser(overview, tmp_path):
    page = tmp_path / "group.html"
    page.write_text(overview)
    script = """
      const top = () => body.rows[0].cells[0].textContent + " " + shown.textContent;
      const [name, , snr] = visits.tHead.querySelectorAll("button");
      const said = [top()];
      snr.click(); said.push(top());
      snr.click(); said.push(top());
      name.click(); more.click(); said.push(top());
      search.value = "failed"; search.dispatchEvent(new Event("input")); said.push(shown.textContent);
      search.value = ""; flagged.click(); said.push(shown.textContent);
      said.push(visits.querySelectorAll("img").length);
      told = said.join("; ");
    """
    assert said_after(page, script) == (
        "sub-000 100 of 251; sub-249 100 of 251; sub-999 100 of 251; sub-000 200 of 251; 1 of 1; 1 of 1; 250"
    )
    # the page as it is, with the policy that lets no script run but its own
    assert 'role="status">100 of 251<' in dom_of(page)


def test_the_only_script_is_the_page_s_own():
    entry = Entry(HOSTILE, HOSTILE, HOSTILE, {"a": HOSTILE}, [HOSTILE])
    html = render_overview(OverviewPage({HOSTILE: HOSTILE}, [HOSTILE], [], [], {"a": HOSTILE}, [entry]))
    assert html.count("<script>") == 1
    assert "onerror=alert(1)>" not in html
    assert re.search(r"script-src 'sha256-[\w+/]{43}='\"", html)


@pytest.fixture(scope="module")
def scrolled(make_head) -> str:
    head = make_head()
    return viewer(head, head.like(head.data.max() - head.data), head.like(head.data > 0), Modality.DWI)


@pytest.fixture(scope="module")
def make_head():
    """A head of two intensities on a grid of 3 mm."""
    from pds_bids.core.volume import Volume

    def make(shape=(40, 48, 44)) -> Volume:
        affine = np.diag([3.0, 3.0, 3.0, 1.0])
        affine[:3, 3] = [-1.5 * n for n in shape]
        points = np.moveaxis(np.indices(shape), 0, -1) / np.array(shape) * 2 - 1
        inside = np.linalg.norm(points, axis=-1) < 0.8
        return Volume((inside + 2.0 * (inside & (points[..., 0] > 0))).astype(np.float32), affine)

    return make


def test_the_viewer_is_complete_in_itself_and_always_the_same(scrolled, make_head):
    head = make_head()
    assert (
        viewer(head, head.like(head.data.max() - head.data), head.like(head.data > 0), Modality.DWI)
        == scrolled
    )
    assert "default-src 'none'" in scrolled
    assert "SYNTHETIC mean dMRI (trace)" in scrolled
    assert not re.findall(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//", scrolled)
    assert len(scrolled) < 400_000


def test_the_viewer_wants_one_grid(make_head):
    with pytest.raises(GridMismatch):
        viewer(make_head(), make_head((30, 30, 30)), make_head(), Modality.DWI)


@needs_chromium
@pytest.mark.slow
def test_a_click_moves_the_viewer_and_the_slider_fades(scrolled, tmp_path):
    page = tmp_path / "viewer.html"
    page.write_text(scrolled)
    script = """
      const canvas = document.querySelector("canvas"), slider = document.querySelector("input");
      const box = canvas.getBoundingClientRect(), said = [];
      const seen = () => canvas.toDataURL();
      const changed = (act) => { const was = seen(); act(); said.push(was !== seen()); };
      const at = { clientX: box.left + 0.2 * box.width, clientY: box.top + 0.4 * box.height, bubbles: true };
      changed(() => canvas.dispatchEvent(new MouseEvent("click", at)));
      changed(() => { slider.value = 1; slider.oninput(); });
      changed(() => {});
      told = said.join();
    """
    assert said_after(page, script) == "true,true,false"


def test_histograms_name_what_they_show():
    drawn = histograms({"acquired": np.ones(9), "SYNTHETIC": np.array([0.5, 9.0])}, title="Brain")
    (axes,) = drawn.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["acquired", "SYNTHETIC"]
    assert all(stairs.get_data().values.sum() == pytest.approx(100) for stairs in axes.patches)
