"""The doors through which files enter: whatever is wrong with one becomes one error of a kind, with its name.

Regular files alone are read (a pipe or a device would wait for ever or never end), and each only up to the size that
its kind may have. What a parser raises on a file that is damaged is turned into an error of a kind here, once.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fraudit.errors import DataError, FrauditError, UsageError

MB = 1_000_000
CARD_BYTES = 1 * MB  # cards, plans and rules, written by hand
RECORD_BYTES = 512 * MB  # run.json
JSON_BYTES = 64 * MB
TABLE_BYTES = 4_000 * MB
ARRAYS_BYTES = 16_000 * MB
MODEL_BYTES = 20_000 * MB
BIN_BYTES = 4_000 * MB

# What parsers of files raise where a file is not what they expect. MemoryError: a length that the file states.
BROKEN = (
    OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, MemoryError,
    NotImplementedError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def cause(error: BaseException) -> str:
    """What went wrong, on one short line."""
    if isinstance(error, FrauditError):
        return error.message
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split())
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, MemoryError):
        return "it states a size that no memory holds"
    if isinstance(error, KeyError):
        return f"{text[:200]} is missing"
    return text[:300] or type(error).__name__


def read_file(
    path: Path, limit: int, hint: str = "", what: str = "", kind: type[FrauditError] = DataError
) -> bytes:
    """The bytes of a regular file.

    Args:
        limit: bytes it may have at most. what: the file in words, such as `the card`. hint: of every error.
        kind: class of the error.
    Raises:
        kind: missing, unreadable, no regular file, or larger than `limit`.
    """
    name = f"{what} {path}".strip()
    try:
        # Opening a pipe without O_NONBLOCK waits for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            state = os.fstat(file.fileno())
            if not stat.S_ISREG(state.st_mode):
                raise kind(f"{name} is {_sort(state.st_mode)}; expected a regular file", hint)
            # Python sets aside as much memory as it is asked to read.
            data = file.read(state.st_size + 1) if state.st_size <= limit else None
            while data is not None and len(data) > state.st_size and (more := file.read(1 << 20)):
                data = data + more if len(data) <= limit else None  # it grew, or does not say how long it is
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        raise kind(f"cannot read {name}: {cause(error)}", hint) from error
    if data is None or len(data) > limit:
        raise kind(f"{name} is larger than {limit // MB:,} MB, more than such a file may have", hint)
    return data


def check_regular(path: Path, hint: str = "", what: str = "", kind: type[FrauditError] = DataError) -> int:
    """Its size in bytes. Raises `kind` where it is missing or no regular file."""
    name = f"{what} {path}".strip()
    try:
        state = os.stat(path)
    except (OSError, ValueError) as error:
        raise kind(f"cannot read {name}: {cause(error)}", hint) from error
    if not stat.S_ISREG(state.st_mode):
        raise kind(f"{name} is {_sort(state.st_mode)}; expected a regular file", hint)
    return state.st_size


def _sort(mode: int) -> str:
    known = (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
        (stat.S_ISSOCK, "a socket"),
    )
    return next((word for test, word in known if test(mode)), "no file")


def read_text(
    path: Path, limit: int, hint: str = "", what: str = "", kind: type[FrauditError] = DataError
) -> str:
    """UTF-8 text, without a byte order mark. Raises `kind`, see `read_file`, and where it is not UTF-8."""
    data = read_file(path, limit, hint, what, kind)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        name = f"{what} {path}".strip()
        raise kind(
            f"{name}: expected UTF-8 text, byte {error.start} is not", hint or "save it as UTF-8"
        ) from error


def parse_toml(
    data: bytes | str, path: Path, hint: str = "", kind: type[FrauditError] = DataError
) -> dict[str, Any]:
    """A TOML document. Raises `kind` where it is none."""
    import tomllib  # milliseconds that commands without a card need not spend

    try:
        return tomllib.loads(_marked_text(data) if isinstance(data, bytes) else data)
    except BROKEN as error:
        raise kind(f"{path}: not TOML ({cause(error)})", hint) from error


def _marked_text(data: bytes) -> str:
    """UTF-8 text, or UTF-16 text with its mark, as Windows' editors save it."""
    return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")


def read_json(
    path: Path, limit: int = JSON_BYTES, hint: str = "", what: str = "", kind: type[FrauditError] = DataError
) -> Any:
    """A JSON file. Raises `kind`: see `read_file`, or it is not JSON."""
    data = read_file(path, limit, hint, what, kind)
    try:
        return json.loads(data.decode("utf-8-sig"))
    except BROKEN as error:
        raise kind(f"{path} cannot be read: not JSON ({cause(error)})", hint) from error


def check_ours(path: Path, fits: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any] | None:
    """The JSON object in `path`, which may be replaced, or None where there is no such file.

    Args:
        fits: whether an object says of itself that it is ours. what: it in words, such as `comparison of fraudit`.
    Raises:
        UsageError: the file is another program's, or cannot be read.
    """
    if not path.exists() and not path.is_symlink():
        return None
    try:
        found = read_json(path, RECORD_BYTES)
    except DataError:
        found = None
    if not isinstance(found, dict) or not fits(found):
        raise UsageError(
            f"{path.parent} is no {what}: its {path.name} is another program's", "choose another --out"
        )
    return found


@contextlib.contextmanager
def entering(
    what: str, hint: str = "", kind: type[FrauditError] = DataError, *more: type[Exception]
) -> Iterator[None]:
    """Turns what a parser raises on a damaged file into `kind`: `{what}: {cause}`.

    Args:
        what: the file and what was expected of it, such as `scores.csv is no score file`.
        more: what else the parser raises.
    """
    try:
        yield
    except FrauditError:
        raise
    except BROKEN + tuple(more) as error:
        raise kind(f"{what}: {cause(error)}", hint) from error


@contextlib.contextmanager
def open_arrays(
    path: Path, what: str = "is no file of arrays", hint: str = "", kind: type[FrauditError] = DataError
) -> Iterator[Any]:
    """An opened .npz; what is wrong with it, and with what the block reads of it, is raised as `kind`."""
    import numpy as np

    size = check_regular(path, hint, "", kind)
    with entering(f"{path} {what}", hint, kind):
        with zipfile.ZipFile(path) as pack:
            stated = sum(info.file_size for info in pack.infolist())
        if stated > max(ARRAYS_BYTES, 0) or stated > 1100 * size + MB:  # deflate packs 1032 to 1 at best
            raise kind(f"{path} {what}: it would unpack to {stated:,} bytes", hint)
        with np.load(path, allow_pickle=False) as stored:
            yield stored


@contextlib.contextmanager
def leaving(where: Path | str, hint: str = "") -> Iterator[None]:
    """Turns what the disk says while something is written into one error: full, read-only, no permission."""
    from fraudit.errors import ArtifactError

    try:
        yield
    except OSError as error:
        raise ArtifactError(
            f"{where} cannot be written: {cause(error)}",
            hint or "free some space there, or choose another place",
        ) from error
