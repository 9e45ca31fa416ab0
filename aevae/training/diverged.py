"""Why a training diverged: saved in state.json, read by listings and pages. Imports no torch."""

import math
import re
from dataclasses import asdict, dataclass

EXPLODED_FACTOR = 1000  # times the cost of guessing, or of the untrained model if that is more


@dataclass(frozen=True)
class Diverged:
    """The loss term `term` became `value` at `step`: it is not finite, or above `limit` nats per image."""

    step: int
    epoch: int
    term: str
    value: float
    limit: float = math.inf

    def __str__(self) -> str:
        value, limit = f"{self.value}", ""
        if math.isfinite(self.value):
            value = f"{self.value:.3g}"
            cost = f"{EXPLODED_FACTOR:,} times the cost of guessing or of the untrained model"
            limit = f", above {self.limit:,.0f}, which is {cost}"
        where = f"at step {self.step} (epoch {self.epoch})"
        return f"{self.term} became {value} {where}{limit}; try a smaller learning rate"

    def to_dict(self) -> dict:
        """The same as JSON data; infinities and NaN become text."""
        found = {key: value for key, value in asdict(self).items() if value != math.inf or key != "limit"}
        return found | {"value": self.value if math.isfinite(self.value) else str(self.value)}

    @staticmethod
    def from_dict(found: dict) -> "Diverged":
        """The inverse of `to_dict`. Raises ValueError for other data."""
        try:
            whole = Diverged(**{**found, "value": float(found["value"])})
            if not (type(whole.step) is type(whole.epoch) is int and re.fullmatch(r"[\w .@-]{1,60}", whole.term)):
                raise ValueError("wrong types")
            str(whole)
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            raise ValueError("this does not tell where a training diverged") from error
        return whole


def limit_of(untrained: float, pixels: int) -> float:
    """The test objective (nats per image) above which a training counts as diverged although it is finite.

    It is EXPLODED_FACTOR times the cost of guessing each pixel (ln 2 nats), or times the objective before the first
    step if that is more. Below it a training can recover, and strong penalties (gamma of a beta-VAE) are allowed.
    """
    return EXPLODED_FACTOR * max(abs(untrained), math.log(2) * pixels)
