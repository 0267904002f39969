"""From pairs to weights."""
