"""The page Train: form, sweeps, queue and running jobs."""
