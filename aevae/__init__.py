"""aevae, the latent-space laboratory: train, store, explore and compare autoencoders.

In a notebook: `load_images`, `train_or_load`, `load_run`, `encode`, `decode`, `embed` and `image_grid`, which
`aevae.api` documents.
"""

import os
from typing import TYPE_CHECKING, Any

from aevae.paths import set_library_caches

if TYPE_CHECKING:
    from aevae.api import decode, embed, encode, image_grid, load_images, load_run, train_or_load

__all__ = ["decode", "embed", "encode", "image_grid", "load_images", "load_run", "train_or_load"]
__version__ = "0.1.0"

# Set before any of these libraries is imported, because they read the variables at import.
set_library_caches()
os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")  # unsupported operations run on the CPU


def __getattr__(name: str) -> Any:
    """Import `aevae.api`, and with it torch, at the first use of one of its names."""
    if name not in __all__:
        raise AttributeError(f"module 'aevae' has no attribute {name!r}")
    from aevae import api

    return getattr(api, name)
