from importlib import metadata

project = "pds-bids"
author = copyright = "The pds-bids developers"
release = metadata.version(project)

extensions = ["sphinx.ext.autodoc", "numpydoc", "sphinx_click"]
autodoc_typehints = "none"
numpydoc_show_class_members = False

html_theme = "furo"
exclude_patterns = ["_build"]
nitpicky = True
