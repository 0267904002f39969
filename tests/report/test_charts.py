"""Charts: every kind says what its numbers say, and no text is markup."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.text import Text

from pds_bids.report.charts import KINDS, chart
from pds_bids.report.encoding import to_svg
from pds_bids.report.panels import COLOURS, QUIET, intervals, numbers

HOSTILE = """<script>alert("1")</script> & $\\frac{1}{ 'ü'"""

DATA = {
    "bland-altman": {
        "series": {
            "ours": {"mean": [1.0, 1.1, 0.9, None], "difference": [0.1, 0.3, 0.2, None]},
            "template": {"mean": [1.0, 1.2], "difference": [-0.5, -0.5]},
        },
        "unit": "median",
    },
    "calibration": {"nominal": [0.5, 0.9], "series": {"grey": [0.4, 0.8], "white": [0.6, None]}},
    "sparsification": {
        "fraction": [0.0, 0.5],
        "series": {"ours": [1.0, 0.8], "draws": [1.0, 0.9]},
        "oracle": {"ours": [1.0, 0.4]},
    },
    "confusion": {"labels": ["NC", "AD"], "matrices": {"real": [[17, 3], [0, 0]], "both": [[9, 1], [2, 8]]}},
    "matrix": {
        "rows": ["oasis", "adni"],
        "columns": ["oasis", "adni"],
        "values": [[20.1, 17.9], [None, 19.5]],
        "unit": "dB",
        "flagged": [[False, True], [False, False]],
    },
    "lines": {
        "x": [5, 10],
        "x_label": "volumes",
        "y_label": "correlation",
        "series": {"ours": [[0.9, 0.8, 0.95], None], "source": [0.7, 0.8]},
    },
    "forest": {
        "x_label": "gain",
        "reference": 0,
        "series": {
            "better": [1.0, 0.5, 1.5],
            "worse": [-1.0, -1.5, -0.5],
            "same": [0.1, -0.1, 0.3],
            "no": None,
        },
    },
}


def texts(svg: str) -> list[str]:
    """What a reader of the chart reads."""
    return ["".join(node.itertext()) for node in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_the_examples_are_of_all_kinds():
    assert set(DATA) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_chart_holds_its_title_and_the_name_of_everything_it_draws(kind):
    written = texts(to_svg(chart(kind, "What it shows", DATA[kind])))
    named = DATA[kind].get("series") or DATA[kind].get("matrices") or DATA[kind]["rows"]
    assert {"What it shows", *named} <= set(written)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_numbers_give_the_same_bytes(kind):
    assert to_svg(chart(kind, "a", DATA[kind])) == to_svg(chart(kind, "a", DATA[kind]))


def test_no_text_is_markup():
    data = {"x": [HOSTILE], "x_label": HOSTILE, "y_label": HOSTILE, "series": {HOSTILE: [1.0]}}
    svg = to_svg(chart("lines", HOSTILE, data))
    assert texts(svg).count(HOSTILE) == 5
    assert "<script" not in svg


def test_a_chart_of_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="pie; choose from bland-altman"):
        chart("pie", "a", {})


def test_limits_of_agreement_are_those_of_the_differences():
    panel, other = chart("bland-altman", "a", DATA["bland-altman"]).axes
    levels = [line.get_ydata()[0] for line in panel.lines]
    spread = 1.96 * np.std([0.1, 0.3, 0.2])
    assert levels == pytest.approx([0.2, 0.2 - spread, 0.2 + spread])
    assert [line.get_ydata()[0] for line in other.lines] == pytest.approx([-0.5] * 3)


def test_only_an_interval_on_one_side_of_no_effect_is_coloured():
    rows = [line for line in chart("forest", "a", DATA["forest"]).axes[0].lines if line.get_marker() == "o"]
    assert [line.get_color() for line in rows] == [COLOURS[0], COLOURS[1], QUIET, QUIET]
    assert rows[2].get_markerfacecolor() == "white"
    assert "1.00 [0.50, 1.50]" in texts(to_svg(chart("forest", "a", DATA["forest"])))


def test_what_is_flagged_is_marked_by_more_than_colour():
    written = texts(to_svg(chart("matrix", "a", DATA["matrix"])))
    assert {"17.9 !", "20.1", "n/a", "! flagged"} <= set(written)
    calm = DATA["matrix"] | {"flagged": [[False, False], [False, False]]}
    assert not any("!" in text for text in texts(to_svg(chart("matrix", "a", calm))))


def test_counts_are_read_where_a_label_has_no_subject():
    written = texts(to_svg(chart("confusion", "a", DATA["confusion"])))
    assert [written.count(text) for text in ("17", "3", "0", "predicted", "true")] == [1, 1, 2, 2, 2]


def test_names_are_joined_by_no_line_and_numbers_are():
    joined, named = (
        chart("lines", "a", DATA["lines"] | {"x": x, "series": {"ours": [1, 2]}}).axes[0].lines[0]
        for x in ([5, 10], ["off", "mask"])
    )
    assert (joined.get_linestyle(), named.get_linestyle()) == ("-", "None")


def test_series_differ_by_marker_as_well_as_by_colour():
    data = DATA["lines"] | {"series": {str(k): [k, k] for k in range(7)}}
    lines = chart("lines", "a", data).axes[0].lines
    assert len({line.get_marker() for line in lines}) == len({line.get_color() for line in lines}) == 7


def test_what_is_unknown_is_nan():
    assert np.isnan(numbers([[1, None]])[0, 1])
    assert intervals([2, [1, 0, 3]]).tolist() == [[2, 2, 2], [1, 0, 3]]
    assert np.isnan(intervals([None])).all()


@pytest.mark.parametrize("kind", KINDS)
def test_text_is_legible_at_700_pixels(kind):
    figure = chart(kind, "a", DATA[kind])
    sizes = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text()]
    assert min(sizes) / 72 * 700 / figure.get_figwidth() > 10


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "series" in DATA[kind]])
@pytest.mark.filterwarnings("error")
def test_a_chart_of_nothing_says_so(kind):
    written = texts(to_svg(chart(kind, "Gains", DATA[kind] | {"series": {}})))
    assert written == ["nothing to show: no subject has a value", "Gains"]
