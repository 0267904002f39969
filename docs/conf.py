from importlib import metadata

project = "pds-bids"
author = copyright = "The pds-bids developers"
release = metadata.version(project)

html_theme = "furo"
exclude_patterns = ["_build"]
nitpicky = True
