"""Codes in, codes out: traversals, paths between codes, samples. Numpy float32; a model decodes elsewhere."""
