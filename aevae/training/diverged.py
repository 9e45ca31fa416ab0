"""What is known of a training that diverged: kept in state.json, read by listings and pages. No torch here."""

import math
import re
from dataclasses import asdict, dataclass

EXPLODED = 1000  # times the cost of guessing, or of the untrained model if that is more


@dataclass(frozen=True)
class Diverged:
    """`term` of the loss became `value` at `step`: not a finite number, or more than `limit` nats per image."""

    step: int
    epoch: int
    term: str
    value: float
    limit: float = math.inf

    def __str__(self) -> str:
        value, limit = f"{self.value}", ""
        if math.isfinite(self.value):
            value = f"{self.value:.3g}"
            limit = f", above {self.limit:,.0f}, which is {EXPLODED:,} times what guessing or the untrained model costs"
        where = f"at step {self.step} (epoch {self.epoch})"
        return f"{self.term} became {value} {where}{limit}; try a smaller learning rate"

    def to_dict(self) -> dict:
        """As JSON data, which has no number for what is not finite."""
        found = {key: value for key, value in asdict(self).items() if value != math.inf or key != "limit"}
        return found | {"value": self.value if math.isfinite(self.value) else str(self.value)}

    @staticmethod
    def from_dict(found: dict) -> "Diverged":
        """What `to_dict` made. Raises ValueError for anything else."""
        try:
            whole = Diverged(**{**found, "value": float(found["value"])})
            if not (type(whole.step) is type(whole.epoch) is int and re.fullmatch(r"[\w .@-]{1,60}", whole.term)):
                raise ValueError("wrong types")
            str(whole)
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            raise ValueError("this does not tell where a training diverged") from error
        return whole


def limit_of(untrained: float, pixels: int) -> float:
    """The test objective (nats per image) from which on a training counts as diverged, though it is a number.

    EXPLODED times what it costs to guess each pixel (ln 2 nats), or times the objective before the first step. Within
    that a training may come back, and strong penalties (gamma of a beta-VAE) may weigh.
    """
    return EXPLODED * max(abs(untrained), math.log(2) * pixels)
