"""From acquired series to volumes on the model grid: the only user of ants."""
