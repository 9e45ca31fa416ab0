"""Makes aevae/metrics/classifier.safetensors: a digit classifier, trained on MNIST without the digits that pages show.

    python scripts/make_classifier.py [--epochs 4]

Adam, one cycle, images shifted by up to two pixels; a minute on one core. Prints its accuracy.
"""

import argparse
import json

import torch
from safetensors.torch import save_file

from aevae import datasets
from aevae.config import DataConfig
from aevae.metrics.classifier import FILE, Reader

RECIPE = {"epochs": 4, "batch_size": 128, "lr": 4e-3, "weight_decay": 1e-5, "shift": 2, "seed": 0}


def shifted(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A batch (B, 1, 28, 28), moved as a whole by up to two pixels each way."""
    most = RECIPE["shift"]
    down, right = torch.randint(-most, most + 1, (2,), generator=generator).tolist()
    return x.roll((down, right), (2, 3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=RECIPE["epochs"])
    epochs = parser.parse_args().epochs
    torch.manual_seed(RECIPE["seed"])
    generator = torch.Generator().manual_seed(RECIPE["seed"])
    data = datasets.load(DataConfig("mnist", leave_out_5k=True))
    x, y = torch.tensor(data.train.images).float() / 255, torch.tensor(data.train.labels)
    model, size = Reader(), RECIPE["batch_size"]
    optimizer = torch.optim.Adam(model.parameters(), weight_decay=RECIPE["weight_decay"])
    plan = torch.optim.lr_scheduler.OneCycleLR(optimizer, RECIPE["lr"], total_steps=epochs * -(-len(x) // size))
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=generator).split(size):
            loss = torch.nn.functional.cross_entropy(model(shifted(x[rows], generator))[1], y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            plan.step()
    model.half().float().eval()
    with torch.inference_mode():
        test = torch.tensor(data.test.images).float() / 255
        features, logits = (torch.cat(part) for part in zip(*map(model, test.split(1000)), strict=True))
    tensors = {name: tensor.half() for name, tensor in model.state_dict().items()}
    tensors |= {"mean": features.mean(0), "covariance": features.T.cov().contiguous()}
    save_file(tensors, FILE, {"recipe": json.dumps(RECIPE | {"epochs": epochs})})
    right = (logits.argmax(1) == torch.tensor(data.test.labels)).float().mean()
    print(f"{right:.2%} of the test pictures right, {FILE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
