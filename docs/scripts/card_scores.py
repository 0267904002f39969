"""Put the scores of an evaluation into a model's card.

Usage, after ``pds-model evaluate ... --out docs/results/held_out.tsv``::

    python docs/scripts/card_scores.py docs/results/held_out.json pds_bids/weights/base.safetensors
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pds_bids.models.checkpoint import annotate

if __name__ == "__main__":
    results, checkpoint = map(Path, sys.argv[1:])
    annotate(checkpoint, metrics=json.loads(results.read_text(encoding="utf-8"))["rows"])
