"""Score files of the field: Bob's columns and CSV, BEE matrices, pairs with scores.

| format | a line |
|---|---|
| `bob4` | `claimed_id real_id test_label score` |
| `bob5` | `claimed_id model_label real_id test_label score` |
| `bob-csv` | header with `probe_subject_id`, `bio_ref_subject_id`, `score` |
| `bee` | `.mtx` with its `.mask` |
| `pairs-csv`, `pairs-parquet` | `left,right,same,score[,fold][,left_subject,right_subject]`, or names like these |

Tables of text are read by `fraudit.faces.tables`: docs/formats.md says what they may look like.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.errors import DataError, UsageError, suggest
from fraudit.files.doors import TABLE_BYTES, check_regular, entering
from fraudit.files.store import write_atomic
from fraudit.formatting import sheet_text
from fraudit.scores.bee import bee_matrices, mask_path, matrix_bytes, read_bee
from fraudit.scores.reading import Options, read_parquet_scores, read_text_scores, read_two_files
from fraudit.scores.scoreset import ScoreSet

FORMATS = ("bob4", "bob5", "bob-csv", "bee", "pairs-csv", "pairs-parquet")
_NUMBERS = ("same", "fold", "score")


def read_scores(
    path: Path | str,
    format: str = "auto",
    mask: Path | None = None,
    *,
    distance: bool = False,
    column: str = "",
    unique: bool = False,
) -> ScoreSet:
    """Scored pairs of a file.

    Args:
        path: the file. format: one of FORMATS, or `auto`. mask: of a BEE matrix, by default beside it.
        distance: the file holds distances (they are negated). A column called so, and BEE's D2, say it themselves.
        column: name of the column of scores. unique: leave rows out that repeat an earlier one, and count them.
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
    options = Options(column)
    with entering(f"{file} cannot be read as scores", "is it whole, and of the format that --format names?"):
        kind = _first_bytes(file) if format == "auto" else format
        if kind == "bee":
            found = read_bee(file, mask)
        elif kind == "pairs-parquet":
            found = read_parquet_scores(file, options)
        else:
            found = read_text_scores(file, "auto" if kind == "text" else kind, ", ".join(FORMATS), options)
    return _checked(found, distance, unique)


def read_score_pair(
    genuine: Path | str, impostor: Path | str, *, distance: bool = False, column: str = ""
) -> ScoreSet:
    """Scores of genuine and of impostor pairs in a file each, as PyEER takes them: one a line, the last field.

    Raises:
        DataError: unreadable, empty, or a line that does not fit (named).
    """
    with entering(f"{genuine} and {impostor} cannot be read as scores"):
        found = read_two_files(Path(genuine), Path(impostor), Options(column))
    return _checked(found, distance, False)


def _checked(found: ScoreSet, distance: bool, unique: bool) -> ScoreSet:
    """`found` turned and without duplicates where asked for. Raises DataError: no pair, or an infinite score."""
    if not len(found):
        raise DataError(f"{found.source}: no scored pair in it")
    infinite = np.flatnonzero(np.isinf(found.score))
    if len(infinite):
        raise DataError(
            f"{found.source}: score {infinite[0] + 1} of {len(found)} is infinite; expected a number, or nan where a "
            "picture gave no vector"
        )
    if distance and not found.distance:
        found = found.turned()
    return found.unique() if unique else found


def _first_bytes(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(16)
    if head[:3] in (b"S2\n", b"D2\n") or head[:4] in (b"S2\r\n", b"D2\r\n"):
        return "bee"
    return "pairs-parquet" if head[:4] == b"PAR1" else "text"


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
            write_atomic(target, partial(_put, data=data))
        return
    if format.startswith("bob") and (found.left_subject is None or found.right_subject is None):
        raise DataError(f"{found.source or 'these scores'}: format '{format}' needs the people of every pair")
    columns = _columns(found, format)
    if format == "pairs-parquet":
        _write_parquet(columns, file)
        return
    text = io.StringIO(newline="")
    if format in ("bob4", "bob5"):
        for at, row in enumerate(zip(*columns.values(), strict=True), 1):
            if any(len(str(field).split()) != 1 for field in row):
                raise DataError(
                    f"a name of pair {at} is empty or holds a space: '{format}' has no field for it",
                    "use pairs-csv",
                )
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


def _columns(found: ScoreSet, format: str) -> dict[str, Any]:
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
            "probe_subject_id": found.right_subject,
            "probe_template_id": found.right,
            "bio_ref_subject_id": found.left_subject,
            "bio_ref_template_id": found.left,
            "score": score,
        }
    columns: dict[str, Any] = {"left": found.left, "right": found.right}
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
