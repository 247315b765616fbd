"""A run frozen into one small file that a repository can keep: what a gate needs, and nothing of any picture.

Kept are every metric with its interval, the scores of the pairs (16 bits each, see `SCORE_STEP`), who shares a pair
with whom (numbers, no names), which pairs were errors at each threshold (exactly), at the thresholds of `FMRS` too,
which a later rule may name, per person the residual sums that paired intervals need (16-bit floats, relative error
below 0.05 %; they enter variances only), and four numbers a face of at most 2,000 faces on random axes, from which
the mean cosine with another model's vectors follows. Vectors and names of faces are not kept; a digest makes sure
that a new run saw the same pairs of the same people.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudit.compare.evidence import SKETCHED, sketch_of
from fraudit.compare.hooks import comparisons
from fraudit.compare.points import with_points
from fraudit.compare.sides import run_side
from fraudit.compare.values import Events, Evidence, Key, Side, Sketch, Sums
from fraudit.errors import DataError
from fraudit.files.doors import RECORD_BYTES, entering, read_file
from fraudit.plugins import ANALYSES
from fraudit.report.record import decode
from fraudit.scores import ScoreSet
from fraudit.types import F64, I64, Metric

SCHEMA = "fraudit-baseline"
SCHEMA_VERSION = 1
MAX_BYTES = 200_000
FMRS = (1e-1, 1e-2, 1e-3, 1e-4)  # frozen wherever the run's people resolve them
FEWER_SKETCHED = 500
SCORE_STEP = 2 / 65_534  # cosines in [-1, 1]: an error of at most 1.6e-5, half a step
_COLUMNS = (
    "name", "group", "value", "low", "high", "level", "n", "n_unit", "unit", "better", "missing", "label",
    "interval_method", "interval_missing",
)  # fmt: skip


def _pack(array: NDArray[Any]) -> str:
    return base64.b64encode(zlib.compress(np.ascontiguousarray(array).tobytes(), 9)).decode()


def _unpack(text: Any, dtype: Any, where: str) -> NDArray[Any]:
    try:
        return np.frombuffer(zlib.decompress(base64.b64decode(text, validate=True)), dtype)
    except (TypeError, ValueError, zlib.error) as error:
        raise DataError(
            f"{where} is damaged: {error}", "freeze the baseline again: fraudit baseline RUN"
        ) from error


def quantised(scores: F64) -> tuple[NDArray[np.uint16], float, float]:
    """(u16[P], lowest, step): lowest + (code - 1) step; 0 says that there is no score.

    Cosines use the fixed range [-1, 1]; other scores their own.
    """
    known = scores[~np.isnan(scores)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    low, high = (-1.0, 1.0) if low >= -1 - 1e-6 and high <= 1 + 1e-6 else (low, high)
    step = (high - low) / 65_534 or 1.0
    codes = 1 + np.clip(np.rint((scores - low) / step), 0, 65_534)
    return np.where(np.isnan(scores), 0, codes).astype(np.uint16), low, step


def _row(metric: Metric) -> list[Any]:
    ci = metric.interval
    return [
        metric.name,
        metric.group,
        metric.value,
        ci and ci.low,
        ci and ci.high,
        ci and ci.level,
        metric.n,
        metric.n_unit,
        metric.unit,
        metric.better,
        metric.missing,
        metric.label,
        ci and ci.method,
        metric.interval_missing,
    ]


def _half(values: F64 | None) -> dict[str, Any] | None:
    """16-bit floats of values scaled to their largest."""
    if values is None:
        return None
    scale = float(np.abs(values).max()) or 1.0
    return {"scale": scale, "f16": _pack((values / scale).astype(np.float16))}


def _full(packed: Mapping[str, Any] | None, where: str) -> F64 | None:
    if packed is None:
        return None
    return _unpack(packed["f16"], np.float16, where).astype(np.float64) * float(packed["scale"])


def freeze(side: Side, only: Sequence[str] = ()) -> str:
    """JSON text of a baseline.

    Args:
        only: analyses to keep; by default all.
    Raises:
        DataError: it would exceed `MAX_BYTES`.
    """

    def kept(name: str) -> bool:
        return not only or name.split(".")[0] in only

    side = with_points(side, [f"fnmr@fmr={fmr:g}" for fmr in FMRS], filter(kept, ANALYSES.names()))
    scored = any(comparison.pair_figures and kept(name) for name, comparison in comparisons())
    found = side.evidence
    document = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "label": side.label,
        "title": side.title,
        "inputs": side.inputs,
        "plan": {k: v for k, v in side.plan.items() if k in ("embedder", "dataset", "seed", "limit")},
        "params": {k: dict(v) for k, v in side.params.items() if kept(k)},
        "status": {k: list(v) for k, v in side.status.items() if kept(k)},
        "columns": list(_COLUMNS),
        "metrics": [_row(m) for m in side.metrics.values() if kept(m.name)],
        "pairs_digest": found.pairs_digest,
        "people_digest": found.people_digest,
        "scores": _scores(found.pairs) if scored else None,
        "sketch": _sketch(found, SKETCHED),
        "events": [
            [*key, len(e.events), _pack(np.packbits(e.events)), _half(e.tail), _people(e.left)]
            for key, e in found.events.items()
            if kept(key[0])
        ],
        "sums": [
            [*key, s.rate, s.n, _half(s.sums), _half(s.tail)] for key, s in found.sums.items() if kept(key[0])
        ],
    }
    return _fitting(document, found)


def _scores(pairs: ScoreSet | None) -> dict[str, Any] | None:
    if pairs is None:
        return None
    codes, low, step = quantised(pairs.score)
    left, right, _ = pairs.people()
    who = _people(np.concatenate([left, right]))
    fold = None if pairs.fold is None else _pack(np.asarray(pairs.fold, np.uint16))
    same = _pack(np.packbits(pairs.same))
    return {"low": low, "step": step, "u16": _pack(codes), "people": who, "same": same, "fold": fold}


def _people(subjects: I64) -> str:
    """u32 codes, so that a plan knows how pairs share people and nobody's number in the data is kept."""
    return _pack(np.unique(subjects, return_inverse=True)[1].ravel().astype(np.uint32))


def _sketch(found: Evidence, most: int) -> dict[str, Any] | None:
    if found.vectors is None or not found.vectors.ok.any():
        return None
    made = sketch_of(found.vectors, most)
    values = _pack(made.values.astype(np.float16))
    return {"dim": made.dim, "rows": _pack(made.rows.astype(np.uint32)), "f16": values, "lost": made.lost}


def _fitting(document: dict[str, Any], found: Evidence) -> str:
    """The text, with less of what readers and plans want where it would be too large. Raises DataError."""
    text = _dump(document)
    if len(text) > MAX_BYTES:
        # methods and labels of intervals are for readers; the gate reads them off the new run
        at = {_COLUMNS.index(name): "" for name in ("interval_method", "label")}
        document["metrics"] = [
            [at.get(k, cell) if cell else cell for k, cell in enumerate(row)] for row in document["metrics"]
        ]
        document["sketch"] = _sketch(found, FEWER_SKETCHED)
        text = _dump(document)
    if len(text) > MAX_BYTES:  # then a plan needs the run itself
        document["events"] = [[*row[:5], None] for row in document["events"]]
        if document["scores"] is not None:
            document["scores"] |= {"people": None, "same": None, "fold": None}
        text = _dump(document)
    if len(text) > MAX_BYTES and found.templates:  # up to a million pairs: rules then go by the intervals
        document["scores"] = None
        text = _dump(document)
    if len(text) > MAX_BYTES:
        raise DataError(
            f"the baseline would take {len(text):,} bytes; at most {MAX_BYTES:,} are meant for a repository",
            f"keep only what the rules need: --only {_of_pairs()}",
        )
    return text


def _of_pairs() -> str:
    """The analyses that rules about pairs name."""
    return ",".join(name for name, comparison in comparisons() if comparison.evidence is not None)


def _dump(document: Mapping[str, Any]) -> str:
    """JSON with one line a metric, so that a diff of two baselines reads."""
    lines = []
    for key, value in document.items():
        if isinstance(value, list) and value and isinstance(value[0], list):
            inner = ",\n  ".join(json.dumps(item, separators=(",", ":")) for item in value)
            lines.append(f'"{key}": [\n  {inner}\n ]')
        else:
            lines.append(f'"{key}": {json.dumps(value, separators=(",", ":"))}')
    return "{" + ",\n ".join(lines) + "}\n"


def _metric(columns: Sequence[str], row: Sequence[Any]) -> Metric:
    cell = dict(zip(columns, row, strict=True))
    low, high, level, method = (cell.pop(key, None) for key in ("low", "high", "level", "interval_method"))
    cell["interval_missing"] = cell.get("interval_missing") or ""
    if low is not None:
        cell["interval"] = {"low": low, "high": high, "level": level, "method": method or ""}
    return decode(Metric, cell, f"metric {str(cell.get('name'))[:80]}")


def thaw(text: str | bytes, path: Path) -> Side:
    """A side from a baseline's text. Raises DataError where it is none, damaged, or of a newer version."""
    with entering(
        f"{path}: expected a run's folder or a baseline (JSON), found another file",
        "make a baseline: fraudit baseline RUN > baseline.json",
    ):
        document = json.loads(text)
    found = document.get("schema") if isinstance(document, dict) else type(document).__name__
    if found != SCHEMA:
        raise DataError(
            f"{path}: foreign file: expected the schema '{SCHEMA}' or a run, found {found!r}",
            "make one: fraudit baseline RUN > baseline.json",
        )
    version = document.get("schema_version")
    if version != SCHEMA_VERSION:
        raise DataError(
            f"{path} has baseline version {version!r}; this fraudit reads {SCHEMA_VERSION}",
            "upgrade fraudit, or freeze the baseline again",
        )
    with entering(f"{path} is damaged", "freeze the baseline again: fraudit baseline RUN"):
        return _side(document, path)


def _side(document: Mapping[str, Any], path: Path) -> Side:
    metrics = [_metric(document["columns"], row) for row in document["metrics"]]
    kinds = {
        "label": str,
        "title": str,
        "pairs_digest": str,
        "people_digest": str,
        "inputs": dict,
        "plan": dict,
        "params": dict,
        "status": dict,
    }
    for key, kind in kinds.items():
        if not isinstance(document[key], kind):
            raise DataError(f"{path} is damaged: '{key}' is a {type(document[key]).__name__}")
    for where, table in (("inputs", document["inputs"]), ("params", document["params"])):
        for key, value in table.items():
            known = value is None or (key == "judges" and all(isinstance(one, dict) for one in value))
            if not isinstance(value, dict) and not (where == "inputs" and known):
                raise DataError(f"{path} is damaged: '{where}.{key}' is a {type(value).__name__}")
    pairs = _pairs(document["scores"], path)
    events: dict[Key, Events] = {}
    for name, group, count, bits, tail, *who in document["events"]:
        where = f"{path}: {name}"
        flags = np.unpackbits(_unpack(bits, np.uint8, where), count=count).astype(bool)
        people = (
            _unpack(who[0], np.uint32, where).astype(np.int64) if who and who[0] else np.empty(0, np.int64)
        )
        events[name, group] = Events(flags, people, people, _full(tail, where))
    sums: dict[Key, Sums] = {}
    for name, group, rate, n, packed, tail in document["sums"]:
        own = _full(packed, f"{path}: {name}")
        if own is not None:
            sums[name, group] = Sums(rate, n, own, _full(tail, f"{path}: {name}"))
    evidence = Evidence(
        pairs,
        document["pairs_digest"],
        document["people_digest"],
        events,
        sums,
        sketch=_thawed_sketch(document.get("sketch"), path),
    )
    return Side(
        document["label"],
        document["title"],
        path,
        document["inputs"],
        document["plan"],
        document["params"],
        {k: (v[0], v[1]) for k, v in document["status"].items()},
        {(m.name, m.group): m for m in metrics},
        evidence,
    )


def _pairs(packed: Mapping[str, Any] | None, path: Path) -> ScoreSet | None:
    """Scores, and who shares a pair with whom where that was kept (else: nobody, no genuine pair)."""
    if packed is None:
        return None
    where = f"{path}: scores"
    codes = _unpack(packed["u16"], np.uint16, where)
    scores = np.where(codes == 0, np.nan, packed["low"] + (codes.astype(np.float64) - 1) * packed["step"])
    none = np.zeros(len(scores), np.int64)
    if not packed.get("people"):
        return ScoreSet(none, none, none.astype(bool), scores, source=str(path))
    left, right = _unpack(packed["people"], np.uint32, where).astype(np.int64).reshape(2, -1)
    same = np.unpackbits(_unpack(packed["same"], np.uint8, where), count=len(scores)).astype(bool)
    fold = None if packed["fold"] is None else _unpack(packed["fold"], np.uint16, where).astype(np.int64)
    return ScoreSet(left, right, same, scores, left, right, fold, source=str(path))


def _thawed_sketch(packed: Mapping[str, Any] | None, path: Path) -> Sketch | None:
    if packed is None:
        return None
    where = f"{path}: sketch"
    rows = _unpack(packed["rows"], np.uint32, where).astype(np.int64)
    values = _unpack(packed["f16"], np.float16, where).astype(np.float64).reshape(len(rows), -1)
    return Sketch(int(packed["dim"]), rows, values, str(packed["lost"]))


def read_side(path: Path, label: str = "", option: str = "") -> Side:
    """A run's folder, its run.json, or a baseline. Raises DataError with what was expected and found.

    Args:
        option: that named it, such as `--base`, for the message.
    """
    if not path.exists():
        raise DataError(
            f"{f'{option} {path}'.strip()}: expected a run's folder or a baseline.json, found nothing there",
            "check the path; `fraudit runs` lists runs, `fraudit baseline RUN > baseline.json` freezes one",
        )
    if path.exists() and not path.is_dir() and path.name != "run.json":
        return thaw(read_file(path, RECORD_BYTES), path)
    return run_side(path, label)
