"""Estimated duration of a training on this machine: a few timed steps, corrected by the times of earlier trainings.

A page never trains. The tasks worker times the steps (`work`) and stores the result in the task's `progress`. After
each training, the training worker stores the measured time with the job (`took`). Later estimates are corrected by
these times: only those of the same device, preferably of the same size or family. Imports neither torch nor Streamlit.
"""

import contextlib
import dataclasses
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aevae.config import DataConfig, TrainConfig, is_number
from aevae.queue import jobs
from aevae.run_config import RunConfig

KIND = "estimate"
MAX_PROBE_IMAGES = 256  # in a timed step; larger batches take proportionally longer
TEST_COST = 1 / 3  # time of a test image (forward pass only) relative to a training image
EPOCH_SECONDS, FRAME_SECONDS = 0.25, 0.05  # to write the checkpoint of an epoch; to write a frame of the film
START_SECONDS = 4.0  # worker start, data and final evaluation, until they have been measured
GPU_MODELS_PER_COST = 16  # this many more models, side by side on a GPU, take as long as one
MIN_SECONDS = 2.0  # shorter trainings do not correct estimates
MAX_TRAININGS, NUM_NEWEST = 200, 5  # trainings that are read; newest matching ones that are used
MAX_TIMINGS = 500  # timing jobs that stay in the queue


@dataclass(frozen=True)
class Pace:
    """Measured speed of a model: number of parameters, and seconds per training image."""

    parameters: int
    seconds: float


def request(config: RunConfig, device: str) -> dict:
    """The timing request for this run as JSON data: only what the timing depends on."""
    train = TrainConfig(1, min(config.train.batch_size, MAX_PROBE_IMAGES), precision=config.train.precision)
    return {"device": device, "config": RunConfig(DataConfig(), config.model, train).to_dict()}


def size_of(config: RunConfig, device: str) -> str:
    """Identity of the timing: the same for runs that differ only in epochs, data or seed."""
    return jobs.task_fingerprint(KIND, request(config, device))


def pace(config: RunConfig, device: str) -> Pace | None:
    """The measured speed for such a run; None if it was not requested or is not finished."""
    job = jobs.newest(size_of(config, device))
    if job is None or job.state != "done":
        return None
    try:
        return Pace(int(job.progress["parameters"]), float(job.progress["seconds"]))
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def submit(config: RunConfig, device: str) -> jobs.Job:
    """The queued or running timing job for this run; a new one if there is none. Raises QueueBroken."""
    return jobs.submit_task(KIND, f"timing of {config.model.family}", request(config, device))


def work(request: dict, tell: Callable[[dict], None], should_stop: Callable[[], bool]) -> bool:
    """True once a few steps are timed with the threads of a training; False if `should_stop` ended the task."""
    import torch

    from aevae import runs
    from aevae.training.device import set_threads

    config, own = RunConfig.from_dict(request["config"]), torch.get_num_threads()
    set_threads(spare=1)
    try:
        found = runs.estimate(config, request["device"], config.train.batch_size)
    finally:
        torch.set_num_threads(own)  # restored for the next tasks of this process
    tell({"parameters": found.parameters, "seconds": found.seconds / config.train.batch_size})
    jobs.prune(MAX_TIMINGS, KIND)
    return not should_stop()


# -- seconds ---------------------------------------------------------------------------------------------------------


def images(data: DataConfig) -> tuple[int, int]:
    """(training images, test images) of a data set: from the catalogue, or counted. Raises ValueError."""
    from aevae import datasets

    size = next((row["size"] for row in datasets.catalogue() if row["name"] == data.name), "")
    counts = re.search(r"([\d,]+) \+ ([\d,]+) images", size)
    if counts:
        train, test = (int(text.replace(",", "")) for text in counts.groups())
        train -= 1000 if data.leave_out_5k else 0
    else:
        loaded = datasets.load(dataclasses.replace(data, limit=0))
        train, test = len(loaded.train), len(loaded.test)
    return min(train, data.limit or train), test


def computed(group: Sequence[RunConfig], seconds: float, where: str) -> float:
    """Seconds to train these runs side by side, including test passes, checkpoints and film.

    seconds: per training image of one run. On a CPU the times add up; on a GPU the group takes far less.
    """
    train, test = images(group[0].data)
    recipe, many = group[0].train, len(group)
    times = many if where.startswith("cpu") else 1 + (many - 1) / (GPU_MODELS_PER_COST - 1)
    files = recipe.epochs * EPOCH_SECONDS + len(recipe.film_epochs) * FRAME_SECONDS
    return recipe.epochs * seconds * (train + TEST_COST * test) * times + files * many


def expected(group: Sequence[RunConfig], seconds: float, device: str, where: str) -> float:
    """Seconds from the start of the job to its end: the computed time, corrected by earlier trainings.

    Raises QueueBroken.
    """
    factor, overhead = correction(group[0], device, where)
    return overhead + factor * computed(group, seconds, where)


def groups(configs: Sequence[RunConfig], device: str) -> list[tuple[list[int], float | None]]:
    """(indices of configs, expected seconds or None) of each group; the groups are trained one after another."""
    from aevae import runs
    from aevae.training.device import pick_device

    where, numbers = pick_device(device), {config.name: i for i, config in reversed(list(enumerate(configs)))}
    found = []
    for group in runs.side_by_side([configs[i] for i in sorted(numbers.values())], where):
        seconds = None
        with contextlib.suppress(jobs.QueueBroken):
            timed = pace(group[0], device)
            seconds = expected(group, timed.seconds, device, str(where)) if timed else None
        found.append(([numbers[config.name] for config in group], seconds))
    return found


def correction(config: RunConfig, device: str, where: str) -> tuple[float, float]:
    """(factor, overhead): measured time relative to the computed time, and seconds beside the steps.

    Medians of the newest trainings on this device: of this size, else of this family, else of any.
    """
    known = [job.progress.get("took") for job in jobs.ended_trainings(MAX_TRAININGS)]
    known = [took for took in known if isinstance(took, dict) and took.get("device") == where]
    factors = [took for took in known if _positive(took.get("factor"))]
    same = [took for took in factors if took.get("size") == size_of(config, device)]
    family = [took for took in factors if took.get("family") == config.model.family]
    chosen = [took["factor"] for took in (same or family or factors)[:NUM_NEWEST]] or [1.0]
    beside = [took["beside"] for took in known if _positive(took.get("beside"))][:NUM_NEWEST] or [START_SECONDS]
    return statistics.median(chosen), statistics.median(beside)


def took(group: Sequence[RunConfig], device: str, where: str, seconds: float, beside: float) -> dict:
    """The measured times of a training as JSON data: `seconds` of all epochs, and seconds `beside` them."""
    found = {"device": where, "family": group[0].model.family, "size": size_of(group[0], device), "beside": beside}
    timed = pace(group[0], device)
    if timed and seconds >= MIN_SECONDS:
        found["factor"] = round(seconds / computed(group, timed.seconds, where), 4)
    return found | {"seconds": round(seconds, 2), "beside": round(beside, 2)}


def _positive(value) -> bool:
    return is_number(value) and 0 < value < 1e9
