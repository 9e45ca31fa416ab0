"""Evaluation as a task of the queue."""

from collections.abc import Callable


def work(request: dict, tell: Callable[[dict], None], should_stop: Callable[[], bool]) -> bool:
    """True when the requested metrics are computed and saved; False if `should_stop` ended the task earlier.

    request: {"run": name, "metrics": [names], "n": 0, "seed": 0, "options": {}, "dataset": ""}. `tell` gets
    {"fraction": 0..1, "text": current metrics}. Raises ValueError with one sentence for a wrong request.
    """
    from aevae.config import DataConfig
    from aevae.metrics import Listener, evaluate
    from aevae.runs import load_run

    stopped = False

    def stop() -> bool:
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
        listener=Listener(lambda fraction, text: tell({"fraction": round(fraction, 3), "text": text}), stop),
    )
    return not stopped
