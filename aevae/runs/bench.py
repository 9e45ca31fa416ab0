"""Training speed of common models on this machine, measured on random images in a minute.

No data set is needed: the time of a step does not depend on the images.
"""

import time

import numpy as np
import torch

from aevae.config import IMAGES, DataConfig, ModelConfig, TrainConfig, preset
from aevae.datasets.shown import EMBEDDED, FULL
from aevae.models import build_model, family_class
from aevae.training.device import keep_memory, pick_device, set_threads
from aevae.training.steps import make_step_fn
from aevae.training.trainer import Trainer, TrainingData

MEASURE_SECONDS = 4.0  # duration of each measurement
DATASET_IMAGES = {name: IMAGES[name] for name in (EMBEDDED, FULL)}


def bench(device: str = "auto") -> dict:
    """{"device", "threads", "rows": [{"what", "images_per_s", "seconds": {data set: time of the preset `fast`}}]}."""
    where = pick_device(device)
    threads = set_threads()
    keep_memory()
    rows = [
        _row("ae d=20", where, "ae"),
        _row("vae d=20", where, "vae"),
        _row("vae d=20, conv", where, "vae", network="conv"),
        _row("8 beta-VAEs side by side", where, "beta_vae", models=8),
        _row("the same one after another", where, "beta_vae", models=8, apart=True),
    ]
    return {"device": _device_name(where), "threads": threads, "rows": rows}


def _row(what: str, device: torch.device, family: str, models: int = 1, apart: bool = False, **options) -> dict:
    model = family_class(family).Config(**options)
    recipe = preset("fast", DataConfig(FULL), model)
    pace = _images_per_second(device, model, recipe, 1 if apart else models)
    seconds = {}
    for name, images in DATASET_IMAGES.items():
        epochs = preset("fast", DataConfig(name), model).epochs
        seconds[name] = round(models * images * epochs / pace, 1)
    return {"what": what, "images_per_s": round(pace), "seconds": seconds}


def _images_per_second(device: torch.device, model: ModelConfig, recipe: TrainConfig, models: int) -> float:
    """Images per second, summed over the models."""
    noise = np.random.default_rng(0).integers(0, 256, (recipe.batch_size, 1, 28, 28), dtype=np.uint8)
    team = [
        Trainer(build_model(model, seed), TrainingData(noise, noise[:1]), recipe, seed, device)
        for seed in range(models)
    ]
    step_fn, index = make_step_fn(team), torch.stack([trainer.order() for trainer in team])
    for _ in range(5):  # warm-up, in which a CUDA graph is captured
        step_fn(index)
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < MEASURE_SECONDS:
        step_fn(index)
        done += models * recipe.batch_size
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    return done / (time.perf_counter() - began)


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device}, {torch.backends.cpu.get_cpu_capability()}"
