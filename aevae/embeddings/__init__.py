"""Maps of a space of codes: what is asked for (`MapRequest`), made, kept, told while it is made, and gone back from."""

from aevae.embeddings import export
from aevae.embeddings.align import procrustes
from aevae.embeddings.cache import Frame, Map, cached_embed
from aevae.embeddings.maps import MapRequest, Stopped, codes_of, frame, inverse, kept, make, place
from aevae.embeddings.methods import METHODS, EmbedConfig, embed, largest_perplexity

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
    "frame",
    "inverse",
    "kept",
    "largest_perplexity",
    "make",
    "place",
    "procrustes",
]
