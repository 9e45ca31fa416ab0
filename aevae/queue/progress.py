"""The progress of a running job as JSON data, with an estimate of the seconds that are left."""

import dataclasses
import time

ESTIMATE_WEIGHT = 0.1  # the prior estimate weighs as much as this share of the steps


class Progress:
    """Event listener that keeps the newest progress values of a job as JSON data.

    clock: returns seconds of work. expected: estimated seconds of the job, used until steps have been timed.
    """

    def __init__(self, clock=time.monotonic, expected: float | None = None):
        self._clock = clock
        self._first: tuple[float, int] | None = None  # time and step of the first report
        self._last = (0.0, 0)  # time and step of the last end of an epoch
        self.note = ""  # one sentence about the device
        self.set_expected(expected)

    def set_expected(self, expected: float | None = None, group: int = 0) -> None:
        """Set expected seconds and group before the first step. group: number of the job's group in its sweep."""
        self._expected = expected
        self.figures: dict = (
            {} if expected is None else {"seconds_left": round(expected, 1), "expected": round(expected, 1)}
        )
        self.figures |= {"group": group} if group else {}

    @property
    def trained_seconds(self) -> float:
        """Seconds from the first step to the last end of an epoch."""
        return max(self._last[0] - self._first[0], 0.0) if self._first else 0.0

    @property
    def full_training_seconds(self) -> float:
        """`trained_seconds` scaled to all steps of the run, because a resumed job takes only the last steps."""
        steps = self._last[1] - self._first[1] if self._first else 0
        return self.trained_seconds * self._last[1] / steps if steps > 0 else 0.0

    def to_dict(self) -> dict:
        """The values as JSON data, with `note` if there is one."""
        return self.figures | ({"note": self.note} if self.note else {})

    def on_loading(self, fraction: float, text: str) -> None:
        """Record that `fraction` (0..1) of the data set has been downloaded or read."""
        self.figures = {"loading": text, "part": fraction}

    def set_figures(self, figures: dict) -> None:
        """Replace the values by those that a task reports."""
        self.figures = figures

    def __call__(self, event) -> None:
        figures = dataclasses.asdict(event)
        if "reason" in figures:  # the run could not be resumed
            self.figures = {**self.figures, "begun_anew": figures["reason"]}
            return
        if "record" in figures:  # the end of an epoch, whose record is in the run's history
            self.figures = {**self.figures, "epochs_done": figures["record"]["epoch"]}
            self._last = self._clock(), figures["record"].get("step", 0)
            return
        now, step = self._clock(), figures["step"]
        self._first = self._first or (now, step)
        if step > self._first[1]:  # the measured speed includes test passes and checkpoints
            steps = figures["steps"] - self._first[1]
            done, elapsed = (step - self._first[1]) / steps, now - self._first[0]
            figures["seconds_left"] = round(
                (1 - done) * self._total_seconds(done, elapsed, steps / figures["steps"]), 1
            )
        figures["images_per_s"] = round(figures["images_per_s"], 1)
        self.figures = {**self.figures, **figures}

    def _total_seconds(self, done: float, elapsed: float, share: float) -> float:
        """Expected seconds of this job, after `elapsed` for the share `done` of it; share: job / steps of the run."""
        if self._expected is None:
            return elapsed / done
        return (ESTIMATE_WEIGHT * self._expected * share + elapsed) / (ESTIMATE_WEIGHT + done)
