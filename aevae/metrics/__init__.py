"""Numbers about trained models and maps: one file per metric."""
