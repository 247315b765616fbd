"""Protobuf's wire format, as far as model files of unknown origin are read without the packages that wrote them.

Wire types: the protobuf encoding guide.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class Malformed(ValueError):
    """The bytes are no protobuf message, or end too early."""


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        number, wire: which field, and how its value is written.
        first, start, end: offsets of the whole field, of its value, and of what follows.
        value: of a number (wire type VARINT); else 0.
    """

    number: int
    wire: int
    first: int
    start: int
    end: int
    value: int


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """(the number at offset `at`, the offset of what follows). Raises Malformed."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise Malformed("it ends within a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise Malformed("a number longer than ten bytes")


def as_varint(value: int) -> bytes:
    """A number of at least 0 as it is written."""
    made = bytearray()
    while value >= 0x80:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


def fields(data: memoryview, start: int = 0, end: int | None = None) -> Iterator[Field]:
    """The fields of the message in data[start:end], one after the other. Raises Malformed."""
    at, end = start, len(data) if end is None else end
    while at < end:
        first = at
        tag, at = varint(data, at)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise Malformed("field number 0")
        begins, value = at, 0
        if wire == VARINT:
            value, at = varint(data, at)
        else:
            if wire == BYTES:
                length, begins = varint(data, at)
            elif wire in (FIXED64, FIXED32):
                length = 8 if wire == FIXED64 else 4
            else:
                raise Malformed(f"wire type {wire}")
            if length > end - begins:
                raise Malformed(f"a field of {length:,} bytes where {end - begins:,} are left")
            at = begins + length
        yield Field(number, wire, first, begins, at, value)
    if at != end:
        raise Malformed("a field goes beyond its message")
