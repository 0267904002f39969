"""Workflows: join the other rooms; only here is it decided to go on after an error."""
