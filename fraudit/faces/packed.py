"""Packed tables: gz, bz2, xz, and a tar or zip of one file, unpacked in memory and never beyond a limit."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from typing import IO

from fraudit.errors import DataError

MAX_UNPACKED = 1024**3
_STEP = 1 << 20


def unpack(data: bytes, where: str) -> bytes:
    """The bytes of the one file that `data` packs, or `data` itself.

    Raises:
        DataError: damaged, more than one file in it, an Excel workbook, or more than 1 GiB.
    """
    opened = _opened(data)
    if opened is not None:
        try:
            data = _all(opened, where)
        except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
            raise DataError(f"{where}: packed, but damaged ({error})", "download or pack it again") from error
    if data[257:262] == b"ustar":
        return _only_of_tar(data, where)
    if data[:4] == b"PK\x03\x04":
        return _only_of_zip(data, where)
    return data


def _opened(data: bytes) -> IO[bytes] | None:
    if data[:2] == b"\x1f\x8b":
        return gzip.GzipFile(fileobj=io.BytesIO(data))  # type: ignore[return-value]
    if data[:3] == b"BZh" and data[4:10] == b"1AY&SY":
        return bz2.BZ2File(io.BytesIO(data))
    if data[:6] == b"\xfd7zXZ\0":
        return lzma.LZMAFile(io.BytesIO(data))
    return None


def _all(file: IO[bytes], where: str) -> bytes:
    parts, size = [], 0
    while part := file.read(_STEP):
        parts.append(part)
        size += len(part)
        if size > MAX_UNPACKED:
            raise DataError(
                f"{where}: unpacks to more than 1 GiB", "unpack it and pass the part that is needed"
            )
    return b"".join(parts)


def _one(names: list[str], where: str) -> str:
    if len(names) != 1:
        found = ", ".join(names[:3]) or "nothing"
        raise DataError(
            f"{where}: expected one packed table, found {len(names)} files ({found})",
            "unpack it and pass one of them",
        )
    return names[0]


def _only_of_tar(data: bytes, where: str) -> bytes:
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as pack:
            files = {member.name: member for member in pack if member.isfile()}
            file = pack.extractfile(files[_one(sorted(files), where)])
            return file.read() if file else b""
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise DataError(f"{where}: a damaged tar ({error})", "download or pack it again") from error


def _only_of_zip(data: bytes, where: str) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as pack:
            names = [info.filename for info in pack.infolist() if not info.is_dir()]
            if any(name.startswith("xl/") for name in names):
                raise DataError(f"{where}: an Excel workbook; expected a table of text", "save it as CSV")
            names = [name for name in names if not name.startswith("__MACOSX/")]
            with pack.open(_one(names, where)) as file:
                return _all(file, where)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError) as error:
        raise DataError(f"{where}: a zip that cannot be read ({error})", "unpack it") from error
