"""Writes TensorBoard event files without the tensorboard package.

A file is a sequence of TFRecords: length, masked CRC-32C of the length, data, masked CRC-32C of the data. The data is a
protocol buffer `Event` (tensorflow/core/util/event.proto) with fields 1 wall_time, 2 step, 3 file_version, 5 summary. A
`Summary` contains `Value`s with fields 1 tag, 2 simple_value, 9 metadata (2 name, 3 description).
"""

import struct
from collections.abc import Iterable
from typing import NamedTuple

VERSION = b"brain.Event:2"  # the first record of each file


class Scalar(NamedTuple):
    """One number of one curve."""

    tag: str
    step: int
    time: float  # seconds since 1970
    value: float
    unit: str = ""


def event_file(scalars: Iterable[Scalar], started: float) -> bytes:
    """The bytes of an event file with these numbers in this order; `started`: seconds since 1970."""
    events = [_double(1, started) + _bytes(3, VERSION)]
    named: set[str] = set()
    for scalar in scalars:
        value = _bytes(1, scalar.tag.encode()) + b"\x15" + struct.pack("<f", scalar.value)  # field 2, 32 bits
        if scalar.tag not in named:  # name and unit of a curve are written once
            value += _bytes(9, _bytes(2, scalar.tag.encode()) + _bytes(3, scalar.unit.encode()))
            named.add(scalar.tag)
        step = b"\x10" + _varint(scalar.step)
        events.append(_double(1, scalar.time) + step + _bytes(5, _bytes(1, value)))
    return b"".join(record(event) for event in events)


def record(data: bytes) -> bytes:
    """One TFRecord."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked(length)) + data + struct.pack("<I", masked(data))


def masked(data: bytes) -> int:
    """The masked checksum of TFRecord: CRC-32C rotated by 15 bits, plus a constant."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """Castagnoli's CRC (RFC 3720, appendix B.4)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _row(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ 0x82F63B78 * (value & 1)
    return value


_TABLE = tuple(_row(value) for value in range(256))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _bytes(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", value)
