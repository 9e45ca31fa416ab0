"""Maps of a latent space: codes (N, D) -> points of the plane (N, 2), and their cache on disk."""

from aevae.embeddings.cache import Map, cached_embed
from aevae.embeddings.methods import METHODS, EmbedConfig, embed, largest_perplexity

__all__ = ["METHODS", "EmbedConfig", "Map", "cached_embed", "embed", "largest_perplexity"]
