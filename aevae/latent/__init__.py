"""Operations on latent codes, numpy float32: traversals, interpolation, samples, alignment, fitting."""
