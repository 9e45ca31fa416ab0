"""Evaluation as a task of the queue."""

from collections.abc import Callable


def work(request: dict, tell: Callable[[dict], None], should_stop: Callable[[], bool]) -> bool:
    """Find {"run": name, "metrics": [names], "n": 0, "seed": 0, "options": {}, "dataset": ""}; they are kept on disk.

    tell({"fraction": 0..1, "text": what is being found}). True when all are there, False when told to stop. Raises
    ValueError with one sentence for what cannot be.
    """
    from aevae.config import DataConfig
    from aevae.metrics import evaluate
    from aevae.runs import load_run

    stopped = False

    def ask() -> bool:
        nonlocal stopped
        stopped = stopped or should_stop()
        return stopped

    evaluate(
        load_run(request["run"]),
        request["metrics"],
        n=request.get("n", 0),
        seed=request.get("seed", 0),
        options=request.get("options", {}),
        data=DataConfig(request["dataset"]) if request.get("dataset") else None,
        on_progress=lambda part, text: tell({"fraction": round(part, 3), "text": text}),
        should_stop=ask,
    )
    return not stopped
