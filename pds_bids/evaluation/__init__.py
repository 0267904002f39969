"""What synthesised volumes are worth."""
