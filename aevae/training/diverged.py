"""The reason for a divergence, which state.json stores and listings and pages read. Imports no torch."""

import math
import re
from dataclasses import asdict, dataclass
from typing import Any

EXPLODED_FACTOR = 1000  # times the larger of two costs; see `limit_of`


@dataclass(frozen=True)
class Diverged:
    """The loss term `term` had the value `value` at `step`: not finite, or above `limit` nats per image."""

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
        """JSON data; infinities and NaN become text."""
        found = {key: value for key, value in asdict(self).items() if value != math.inf or key != "limit"}
        return found | {"value": self.value if math.isfinite(self.value) else str(self.value)}

    @staticmethod
    def from_dict(found: dict) -> "Diverged":
        """The inverse of `to_dict`. Raises ValueError for other data."""
        try:
            values: dict[str, Any] = {**found, "value": float(found["value"])}
            whole = Diverged(**values)
            if not (type(whole.step) is type(whole.epoch) is int and re.fullmatch(r"[\w .@-]{1,60}", whole.term)):
                raise ValueError("wrong types")
            str(whole)
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            raise ValueError("this does not tell where a training diverged") from error
        return whole


def limit_of(untrained: float, pixels: int) -> float:
    """The test objective (nats per image) above which a training counts as diverged although it is finite.

    It is EXPLODED_FACTOR times the larger of two costs: that of guessing each pixel (ln 2 nats), and the objective
    `untrained` before the first step. Below it trainings recover; strong penalties (gamma of a beta-VAE) stay below it.
    """
    return EXPLODED_FACTOR * max(abs(untrained), math.log(2) * pixels)
