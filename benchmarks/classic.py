"""The baseline of the training benchmarks: the recipe of pytorch/examples `vae/main.py`.

torchvision's MNIST with ToTensor, a DataLoader, the 784-400-20-400-784 network, Adam 1e-3, batches of 128, sums of
binary cross-entropy and KL. Written from its description; the model, the steps and the loss are the same.
"""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from aevae import paths


class VAE(nn.Module):
    """784-400-20-400-784."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc21, self.fc22 = nn.Linear(784, 400), nn.Linear(400, 20), nn.Linear(400, 20)
        self.fc3, self.fc4 = nn.Linear(20, 400), nn.Linear(400, 784)

    def encode(self, x):
        h = F.relu(self.fc1(x))
        return self.fc21(h), self.fc22(h)

    def forward(self, x):
        mu, logvar = self.encode(x.view(-1, 784))
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z)))), mu, logvar


def loss_function(x_hat, x, mu, logvar):
    """-ELBO summed over the batch, nats."""
    bce = F.binary_cross_entropy(x_hat, x.view(-1, 784), reduction="sum")
    return bce - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())


class Classic:
    """The recipe: `steps(n)` takes n steps, `epoch()` a whole epoch, `test()` returns the mean -ELBO on test images."""

    def __init__(self, device: str = "cpu", seed: int = 0):
        torch.manual_seed(seed)
        self.device = torch.device(device)
        extra = {"num_workers": 1, "pin_memory": True} if self.device.type == "cuda" else {}
        mnist = lambda train: datasets.MNIST(paths.data_dir(), train, transforms.ToTensor(), download=True)  # noqa: E731
        self.train = DataLoader(mnist(True), batch_size=128, shuffle=True, **extra)
        self.tests = DataLoader(mnist(False), batch_size=128, **extra)
        self.model = VAE().to(self.device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)
        self.batches = iter(())

    def steps(self, count: int) -> None:
        for _ in range(count):
            try:
                x, _label = next(self.batches)
            except StopIteration:
                self.batches = iter(self.train)
                x, _label = next(self.batches)
            self._step(x)

    def epoch(self) -> None:
        for x, _label in self.train:
            self._step(x)

    def _step(self, x) -> None:
        x = x.to(self.device)
        self.optimizer.zero_grad()
        loss = loss_function(*self._with(x))
        loss.backward()
        loss.item()  # the recipe adds it up
        self.optimizer.step()

    def _with(self, x):
        x_hat, mu, logvar = self.model(x)
        return x_hat, x, mu, logvar

    @torch.inference_mode()
    def test(self) -> float:
        total = sum(float(loss_function(*self._with(x.to(self.device)))) for x, _label in self.tests)
        return total / len(self.tests.dataset)
