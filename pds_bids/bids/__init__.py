"""BIDS in, BIDS derivatives out: the only user of pybids."""
