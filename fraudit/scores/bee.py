"""NIST BEE score matrices and masks, as OpenBR reads and writes them.

S2 | D2            similarity or distance
target sigset
query sigset
MF | MB ROWS COLS  and four bytes of 0x12345678 in the writer's byte order
row-major values   float32 (F) or one byte (B); rows are queries, columns targets
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudit.errors import DataError
from fraudit.files.doors import TABLE_BYTES, read_file
from fraudit.scores.scoreset import ScoreSet

MATCH, NON_MATCH, DONT_CARE = 0xFF, 0x7F, 0x00
_MARK = {b"\x78\x56\x34\x12": "<", b"\x12\x34\x56\x78": ">"}


@dataclass(frozen=True, slots=True)
class BeeMatrix:
    """One matrix: `values` f32 or u8 [queries, targets]; `is_distance` for D2; names of the two sets."""

    values: NDArray[Any]
    target: str
    query: str
    is_distance: bool


def read_matrix(path: Path) -> BeeMatrix:
    """A score matrix or mask.

    Raises:
        DataError: not a BEE matrix, an unknown byte order, or another number of bytes than announced.
    """
    data = read_file(path, TABLE_BYTES)
    head = data.split(b"\n", 3)
    if len(head) < 4 or head[0].strip() not in (b"S2", b"D2"):
        raise DataError(f"{path}, line 1: expected 'S2' or 'D2', found something else", "pass a BEE matrix")
    words = head[3].split(b" ", 3)
    if (
        len(words) < 4
        or words[0] not in (b"MF", b"MB")
        or not words[1].isdigit()
        or not words[2].isdigit()
        or len(words[3]) < 5
    ):
        raise DataError(f"{path}, line 4: expected 'MF ROWS COLS' or 'MB ROWS COLS' and a byte order mark")
    order = _MARK.get(words[3][:4])
    if order is None or words[3][4:5] != b"\n":
        raise DataError(f"{path}, line 4: expected the bytes of 0x12345678, found {words[3][:4].hex()}")
    rows, columns = int(words[1]), int(words[2])
    kind = np.dtype("u1") if words[0] == b"MB" else np.dtype(f"{order}f4")
    body = words[3][5:]
    if len(body) != rows * columns * kind.itemsize:
        raise DataError(
            f"{path}: {rows} x {columns} values are {rows * columns * kind.itemsize} bytes; found "
            f"{len(body)}",
            "the file is truncated or not of this format",
        )
    values = np.frombuffer(body, kind).reshape(rows, columns).astype(kind.newbyteorder("="))
    names = [line.decode("utf-8", "replace").strip() for line in head[1:3]]
    return BeeMatrix(values, names[0], names[1], head[0].strip() == b"D2")


def matrix_bytes(matrix: BeeMatrix) -> bytes:
    """The file of a matrix: u8 values as `MB`, everything else as little-endian float32."""
    rows, columns = matrix.values.shape
    mask = matrix.values.dtype == np.uint8
    head = (
        f"{'D2' if matrix.is_distance else 'S2'}\n{matrix.target}\n{matrix.query}\nM{'B' if mask else 'F'} "
    )
    return (
        head.encode()
        + f"{rows} {columns} ".encode()
        + b"\x78\x56\x34\x12\n"
        + np.ascontiguousarray(matrix.values, "u1" if mask else "<f4").tobytes()
    )


def mask_path(path: Path) -> Path:
    """Where the mask of `NAME.mtx` is kept: `NAME.mask`."""
    return path.with_suffix(".mask")


def read_bee(path: Path, mask: Path | None = None) -> ScoreSet:
    """Scores of a matrix with the genuine/impostor labels of its mask; distances are negated.

    Raises:
        DataError: no mask, another shape, or an unknown value in it.
    """
    scores = read_matrix(path)
    if scores.values.dtype == np.uint8:
        raise DataError(f"{path}: this is a mask (MB); expected a score matrix (MF)", "pass it with --mask")
    where = mask or mask_path(path)
    if not where.is_file():
        raise DataError(
            f"{path}: a score matrix does not say which pairs are genuine; no mask at {where}",
            "pass its mask with --mask",
        )
    labels = read_matrix(where)
    if labels.values.dtype != np.uint8 or labels.values.shape != scores.values.shape:
        raise DataError(
            f"{where}: expected a mask (MB) of {scores.values.shape}, found {labels.values.dtype} "
            f"of {labels.values.shape}"
        )
    unknown = ~np.isin(labels.values, (MATCH, NON_MATCH, DONT_CARE))
    if unknown.any():
        row, column = np.argwhere(unknown)[0]
        raise DataError(
            f"{where}: value {labels.values[row, column]:#04x} in row {row}, column {column}; expected "
            "0xff (match), 0x7f (non-match) or 0x00 (do not care)"
        )
    use = labels.values != DONT_CARE
    same_set = scores.target == scores.query != "" and use.shape[0] == use.shape[1]
    if same_set:
        np.fill_diagonal(use, False)
        if (labels.values == labels.values.T).all() and np.array_equal(
            scores.values, scores.values.T, equal_nan=True
        ):
            use &= np.tri(len(use), k=-1, dtype=bool)  # else every pair would count twice
    row, column = np.nonzero(use)
    prefix = ("s", "s") if same_set else ("q", "t")
    return ScoreSet(
        np.char.add(prefix[0], row.astype(str)),
        np.char.add(prefix[1], column.astype(str)),
        labels.values[row, column] == MATCH,
        scores.values[row, column].astype(np.float64) * (-1 if scores.is_distance else 1),
        source=str(path),
        format="bee",
    )


def bee_matrices(
    found: ScoreSet, target: str = "target.xml", query: str = "query.xml"
) -> tuple[BeeMatrix, BeeMatrix]:
    """(scores, mask): left pictures are queries (rows), right ones targets; pairs without a score are NaN."""
    queries, rows = np.unique(found.left, return_inverse=True)
    targets, columns = np.unique(found.right, return_inverse=True)
    values = np.full((len(queries), len(targets)), np.nan, np.float32)
    labels = np.full(values.shape, DONT_CARE, np.uint8)
    values[rows, columns] = found.score
    labels[rows, columns] = np.where(found.same, MATCH, NON_MATCH)
    return BeeMatrix(values, target, query, False), BeeMatrix(labels, target, query, False)
