"""`pds-model experiment`: one module an experiment, each with a `Plan` and a `run`."""
