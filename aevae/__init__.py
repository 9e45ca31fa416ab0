"""aevae: the latent-space laboratory. Train, keep, explore and compare autoencoders.

In a notebook: `load_images`, `train_or_load`, `load_run`, `encode`, `decode`, `embed` and `image_grid`, which
`aevae.api` documents.
"""

import os
from typing import TYPE_CHECKING

from aevae.paths import set_library_caches

if TYPE_CHECKING:
    from aevae.api import decode, embed, encode, image_grid, load_images, load_run, train_or_load

__all__ = ["decode", "embed", "encode", "image_grid", "load_images", "load_run", "train_or_load"]
__version__ = "0.1.0"

# Libraries read these when they are imported, and all of them are imported later than this package.
set_library_caches()
os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")  # what an Apple GPU has no code for runs on the CPU


def __getattr__(name: str):
    """Import the interface, and torch with it, at its first use."""
    if name not in __all__:
        raise AttributeError(f"module 'aevae' has no attribute {name!r}")
    from aevae import api

    return getattr(api, name)
