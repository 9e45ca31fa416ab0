"""The film of a run: images, codes and loss terms during training."""
