"""What a checkpoint says about itself."""

from __future__ import annotations

import json


def text(model: str) -> str:
    """The model card of a bundled model or a file, as indented JSON with its SHA-256 and size.

    Raises
    ------
    UsageError
        If there is no such model.
    """
    from pds_bids.models.checkpoint import count_parameters, load_checkpoint

    checkpoint = load_checkpoint(model)
    networks = {name: count_parameters(net) for name, net in checkpoint.model.named_children()}
    card = {"name": checkpoint.name, "sha256": checkpoint.sha256, "parameters": networks} | checkpoint.card
    return json.dumps(card, indent=2)
