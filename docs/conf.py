from functools import partialmethod
from html import escape
from importlib import metadata

import click
from docutils import nodes
from matplotlib import rc_context
from matplotlib.path import Path
from matplotlib.textpath import TextPath

# The commands show defaults by their context settings, which sphinx-click does not read.
click.Context.__init__ = partialmethod(click.Context.__init__, show_default=True)

project = "pds-bids"
author = copyright = "The pds-bids developers"
release = metadata.version(project)

extensions = ["sphinx.ext.autodoc", "numpydoc", "sphinx_click", "sphinx_gallery.gen_gallery"]
autodoc_typehints = "none"
numpydoc_show_class_members = False
default_role = "literal"
highlight_language = "bash"
smartquotes_action = "qe"  # not D: options keep their two hyphens

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "show_memory": False,
    "abort_on_example_error": True,
}

html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_math_renderer = "mathtext"
exclude_patterns = ["_build"]
nitpicky = True

EM = 100
PEN = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C"}


def equation(tex):
    """An equation as SVG in the colour of the text: pages are also read where there is no network."""
    with rc_context({"mathtext.fontset": "stix"}):
        path = TextPath((0, 0), f"${' '.join(tex.split())}$", size=EM)
    drawn = "".join(
        PEN[code] + " ".join(f"{v:.1f}" for v in points * ([1, -1] * (len(points) // 2)))
        if code in PEN
        else "Z"
        for points, code in path.iter_segments(simplify=False)
    )
    left, bottom, width, height = path.get_extents().bounds
    box = f"{left:.1f} {-bottom - height:.1f} {width:.1f} {height:.1f}"
    size = f'width="{width / EM:.3f}em" height="{height / EM:.3f}em" viewBox="{box}"'
    style = f'style="vertical-align: {bottom / EM:.3f}em" role="img" aria-label="{escape(tex)}"'
    return f'<svg class="equation" {size} {style}><path d="{drawn}"/></svg>'


NOISE = ("Sentinel.UNSET", ":options: preproc")
"""What click tells of an option that has no default, and of flags that exclude each other."""


def without_noise(app, ctx, lines):
    """Leave out what says nothing to the reader of an option."""
    lines[:] = [line for line in lines if not any(noise in line for noise in NOISE)]


def setup(app):
    """Draw equations when pages are built, and tidy the options."""

    def visit(translator, node):
        drawn = equation(node.astext())
        block = isinstance(node, nodes.math_block)
        translator.body.append(f'<div class="equation">{drawn}</div>' if block else drawn)
        raise nodes.SkipNode

    app.add_html_math_renderer("mathtext", inline_renderers=(visit, None), block_renderers=(visit, None))
    app.connect("sphinx-click-process-options", without_noise)
