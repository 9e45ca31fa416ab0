"""The pace of a running job: how fast it may take its steps, and where it pauses."""

import math
import threading
import time

from aevae.queue.jobs import PACES

POLL_SECONDS = 0.1  # a paused or slowed job checks this often whether it should stop


class PaceControl:
    """How fast a running job may go. The heartbeat sets the pace; the trainer waits for it between two steps."""

    def __init__(self):
        self.pace = "go"
        self.paused_seconds = 0.0  # total time that steps were delayed
        self.is_paused = False  # at a step whose progress has been reported
        self._steps = self._epochs = 0  # steps and epochs that a paused job may still take
        self._may_wait = False  # result of the last call of `is_watched`
        self._last_step = 0.0  # time at which the last step was allowed
        self._changed = threading.Condition()

    def set_pace(self, pace: str, steps: int = 0, epochs: int = 0) -> None:
        """Set the pace, and allow this many more steps and epochs."""
        with self._changed:
            if not steps and not epochs:
                self._steps = self._epochs = 0
            self.pace = pace
            self._steps += steps
            self._epochs += epochs
            self._changed.notify_all()

    def on_event(self, event) -> None:
        """Count down the allowed epochs at the end of each epoch."""
        if hasattr(event, "record") and event.record["step"]:
            with self._changed:
                self._epochs = max(self._epochs - 1, 0)

    def is_watched(self) -> bool:
        """Whether every step must be reported. `wait` delays only steps after such a report."""
        self._may_wait = self.pace != "go" and not self._epochs  # allowed epochs run at full speed
        return self._may_wait

    def wait(self, should_stop) -> bool:
        """Wait until the next step may begin. Returns whether the training should end instead (`should_stop()`)."""
        if self._may_wait:
            began = time.monotonic()
            with self._changed:
                while (seconds := self._seconds_left()) > 0 and not should_stop():
                    self.is_paused = self.pace == "pause"
                    self._changed.wait(min(seconds, POLL_SECONDS))
                self.is_paused = False
                self._last_step = time.monotonic()
                self._steps = max(self._steps - 1, 0)
            self.paused_seconds += self._last_step - began
        return should_stop()

    def _seconds_left(self) -> float:
        """Seconds until the next step may begin; inf while the job is paused."""
        if self.pace == "pause":
            return 0.0 if self._steps or self._epochs else math.inf
        return self._last_step + 1 / PACES[self.pace] - time.monotonic()
