"""Networks and the mathematics around them: torch only."""
