"""The training loop for all families, its optimizers, steps and devices."""
