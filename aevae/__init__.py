"""aevae: the latent-space laboratory. Train, keep, explore and compare autoencoders."""

import os

from aevae.paths import set_library_caches

__version__ = "0.1.0"

# Libraries read these when they are imported, and all of them are imported later than this package.
set_library_caches()
os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")  # what an Apple GPU has no code for runs on the CPU
