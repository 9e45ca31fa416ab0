"""aevae: the latent-space laboratory. Train, keep, explore and compare autoencoders."""

__version__ = "0.1.0"
