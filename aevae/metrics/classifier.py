"""A small digit classifier that evaluates samples of models: 28 x 28 pixels -> 64 features -> ten classes.

`scripts/make_classifier.py` trains it on MNIST without the digits that pages show. `classifier.safetensors` contains
its weights in half precision, and mean and covariance of the features of MNIST's test images.
"""

from functools import lru_cache
from pathlib import Path

from torch import Tensor, nn

FEATURES = 64
FILE = Path(__file__).with_name("classifier.safetensors")


class Reader(nn.Module):
    """Two strided convolutions and two linear layers; 114,000 parameters."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 5, 2, 2),  # (B, 16, 14, 14)
            nn.ReLU(),
            nn.Conv2d(16, 32, 5, 2, 2),  # (B, 32, 7, 7)
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 7 * 7, FEATURES),
            nn.ReLU(),
        )
        self.head = nn.Linear(FEATURES, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(features (B, 64), logits (B, 10)) of x (B, 1, 28, 28) in [0, 1]."""
        h = self.body(x)
        return h, self.head(h)


@lru_cache(maxsize=1)
def reader() -> tuple[Reader, Tensor, Tensor]:
    """(classifier on the CPU, mean (64,), covariance (64, 64) of the features of test images)."""
    from safetensors.torch import load_file

    tensors = {name: tensor.float() for name, tensor in load_file(FILE).items()}
    mean, covariance = tensors.pop("mean"), tensors.pop("covariance")
    model = Reader().eval().requires_grad_(False)
    model.load_state_dict(tensors)
    return model, mean, covariance
