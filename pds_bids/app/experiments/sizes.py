"""On how many simulated people each experiment is done."""

FULL = {"evaluate": 24, "ablate": 12, "diagnosis": 90, "pattern": 24, "sites": 8, "trust": 32}

QUICK = {"evaluate": 3, "ablate": 1, "diagnosis": 18, "pattern": 18, "sites": 1, "trust": 4}
"""Shows within minutes that everything runs; far too few people to conclude anything from."""
