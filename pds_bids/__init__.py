"""pds-bids: synthesise a subject's missing mean fMRI or dMRI volume from the one that was acquired."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("pds-bids")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
