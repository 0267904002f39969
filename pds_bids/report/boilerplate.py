"""The methods section, written from what was done in one run, and the works it cites.

The words stand in `templates/methods.txt`, the bibliography in `templates/references.toml`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pds_bids.core.modality import Modality
from pds_bids.core.volume import ATLAS_SPACE
from pds_bids.report.templating import TEMPLATES, environment

_REDUCTION: Mapping[Modality, str] = {
    Modality.BOLD: "non-steady-state volumes, if any, were dropped and the others aligned rigidly",
    Modality.DWI: "the diffusion-weighted volumes of one shell were selected and aligned",
}


@dataclass(frozen=True)
class MethodFacts:
    """What the methods section is written from.

    Attributes
    ----------
    app_version
        Version of pds-bids.
    source, target
        Modality the synthesis started from, and the one it made.
    n_volumes
        Volumes of the source series that were averaged.
    through_t1w
        The source was registered by way of the participant's T1-weighted image.
    t1w_context
        The network saw the T1-weighted image beside the source.
    native
        The outputs were also carried to the grid of the source.
    nonlinear
        The outputs were also warped to the atlas by SyN.
    model, model_version, weights_sha256
        Which weights.
    num_samples, steps, seed
        Draws (0: the point estimate alone), steps of each (None without draws), and the user's random seed.
    sloppy
        Coarse settings, meant for tests.
    evaluated
        The target had been acquired as well, and the synthesised volume was scored against it.
    reused_from
        Name of the dataset whose reference image took the place of the series' mean, or None.
    versions
        Software, name to version.
    """

    app_version: str
    source: Modality
    target: Modality
    n_volumes: int
    through_t1w: bool
    t1w_context: bool
    native: bool
    nonlinear: bool
    model: str
    model_version: str
    weights_sha256: str
    num_samples: int
    steps: int | None
    seed: int
    sloppy: bool = False
    evaluated: bool = False
    reused_from: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


def methods(facts: MethodFacts) -> list[str]:
    """The paragraphs of the methods section; the first sentence says that the volume is synthetic."""
    template = environment(escape=False).get_template("methods.txt")
    text = template.render(facts=facts, reduction=_REDUCTION[facts.source], atlas=ATLAS_SPACE)
    paragraphs = (_one_line(block) for block in re.split(r"\n\s*\n", text))
    return [paragraph for paragraph in paragraphs if paragraph]


def references(paragraphs: Sequence[str]) -> list[str]:
    """Bibliography of the works that paragraphs cite, in the order of their first citation.

    Examples
    --------
    >>> references(["noise as in (Song et al., 2021)"])[0][:23]
    'Song J, Meng C, Ermon S'
    """
    entries = tomllib.loads((TEMPLATES / "references.toml").read_text(encoding="utf-8"))
    text = "\n".join(paragraphs)
    cited = sorted((key for key in entries if key in text), key=text.index)
    return [_one_line(entries[key]) for key in cited]


def _one_line(text: str) -> str:
    return " ".join(text.split())
