from functools import partialmethod
from importlib import metadata

import click

# The commands show defaults by their context settings, which sphinx-click does not read.
click.Context.__init__ = partialmethod(click.Context.__init__, show_default=True)

project = "pds-bids"
author = copyright = "The pds-bids developers"
release = metadata.version(project)

extensions = ["sphinx.ext.autodoc", "numpydoc", "sphinx_click", "sphinx_gallery.gen_gallery"]
autodoc_typehints = "none"
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "show_memory": False,
    "abort_on_example_error": True,
}

html_theme = "furo"
exclude_patterns = ["_build"]
nitpicky = True
