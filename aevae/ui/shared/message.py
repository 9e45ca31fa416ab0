"""The schema of messages from the browser. They may come from anywhere, so a page uses only fields that fit.

A schema maps the name of a field to a kind of value; `valid_fields(message, schema)` returns the fields that fit. No
kind accepts a bool for a number, a number for text, NaN, or more values than it names.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


class Kind(Protocol):
    """A kind of value."""

    def fits(self, value: object) -> bool: ...


@dataclass(frozen=True)
class Integer:
    """A whole number, low and high included."""

    low: int
    high: int

    def fits(self, value: object) -> bool:
        return type(value) is int and self.low <= value <= self.high


@dataclass(frozen=True)
class Number:
    """A number, whole or not, low and high included."""

    low: float
    high: float

    def fits(self, value: object) -> bool:
        return type(value) in (int, float) and self.low <= value <= self.high  # NaN is in no range


@dataclass(frozen=True)
class Boolean:
    """True or false."""

    def fits(self, value: object) -> bool:
        return type(value) is bool


@dataclass(frozen=True)
class Null:
    """null, which is None here."""

    def fits(self, value: object) -> bool:
        return value is None


@dataclass(frozen=True)
class Text:
    """A text of at most max_length characters that matches the whole pattern, a regular expression."""

    pattern: str
    max_length: int

    def fits(self, value: object) -> bool:
        right_length = isinstance(value, str) and len(value) <= self.max_length
        return right_length and re.fullmatch(self.pattern, value) is not None


@dataclass(frozen=True)
class OneOf:
    """One of these texts."""

    options: Sequence[str]

    def fits(self, value: object) -> bool:
        return isinstance(value, str) and value in self.options


@dataclass(frozen=True)
class ListOf:
    """A list of min_length to max_length values of one kind."""

    item: Kind
    min_length: int
    max_length: int

    def fits(self, value: object) -> bool:
        right_length = isinstance(value, list) and self.min_length <= len(value) <= self.max_length
        return right_length and all(map(self.item.fits, value))


@dataclass(frozen=True)
class Row:
    """A list with one value of each of these kinds."""

    items: Sequence[Kind]

    def fits(self, value: object) -> bool:
        right_length = isinstance(value, list) and len(value) == len(self.items)
        return right_length and all(kind.fits(v) for kind, v in zip(self.items, value, strict=True))


@dataclass(frozen=True)
class Repeated:
    """A list that repeats a row of these kinds, 1 to max_rows times: [x, y, pressure, x, y, pressure, ...]."""

    items: Sequence[Kind]
    max_rows: int

    def fits(self, value: object) -> bool:
        width = len(self.items)
        if not isinstance(value, list) or len(value) % width or not width <= len(value) <= width * self.max_rows:
            return False
        return all(all(map(kind.fits, value[i::width])) for i, kind in enumerate(self.items))


@dataclass(frozen=True)
class AnyOf:
    """A value of one of these kinds."""

    kinds: Sequence[Kind]

    def fits(self, value: object) -> bool:
        return any(kind.fits(value) for kind in self.kinds)


@dataclass(frozen=True)
class Record:
    """An object with exactly these fields."""

    fields: Mapping[str, Kind]

    def fits(self, value: object) -> bool:
        right_names = isinstance(value, dict) and set(value) == set(self.fields)
        return right_names and all(kind.fits(value[name]) for name, kind in self.fields.items())


SEQUENCE_NUMBER = Integer(0, 2**53)  # `n`: a live module numbers its messages


def valid_fields(message: Mapping, schema: Mapping[str, Kind]) -> dict:
    """Name -> value of the fields of a message that fit the schema."""
    return {name: message[name] for name, kind in schema.items() if name in message and kind.fits(message[name])}
