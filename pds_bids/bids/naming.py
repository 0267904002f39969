"""BIDS file names: what one says, and how one is composed."""

from __future__ import annotations

import re
from dataclasses import dataclass

ENTITY_ORDER = (
    "sub", "ses", "task", "acq", "ce", "rec", "dir", "run", "echo", "part",
    "hemi", "space", "from", "to", "mode", "res", "label", "desc",
)  # fmt: skip
"""The entities this program writes, in the order of BIDS (those of transforms as fMRIPrep has them)."""

_LABEL = re.compile(r"[0-9A-Za-z+]+")
_DIGITS = re.compile(r"(\d+)")


def is_label(text: str) -> bool:
    """Whether BIDS allows `text` as the value of an entity.

    >>> is_label("01"), is_label("01_old"), is_label("../..")
    (True, False, False)
    """
    return _LABEL.fullmatch(text) is not None


def slug(text: str) -> str:
    """Text as the name of a file.

    >>> slug("PDM, 8 steps, K = 4")
    'pdm-8-steps-k-4'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def natural_key(text: str) -> tuple[tuple[str, int], ...]:
    """Sort key that puts `run-2` before `run-10`.

    >>> sorted(["run-10", "run-2"], key=natural_key)
    ['run-2', 'run-10']
    """
    words = _DIGITS.split(text)
    numbers = [int(digits) for digits in words[1::2]] + [-1]
    return tuple(zip(words[::2], numbers, strict=True))


@dataclass(frozen=True)
class BidsName:
    """A file name taken apart.

    Attributes
    ----------
    entities
        Key to label in the order of the name, e.g. `{"sub": "01", "task": "rest"}`.
    suffix
        The last word, e.g. `bold`.
    extension
        From the first dot on, e.g. `.nii.gz`.
    """

    entities: dict[str, str]
    suffix: str
    extension: str

    @classmethod
    def parse(cls, filename: str) -> BidsName | None:
        """Take a file name apart; None where it is not made of `key-label` words and a suffix.

        Examples
        --------
        >>> BidsName.parse("sub-01_task-rest_bold.nii.gz")
        BidsName(entities={'sub': '01', 'task': 'rest'}, suffix='bold', extension='.nii.gz')
        >>> BidsName.parse("._sub-01_bold.nii.gz") is None
        True
        """
        stem, dot, extension = filename.partition(".")
        *words, suffix = stem.split("_")
        pairs = [word.split("-", 1) for word in words]
        if not (suffix.isalnum() and all(len(pair) == 2 and is_label(pair[1]) for pair in pairs)):
            return None
        return cls({pair[0]: pair[1] for pair in pairs}, suffix, dot + extension)

    def compose(self) -> str:
        """The file name, entities in the order of the specification.

        Raises
        ------
        ValueError
            If an entity is not in `ENTITY_ORDER`, or a part of the name could leave the folder.
        """
        for key, label in self.entities.items():
            if key not in ENTITY_ORDER or not is_label(label):
                raise ValueError(f"{key}-{label} is not a BIDS entity with a label of letters and digits")
        if not self.suffix.isalnum() or not re.fullmatch(r"(\.[0-9A-Za-z]+)*", self.extension):
            raise ValueError(f"{self.suffix}{self.extension} is not a BIDS suffix and extension")
        ordered = sorted(self.entities, key=ENTITY_ORDER.index)
        return "_".join([*(f"{key}-{self.entities[key]}" for key in ordered), self.suffix]) + self.extension
