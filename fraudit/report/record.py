"""The run record: one versioned JSON file that everything downstream reads, and nothing else.

`to_json` and `from_json` walk the type hints of `fraudit.types`, so a new field there needs no change
here. The keys of `plan`, `environment` and `inputs` are described in docs/schema.md.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fraudit.errors import DataError, UsageError, suggest
from fraudit.files.doors import RECORD_BYTES, cause, read_file
from fraudit.files.store import write_bytes_atomic
from fraudit.redact import redact_all
from fraudit.types import AnalysisResult, Finding, Metric, gravity

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = "fraudit-run"
SCHEMA_VERSION = 3
FILE_NAME = "run.json"
_LARGEST = sys.float_info.max

# version n -> how a document of version n becomes one of version n + 1
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
    1: lambda document: document,  # 2 adds Metric.interval_missing, which is empty in older runs
    2: lambda document: (
        document
    ),  # 3 adds Finding.advice and AnalysisResult.answer, which are empty in older runs
}


def plain(value: Any, where: str = "value") -> Any:
    """`value` as JSON can carry it: dict, list, str, int, float, bool or None.

    Arrays, tuples and numpy scalars become lists and plain numbers.

    Args:
        where: path shown in errors, such as `results[2].figures[0].data`.
    Raises:
        DataError: a number is not finite, a key is not a string, or a type has no plain form.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise DataError(f"{where} is {value}; expected a finite number, or null where there is none")
        return float(value)
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise DataError(f"{where} has the key {key!r}; expected a string")
        return {key: plain(item, f"{where}.{key}") for key, item in value.items()}
    np = sys.modules.get("numpy")  # where nobody loaded it, nothing is of it
    if np is not None and isinstance(value, np.bool_ | np.number | np.ndarray):
        return plain(value.tolist(), where)
    raise DataError(f"{where} is a {type(value).__name__}; expected plain values, lists or mappings")


def encode(value: Any, where: str = "value") -> Any:
    """A dataclass of `fraudit.types` (or a container of them) as plain values. Raises as `plain` does."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            f.name: encode(getattr(value, f.name), f"{where}.{f.name}") for f in dataclasses.fields(value)
        }
    if isinstance(value, list | tuple):
        return [encode(item, f"{where}[{index}]") for index, item in enumerate(value)]
    return plain(value, where)


def _named(hint: Any) -> str:
    return getattr(hint, "__name__", None) or str(hint)


@functools.cache  # reading the hints anew for every metric was the larger half of reading a record
def _fields(hint: Any) -> tuple[dict[str, Any], tuple[str, ...], dict[str, frozenset[Any]]]:
    """Of a dataclass: its fields' types by name, which of them a document must have, and the types of plain values
    that `decode` gives back as they are (floats where finite), so that it need not be asked about each of thousands.
    """
    fields, hints = dataclasses.fields(hint), typing.get_type_hints(hint)
    none = dataclasses.MISSING
    needed = tuple(f.name for f in fields if f.default is none and f.default_factory is none)
    return hints, needed, {name: _as_they_are(one) for name, one in hints.items()}


def _as_they_are(hint: Any) -> frozenset[Any]:
    """Types of which `decode` gives back every value as it is (floats where finite), where `hint` is asked for."""
    if hint in (str, int, float, bool, type(None)):
        return frozenset([hint])
    origin, args = _parts(hint)
    if origin in (typing.Union, types.UnionType) and type(None) in args and len(args) == 2:
        return frozenset[Any]().union(*map(_as_they_are, args))
    return frozenset()


@functools.cache
def _parts(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    return typing.get_origin(hint), typing.get_args(hint)


def _decode_dataclass(hint: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise DataError(
            f"{where} is a {type(value).__name__}; expected an object with {hint.__name__}'s fields"
        )
    hints, needed, kept = _fields(hint)
    for key in value:
        if key not in hints:
            raise DataError(
                f"{where} has the unknown field '{key}'", suggest(key, hints) or f"known: {', '.join(hints)}"
            )
    for name in needed:
        if name not in value:
            raise DataError(f"{where} lacks the field '{name}' of {hint.__name__}")
    fields = {
        name: item
        if type(item) in kept[name] and (type(item) is not float or -_LARGEST <= item <= _LARGEST)
        else decode(hints[name], item, f"{where}.{name}")
        for name, item in value.items()
    }
    try:
        return hint(**fields)
    except (ValueError, TypeError, ArithmeticError, AttributeError, LookupError) as error:
        raise DataError(f"{where}: {error}") from error


def decode(hint: Any, value: Any, where: str = "value") -> Any:
    """Plain `value` as the type `hint` says; the inverse of `encode`.

    Raises:
        DataError: the value does not fit, with its path, what was expected and what was found.
    """
    if hint is Any or (type(value) is hint and hint is not float):
        return value
    origin, args = _parts(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        rest = [arg for arg in args if arg is not type(None)]
        if len(rest) == 1:
            return decode(rest[0], value, where)
    elif origin is Literal:
        if value in args:
            return value
        raise DataError(f"{where} is {value!r}; expected one of {', '.join(map(str, args))}")
    elif origin is tuple and isinstance(value, list):
        inner = args[0] if len(args) == 2 and args[1] is Ellipsis else None
        if inner is not None:
            return tuple(decode(inner, item, f"{where}[{index}]") for index, item in enumerate(value))
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        if isinstance(value, dict):
            return value
    elif dataclasses.is_dataclass(hint):
        return _decode_dataclass(hint, value, where)
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not -_LARGEST <= value <= _LARGEST:  # false for NaN too
            raise DataError(f"{where} is no finite number")
        return float(value)
    raise DataError(f"{where} is {value!r:.60}; expected {_named(hint)}")


def normalise(result: AnalysisResult) -> AnalysisResult:
    """The result as it reads back from JSON, so that what is kept equals what is stored.

    Raises:
        DataError: it holds a number that is not finite or a value JSON cannot carry, with the path.
    """
    return decode(AnalysisResult, redact_all(encode(result, result.name)), result.name)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """All that is known of a run; reports and comparisons read this and the artifacts alone.

    Attributes:
        plan: what was asked for.
        environment: versions, machine, seeds, time, the command (docs/schema.md).
        inputs: `dataset`, `embedder`, `judges`, `inverter` (docs/schema.md).
        results: one per analysis, also for those that did not run.
        failures: `{analysis, error, hint, traceback}` of analyses that failed.
        status: `incomplete` until every analysis was tried.
        created: ISO 8601 time at which the run began.
        title: heading of the report; '' lets it be composed from model and dataset.
    """

    plan: Mapping[str, Any]
    environment: Mapping[str, Any]
    inputs: Mapping[str, Any]
    results: tuple[AnalysisResult, ...] = ()
    failures: tuple[Mapping[str, Any], ...] = ()
    status: Literal["complete", "incomplete"] = "complete"
    created: str = ""
    title: str = ""
    schema_version: int = field(default=SCHEMA_VERSION)

    def __repr__(self) -> str:
        done = sum(result.status == "done" for result in self.results)
        return f"<RunRecord: {self.status}, {done} of {len(self.results)} sections done, {self.created}>"

    def __post_init__(self) -> None:
        for name in ("plan", "environment", "inputs", "failures"):
            value = redact_all(plain(getattr(self, name), name))
            object.__setattr__(self, name, tuple(value) if name == "failures" else value)
        object.__setattr__(self, "results", tuple(normalise(result) for result in self.results))

    def to_json(self) -> str:
        """JSON text, the same for the same record."""
        document = {"schema": SCHEMA, **encode(self, "run")}
        document["schema_version"] = SCHEMA_VERSION
        return json.dumps(document, ensure_ascii=True, allow_nan=False, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, *, shown: bool = True) -> RunRecord:
        """Read a record; older versions are brought up to date first.

        Args:
            shown: False leaves out tables, figures and galleries, for who wants findings and metrics alone.
        Raises:
            DataError: not JSON, another program's file, a newer version, or a field that does not fit.
        """
        try:
            document = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"not a run record: {cause(error)}", "give a run's folder or its run.json"
            ) from error
        try:
            document = _tables_in(_current(document if shown else _unshown(document)))
            results = redact_all(document.pop("results", []))
            record = decode(cls, document, "run")
            # What is read from JSON is what `normalise` makes, and need not go through JSON once more.
            object.__setattr__(record, "results", decode(tuple[AnalysisResult, ...], results, "run.results"))
            return record
        except RecursionError as error:
            raise DataError("not a run record: nested too deeply") from error

    def save(self, folder: Path | str) -> Path:
        """Write `run.json` into `folder` (made where needed) in one step; returns its path."""
        path = Path(folder) / FILE_NAME
        write_bytes_atomic(path, self.to_json().encode())
        return path

    @classmethod
    def load(cls, path: Path | str, *, shown: bool = True) -> RunRecord:
        """Read a run's folder or its file; shown: as in `from_json`.

        Raises:
            DataError: there is none, or it does not fit.
        """
        path = Path(path)
        file = path / FILE_NAME if path.is_dir() else path
        try:
            text = read_file(file, RECORD_BYTES)
        except DataError as error:
            found = "a folder without it" if path.is_dir() and not file.exists() else error.message
            found = found if path.exists() else "nothing there"
            raise DataError(
                f"no run at {path}: expected a folder with {FILE_NAME}, found {found}",
                "`fraudit runs` lists the runs that are known",
            ) from error
        try:
            return cls.from_json(text, shown=shown)
        except DataError as error:
            raise DataError(f"{file}: {error.message}", error.hint) from error

    def input_fact(self, part: str, key: str) -> Any:
        """`inputs[part][key]`, or None where the record does not say."""
        found = self.inputs.get(part)
        return found.get(key) if isinstance(found, Mapping) else None

    def metrics(self) -> list[Metric]:
        """Every metric of every analysis, in report order."""
        return [metric for result in self.results for metric in result.metrics]

    def find(self, name: str, group: str = "") -> Metric | None:
        """The metric of that name and group, or None."""
        return next((m for m in self.metrics() if m.name == name and m.group == group), None)

    def metric(self, name: str, group: str = "") -> Metric:
        """The metric of that name and group. Raises UsageError with the nearest name where there is none."""
        found = self.find(name, group)
        if found is None:
            of = f" of group '{group}'" if group else ""
            raise UsageError(
                f"this run has no metric '{name}'{of}", suggest(name, {m.name for m in self.metrics()})
            )
        return found

    def result(self, name: str) -> AnalysisResult | None:
        """The result of the analysis of that name, or None where it was not asked for."""
        return next((result for result in self.results if result.name == name), None)

    def findings(self) -> list[tuple[AnalysisResult, Finding]]:
        """(its analysis, finding), the most severe first, in report order within a severity."""
        pairs = [(result, finding) for result in self.results for finding in result.findings]
        return sorted(pairs, key=lambda pair: gravity(pair[1]))

    def frame(self) -> pd.DataFrame:
        """All metrics as a table, one row each; missing ones have no value but a reason."""
        import pandas as pd

        return pd.DataFrame(
            [row for result in self.results for row in metric_rows(result)], columns=METRIC_COLUMNS
        )


METRIC_COLUMNS = [
    "analysis", "name", "group", "value", "unit", "low", "high", "level", "interval_method",
    "n", "n_unit", "missing", "interval_missing", "better", "label",
]  # fmt: skip


def metric_rows(result: AnalysisResult) -> list[dict[str, Any]]:
    """One flat row per metric with the keys of `METRIC_COLUMNS`; None where there is nothing."""
    rows = []
    for m in result.metrics:
        ci = m.interval
        bounds = (ci.low, ci.high, ci.level, ci.method) if ci else (None, None, None, None)
        rows.append(
            dict(
                zip(
                    METRIC_COLUMNS,
                    (
                        result.name,
                        m.name,
                        m.group,
                        m.value,
                        m.unit,
                        *bounds,
                        m.n,
                        m.n_unit,
                        m.missing,
                        m.interval_missing or None,
                        m.better,
                        m.label,
                    ),
                    strict=True,
                )
            )
        )
    return rows


def _unshown(document: Any) -> Any:
    """The document without what is drawn, as far as it is a record at all."""
    results = document.get("results") if isinstance(document, dict) else None
    drawn = ("tables", "figures", "galleries")
    for result in results if isinstance(results, list) else ():
        for part in drawn if isinstance(result, dict) else ():
            result.pop(part, None)
    return document


def _tables_in(document: dict[str, Any]) -> dict[str, Any]:
    """The document, whose free-form parts are tables where readers expect tables. Raises DataError."""
    inside = {
        "plan": ("params",),
        "environment": ("versions",),
        "inputs": ("dataset", "embedder", "inverter"),
    }
    for name, parts in inside.items():
        table = document.get(name)
        for part in parts if isinstance(table, dict) else ():
            if isinstance(table, dict) and table.get(part) is not None and not isinstance(table[part], dict):
                raise DataError(f"run.{name}.{part} is {table[part]!r:.60}; expected an object")
    inputs = document.get("inputs")
    lists = {
        "failures": document.get("failures"),
        "inputs.judges": isinstance(inputs, dict) and inputs.get("judges"),
    }
    for name, listed in lists.items():
        if listed and not (isinstance(listed, list) and all(isinstance(item, dict) for item in listed)):
            raise DataError(f"run.{name} is {listed!r:.60}; expected a list of objects")
    return document


def _refuse_constant(name: str) -> float:
    raise DataError(f"the record holds {name}; expected finite numbers, or null where there is none")


def _current(document: Any) -> dict[str, Any]:
    """The document at `SCHEMA_VERSION`, without its schema name."""
    found = document.get("schema") if isinstance(document, dict) else type(document).__name__
    if found != SCHEMA:
        raise DataError(
            f"foreign file: expected the schema '{SCHEMA}', found {found!r}",
            "give a run's folder or run.json",
        )
    version = document.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool):
        raise DataError(f"expected a whole number as schema_version, found {version!r}")
    if version > SCHEMA_VERSION:
        raise DataError(
            f"the run has schema version {version}; this fraudit reads up to {SCHEMA_VERSION}",
            "upgrade: pip install --upgrade fraudit",
        )
    document = dict(document)
    while version < SCHEMA_VERSION:
        if version not in MIGRATIONS:
            raise DataError(f"no way to read schema version {version}; this fraudit reads {SCHEMA_VERSION}")
        document = MIGRATIONS[version](document)
        version += 1
    document.pop("schema")
    document["schema_version"] = SCHEMA_VERSION
    return document
