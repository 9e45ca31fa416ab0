"""Export of a finished run into a folder; its metrics are computed again."""

from pathlib import Path

import torch
from safetensors.numpy import save as arrays_bytes
from safetensors.torch import save

from aevae import datasets
from aevae.runs.numbers import evaluate
from aevae.runs.opened import Run
from aevae.store import files
from aevae.store.checkpoints import RunInfo
from aevae.store.recorder import checksums
from aevae.training.film import thinned

SHIPPED_FRAMES = 8  # number of frames in the film of a shipped run


def export_weights(info: RunInfo, target: Path, half: bool) -> list[str]:
    """Copy a finished run into `target`/<name> and compute its metrics again.

    half: store weights in half precision and fewer film frames, for shipped runs. Returns one sentence for each data
    set that is not on this machine: its metrics are copied or, if rounding changed the weights, left out.
    """
    run = Run(info)
    folder = target / info.name
    if folder.resolve() == info.path.resolve():
        raise ValueError(f"{folder} is the run itself; export it into another folder")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "history.jsonl", "preview.png"):
        files.write_atomic(folder / name, (info.path / name).read_bytes())
    if (info.path / "film.safetensors").exists():
        film = thinned(run.film, SHIPPED_FRAMES) if half else run.film
        files.write_atomic(folder / "film.safetensors", arrays_bytes(film))
    before = {k: v.clone() for k, v in run.model.state_dict().items()}
    if half:
        run.model.half().float()
    unchanged = all(torch.equal(v, before[k]) for k, v in run.model.state_dict().items())
    weights = {k: (v.half() if half else v).contiguous() for k, v in run.model.state_dict().items()}
    files.write_atomic(folder / "model.safetensors", save(weights))
    numbers, notes = _evaluate_again(run, info.metrics if unchanged else {})
    files.write_json(folder / "metrics.json", numbers)
    state = info.state | {"checksums": checksums(folder), "traits": run.model.traits}
    files.write_json(folder / "state.json", state)
    return notes


def _evaluate_again(run: Run, known: dict[str, dict]) -> tuple[dict[str, dict], list[str]]:
    """(metrics by data set, sentences). A data set that is not on this machine keeps its `known` metrics, if any."""
    numbers, notes = {}, []
    for data in {data.name: data for data in (run.config.data, run.shown)}.values():
        try:
            numbers[data.name] = evaluate(run.model, data, run.device, trained_on=run.config.data)
        except datasets.DataUnavailable as error:
            kept = {name: value for name, value in known.get(data.name, {}).items() if name != "evaluated"}
            numbers |= {data.name: kept} if kept else {}
            what = "are those that the run had" if kept else "are left out because the weights have changed"
            notes.append(f"{error}; the numbers on {data.name} {what}")
    return numbers, notes
