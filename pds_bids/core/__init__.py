"""What every other room may use: volumes, modalities, configuration, errors, seeds. No torch, no ants."""
