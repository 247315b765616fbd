"""Score files of the field: Bob's columns and CSV, BEE matrices, pairs with scores.

| format | a line |
|---|---|
| `bob4` | `claimed_id real_id test_label score` |
| `bob5` | `claimed_id model_label real_id test_label score` |
| `bob-csv` | header with `probe_subject_id`, `bio_ref_subject_id`, `score` |
| `bee` | `.mtx` with its `.mask` |
| `pairs-csv`, `pairs-parquet` | `left,right,same,score[,fold][,left_subject,right_subject]` |
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.doors import BROKEN, TABLE_BYTES, check_regular, entering
from fraudit.errors import DataError, UsageError, suggest
from fraudit.formatting import sheet_meaning, sheet_text
from fraudit.scores.bee import bee_matrices, mask_path, matrix_bytes, read_bee
from fraudit.scores.scoreset import ScoreSet
from fraudit.store import write_atomic

FORMATS = ("bob4", "bob5", "bob-csv", "bee", "pairs-csv", "pairs-parquet")
_TRUE, _FALSE = {"1", "true", "genuine", "same", "yes"}, {"0", "false", "impostor", "different", "no"}
_NUMBERS = ("same", "fold", "score")
_BOB_LINE = {
    "bob4": "claimed_id real_id test_label score",
    "bob5": "claimed_id model_label real_id test_label score",
}


def read_scores(path: Path | str, format: str = "auto", mask: Path | None = None) -> ScoreSet:
    """Scored pairs of a file.

    Args:
        path: the file. format: one of FORMATS, or `auto`. mask: of a BEE matrix, by default beside it.
    Raises:
        DataError: unreadable, empty, or a line that does not fit (named). UsageError: unknown format.
    """
    file = Path(path)
    if format not in ("auto", *FORMATS):
        raise UsageError(
            f"unknown score format '{format}'", f"{suggest(format, FORMATS)}known: {', '.join(FORMATS)}"
        )
    if not file.exists():
        raise DataError(f"{file}: no such file", "check the path")
    for one in (file, mask):
        if one is not None and check_regular(one, "check the path") > TABLE_BYTES:
            raise DataError(f"{one} is larger than {TABLE_BYTES:,} bytes, more than a score file may have")
    with entering(f"{file} cannot be read as scores", "is it whole, and of the format that --format names?"):
        kind = detect_format(file) if format == "auto" else format
        if kind == "bee":
            found = read_bee(file, mask)
        elif kind == "pairs-parquet":
            found = _read_parquet(file)
        else:
            readers: dict[str, Callable[[Path, str], ScoreSet]] = {
                "bob4": _read_bob, "bob5": _read_bob, "bob-csv": _read_table, "pairs-csv": _read_table,
            }  # fmt: skip
            found = readers[kind](file, kind)
    if not len(found):
        raise DataError(f"{file}: no scored pair in it")
    infinite = np.flatnonzero(np.isinf(found.score))
    if len(infinite):
        raise DataError(
            f"{file}: score {infinite[0] + 1} of {len(found)} is infinite; expected a number, or nan where a "
            "picture gave no vector"
        )
    return found


def detect_format(path: Path) -> str:
    """The format of a file, from its first bytes. Raises DataError where none fits."""
    with path.open("rb") as file:
        head = file.read(65536)
    if head[:3] in (b"S2\n", b"D2\n") or head[:4] in (b"S2\r\n", b"D2\r\n"):
        return "bee"
    if head[:4] == b"PAR1":
        return "pairs-parquet"
    first = next((line for line in head.decode("utf-8-sig", "replace").splitlines() if line.strip()), "")
    fields = [field.strip() for field in first.split(",")]
    if {"probe_subject_id", "bio_ref_subject_id", "score"} <= set(fields):
        return "bob-csv"
    if {"left", "right", "same", "score"} <= set(fields):
        return "pairs-csv"
    words = len(first.split())
    if words in (4, 5):
        return f"bob{words}"
    raise DataError(
        f"{path}, line 1: no known score format: {first[:60]!r}",
        f"known: {', '.join(FORMATS)}; a CSV needs a header with left,right,same,score",
    )


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number from 1, line) of the lines that are not blank. Raises DataError where it is not UTF-8."""
    try:
        with path.open(encoding="utf-8-sig", newline=None) as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error


def _number(text: str, where: str) -> float:
    """A score; an empty field or `nan` says that there is none."""
    if not text.strip():
        return np.nan
    try:
        return float(text)
    except ValueError:
        raise DataError(f"{where}: expected a score, found '{text[:40]}'") from None


def _read_bob(path: Path, kind: str) -> ScoreSet:
    wanted = 4 if kind == "bob4" else 5
    rows: list[list[str]] = []
    scores: list[float] = []
    for number, line in text_lines(path):
        fields = line.split()
        where = f"{path}, line {number}"
        if len(fields) != wanted:
            raise DataError(f"{where}: expected {wanted} fields '{_BOB_LINE[kind]}', found {len(fields)}")
        scores.append(_number(fields[-1], where))
        rows.append(fields)
    columns = np.array(rows, dtype=np.str_).reshape(len(rows), wanted)
    claimed, real, label = columns[:, 0], columns[:, -3], columns[:, -2]
    return ScoreSet(
        columns[:, 1] if kind == "bob5" else claimed, label, claimed == real, np.array(scores), claimed, real,
        source=str(path), format=kind,
    )  # fmt: skip


def _read_table(path: Path, kind: str) -> ScoreSet:
    text = path.read_bytes()
    try:
        reader = csv.reader(io.StringIO(text.decode("utf-8-sig"), newline=""))
        header = [field.strip() for field in next(reader, [])]
        rows, numbers = [], []
        for row in reader:
            if not any(field.strip() for field in row):
                continue
            if len(row) != len(header):
                raise DataError(
                    f"{path}, line {reader.line_num}: expected {len(header)} fields, found {len(row)}"
                )
            rows.append(row)
            numbers.append(reader.line_num)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    except csv.Error as error:
        raise DataError(f"{path}: {error}") from error
    columns = {name: [sheet_meaning(row[i].strip()) for row in rows] for i, name in enumerate(header)}
    return _from_columns(columns, numbers, str(path), kind)


def _read_parquet(path: Path) -> ScoreSet:
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise DataError(f"{path}: reading parquet needs pyarrow", "pip install 'fraudit[parquet]'") from None
    try:
        table = parquet.read_table(path)
    except (pyarrow.ArrowException, *BROKEN) as error:
        raise DataError(f"{path}: cannot be read as parquet: {error}") from error
    columns = {
        name: ["" if value is None else str(value) for value in table.column(name).to_pylist()]
        for name in table.column_names
    }
    return _from_columns(columns, list(range(1, table.num_rows + 1)), str(path), "pairs-parquet")


def _from_columns(columns: dict[str, list[str]], numbers: Sequence[int], source: str, kind: str) -> ScoreSet:
    bob = kind == "bob-csv"
    needed = (
        ("probe_subject_id", "bio_ref_subject_id", "score") if bob else ("left", "right", "same", "score")
    )
    absent = [name for name in needed if name not in columns]
    if absent:
        raise DataError(
            f"{source}, line 1: column '{absent[0]}' is missing; found {', '.join(columns) or 'nothing'}",
            f"needed: {', '.join(needed)}",
        )
    unit = "row" if kind == "pairs-parquet" else "line"
    places = [f"{source}, {unit} {number}" for number in numbers]
    score = np.array([_number(t, w) for t, w in zip(columns["score"], places, strict=True)], np.float64)

    def names(*choices: str) -> Any:
        chosen = next((c for c in choices if c in columns), None)
        return None if chosen is None else np.array(columns[chosen], dtype=np.str_)

    if bob:
        reference, probe = names("bio_ref_subject_id"), names("probe_subject_id")
        left = names("bio_ref_template_id", "bio_ref_key", "bio_ref_subject_id")
        right = names("probe_template_id", "probe_key", "probe_subject_id")
        return ScoreSet(left, right, reference == probe, score, reference, probe, source=source, format=kind)
    same = np.array([_flag(t, w) for t, w in zip(columns["same"], places, strict=True)], bool)
    fold = None
    if "fold" in columns:
        fold = np.array([_whole(t, w) for t, w in zip(columns["fold"], places, strict=True)], np.int64)
    left_subject, right_subject = names("left_subject"), names("right_subject")
    found = ScoreSet(
        names("left"), names("right"), same, score, left_subject, right_subject, fold, source, kind
    )  # fmt: skip
    if left_subject is not None and right_subject is not None and len(same):
        wrong = np.flatnonzero((left_subject == right_subject) != same)
        if len(wrong):
            raise DataError(
                f"{places[int(wrong[0])]}: same is {int(same[wrong[0]])}, but the people are "
                f"'{left_subject[wrong[0]]}' and '{right_subject[wrong[0]]}'"
            )
    return found


def _flag(text: str, where: str) -> bool:
    word = text.strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise DataError(f"{where}: expected same to be 1 or 0, found '{text[:40]}'")


def _whole(text: str, where: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise DataError(f"{where}: expected a whole number for fold, found '{text[:40]}'") from None


def write_scores(found: ScoreSet, path: Path | str, format: str = "pairs-csv") -> None:
    """Write scored pairs atomically; `bee` writes the mask beside the matrix.

    Raises:
        UsageError: unknown format. DataError: the format needs people and the set names none.
    """
    file = Path(path)
    if format not in FORMATS:
        raise UsageError(
            f"unknown score format '{format}'", f"{suggest(format, FORMATS)}known: {', '.join(FORMATS)}"
        )
    if format == "bee":
        for target, matrix in zip((file, mask_path(file)), bee_matrices(found), strict=True):
            data = matrix_bytes(matrix)
            write_atomic(target, lambda p, data=data: _put(p, data))
        return
    if format.startswith("bob") and (found.left_subject is None or found.right_subject is None):
        raise DataError(f"{found.source or 'these scores'}: format '{format}' needs the people of every pair")
    columns = _columns(found, format)
    if format == "pairs-parquet":
        _write_parquet(columns, file)
        return
    text = io.StringIO(newline="")
    if format in ("bob4", "bob5"):
        for row in zip(*columns.values(), strict=True):
            spaced = next((str(field) for field in row if len(str(field).split()) != 1), None)
            if spaced is not None:
                raise DataError(f"'{spaced}' cannot be written as one field of '{format}'", "use pairs-csv")
            text.write(" ".join(map(str, row)) + "\n")
    else:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        cells = [
            values if key in _NUMBERS else [sheet_text(str(v)) for v in values]
            for key, values in columns.items()
        ]
        writer.writerows(zip(*cells, strict=True))
    write_atomic(file, lambda p: _put(p, text.getvalue().encode()))


def _put(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _columns(found: ScoreSet, format: str) -> dict[str, Sequence[Any]]:
    # repr gives the shortest text that reads back as the same float64.
    score = ["nan" if np.isnan(s) else repr(float(s)) for s in found.score]
    if format == "bob4":
        return {
            "claimed": found.left_subject,
            "real": found.right_subject,
            "label": found.right,
            "score": score,
        }
    if format == "bob5":
        return {
            "claimed": found.left_subject,
            "model": found.left,
            "real": found.right_subject,
            "label": found.right,
            "score": score,
        }
    if format == "bob-csv":
        return {
            "probe_subject_id": found.right_subject, "probe_template_id": found.right,
            "bio_ref_subject_id": found.left_subject, "bio_ref_template_id": found.left, "score": score,
        }  # fmt: skip
    columns: dict[str, Sequence[Any]] = {"left": found.left, "right": found.right}
    if found.left_subject is not None and found.right_subject is not None:
        columns |= {"left_subject": found.left_subject, "right_subject": found.right_subject}
    columns["same"] = found.same.astype(int).tolist()
    if found.fold is not None:
        columns["fold"] = found.fold.tolist()
    return columns | {"score": score}


def _write_parquet(columns: dict[str, Sequence[Any]], path: Path) -> None:
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise DataError(f"{path}: writing parquet needs pyarrow", "pip install 'fraudit[parquet]'") from None
    arrays = {
        key: pyarrow.array([float(v) for v in values] if key == "score" else [*map(_plain, values)])
        for key, values in columns.items()
    }
    write_atomic(path, lambda p: parquet.write_table(pyarrow.table(arrays), os.fspath(p)))


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, np.str_) else value
