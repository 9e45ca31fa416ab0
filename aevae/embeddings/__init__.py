"""Two-dimensional maps of codes: request (`MapRequest`), computation, cache, intermediate frames, and inverse."""

from aevae.embeddings import export
from aevae.embeddings.align import procrustes
from aevae.embeddings.cache import Frame, Map, cached_embed
from aevae.embeddings.config import METHODS, EmbedConfig, largest_perplexity
from aevae.embeddings.maps import MapRequest, Stopped, codes_of, find_map, inverse, make_map, newest_frame, transform
from aevae.embeddings.methods import embed

__all__ = [
    "METHODS",
    "EmbedConfig",
    "Frame",
    "Map",
    "MapRequest",
    "Stopped",
    "cached_embed",
    "codes_of",
    "embed",
    "export",
    "find_map",
    "inverse",
    "largest_perplexity",
    "make_map",
    "newest_frame",
    "procrustes",
    "transform",
]
