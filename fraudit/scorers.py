"""Black boxes that compare two pictures and never give a vector: an HTTP card, or a Python function.

Nothing is asked twice: scores are kept by the content of both pictures in SQLite, one transaction a batch, so that a
stopped audit goes on where it was and a second one costs nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
import threading
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.errors import ArtifactError, DataError, UsageError, suggest
from fraudit.scorer_types import LoadedScorer, ScorerPlugin, ScorerSpec
from fraudit.types import ARCFACE_112, F64, U8, Preprocess

INPUTS = ("picture", "aligned")
_KEYS = (
    "kind", "name", "input", "size", "template", "left_key", "right_key", "distance", "symmetric", "cost_per_query",
    "currency", "licence", "source",
)  # fmt: skip


def _preprocess(kind: str, size: Any, named: Any, where: str) -> Preprocess | None:
    from fraudit.cards import template

    if kind not in INPUTS:
        raise UsageError(
            f"{where}: input must be picture or aligned, found {kind!r}", suggest(str(kind), INPUTS).strip()
        )
    if kind == "picture":
        return None
    sides = tuple(size) if isinstance(size, list | tuple) else ()
    if len(sides) != 2 or not all(isinstance(v, int) and 8 <= v <= 4096 for v in sides):
        raise UsageError(f"{where}: size is (height, width) in pixels from 8 to 4096, found {size!r}")
    points, name = template(named, (sides[0], sides[1]), f"{where}: template")
    return Preprocess((sides[0], sides[1]), points, template_name=name)


def _text(table: Mapping[str, Any], key: str, default: str, where: str) -> str:
    value = table.get(key, default)
    if not isinstance(value, str) or (not value.strip() and key == "name"):
        raise UsageError(f"{where}: '{key}' must be text, found {value!r}")
    return value.strip()


def _spec(table: Mapping[str, Any], where: str) -> ScorerSpec:
    cost = table.get("cost_per_query", 0.0)
    if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 <= cost < 1e6:
        raise UsageError(f"{where}: cost_per_query must be a number from 0, found {cost!r}")
    for key in ("distance", "symmetric"):
        if not isinstance(table.get(key, False), bool):
            raise UsageError(f"{where}: '{key}' must be true or false, found {table[key]!r}")
    return ScorerSpec(
        name=_text(table, "name", "scorer", where),
        preprocess=_preprocess(
            table.get("input", "picture"),
            table.get("size", [112, 112]),
            table.get("template", "arcface-112"),
            where,
        ),
        distance=table.get("distance", False),
        symmetric=table.get("symmetric", True),
        batch_size=int(table.get("batch_size", 1)),
        cost_per_query=float(cost),
        currency=_text(table, "currency", "", where),
        licence=_text(table, "licence", "not stated", where),
        source=_text(table, "source", where, where),
    )


def load_http(target: str) -> LoadedScorer:
    """The service of a TOML card with one request a pair (docs/scorers.md). Nothing is sent yet.

    Raises:
        DataError: no such card. UsageError: a wrong key or value, an unset secret.
    """
    from embedders.http import Box, read_service
    from embedders.http_answers import _walk, encode_picture
    from fraudit.cards import Card
    from fraudit.types import EmbedderSpec

    path = Path(target).expanduser()
    try:
        blob = path.read_bytes()
        table = tomllib.loads(blob.decode())
    except OSError as error:
        raise DataError(f"cannot read the card {path}: {error.strerror}", "see docs/scorers.md") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a TOML card ({error})", "see docs/scorers.md") from error
    if table.get("kind", "http") != "http":
        raise UsageError(f"{path.name}: a scorer's card has kind 'http', found {table['kind']!r}")
    spec = _spec(table, path.name)
    left, right = (
        _text(table, key, default, path.name)
        for key, default in (("left_key", "left"), ("right_key", "right"))
    )
    rest = {"response": "score", **{key: value for key, value in table.items() if key not in _KEYS}}
    if "batch_size" in rest:
        raise UsageError(f"{path.name}: a scorer sends one pair a request; 'batch_size' has no meaning")
    shown = Preprocess((112, 112), ARCFACE_112)
    card = Card(path, "http", EmbedderSpec(spec.name, 2, shown, spec.licence, spec.source), rest, "")
    service, shape = read_service(card)
    if shape.request == "npy" or shape.response_format == "npy":
        raise UsageError(f"{path.name}: a scorer takes request json or multipart and answers json")

    class Pairs(Box):
        """One request a pair."""

        def _request(self, pair: tuple[U8, U8]) -> dict[str, Any]:
            files = [encode_picture(one, shape.image_format, shape.jpeg_quality) for one in pair]
            if shape.request == "multipart":
                kind = f"image/{shape.image_format}"
                parts = [
                    (key, (f"{key}.{shape.image_format}", data, kind))
                    for key, data in zip((left, right), files, strict=True)
                ]
                return {"files": parts, "data": {k: str(v) for k, v in (shape.fields or {}).items()}}
            root: dict[str, Any] = json.loads(json.dumps(dict(shape.fields or {}), default=str))
            for key, data in zip((left, right), files, strict=True):
                node, parts_of = root, key.split(".")
                for part in parts_of[:-1]:
                    node = node.setdefault(part, {})
                text = base64.b64encode(data).decode("ascii")
                node[parts_of[-1]] = {shape.image_key: text} if shape.image_key else text
            return {"content": json.dumps(root).encode(), "headers": {"Content-Type": "application/json"}}

        def _answer(self, content: bytes, count: int) -> float:
            try:
                found = _walk(json.loads(content), [k for k in shape.response.split(".") if k], spec.name)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{spec.name}: the answer is not JSON: {content[:80]!r}") from error
            if found is None:
                return float("nan")
            if isinstance(found, bool) or not isinstance(found, int | float) or not np.isfinite(found):
                raise DataError(
                    f"{spec.name}: expected a number as score, or null where there is no face, found {str(found)[:60]}",
                    "state the path in the card: response = ...",
                )
            return float(found)

        def score(self, lefts: Sequence[U8], rights: Sequence[U8]) -> F64:
            """f64[N], one request a pair."""
            return np.array([self._ask(pair) for pair in zip(lefts, rights, strict=True)], np.float64)

    box = Pairs(service, shape, 2, spec.name)
    return LoadedScorer(spec, box.score, hashlib.sha256(blob).hexdigest(), box.close)


def load_python(target: str) -> LoadedScorer:
    """The function `module:callable`: (N pictures u8[H,W,3], N pictures) -> N scores. Importing it executes it.

    It may carry the attributes of a card (`input`, `size`, `template`, `name`, `distance`, `symmetric`,
    `cost_per_query`, `currency`, `batch_size`, `licence`, `source`, `version`).

    Raises:
        UsageError: not of the form module:callable, or a wrong attribute. PluginError: no such callable.
    """
    from embedders.python import _fingerprint, _resolve

    function = _resolve(target)
    names = [key for key in _KEYS if key not in ("kind", "left_key", "right_key")] + ["batch_size"]
    stated = {name: getattr(function, name) for name in names if hasattr(function, name)}
    spec = _spec(
        {"name": target, "batch_size": 64, "source": f"python:{target}", **stated}, f"python:{target}"
    )

    def score(lefts: Sequence[U8], rights: Sequence[U8]) -> F64:
        try:
            found = np.asarray(function(list(lefts), list(rights)), np.float64)
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            OSError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:
            raise DataError(
                f"python:{target} fails on {len(lefts)} pairs: {type(error).__name__}: {error}",
                "--debug shows where",
            ) from error
        if found.shape != (len(lefts),) or np.isinf(found).any():
            raise DataError(
                f"python:{target} answers the shape {found.shape} for {len(lefts)} pairs; expected ({len(lefts)},) "
                "finite scores, NaN where there is no face"
            )
        return found

    return LoadedScorer(spec, score, _fingerprint(function, target))


HTTP = ScorerPlugin("http", load_http, "a service that compares two pictures, described by a TOML card")
PYTHON = ScorerPlugin(
    "python", load_python, "a function (pictures, pictures) -> scores; importing its module executes it"
)


def load_scorer(name: str) -> LoadedScorer:
    """The scorer of a card (`card.toml`), `python:module:callable`, or `PLUGIN:TARGET`.

    Raises:
        PluginError: no such plugin. UsageError, DataError: see the plugins.
    """
    from fraudit.plugins import SCORERS

    if name.lower().endswith(".toml"):
        return SCORERS.get("http").load(name)
    kind, _, target = name.partition(":")
    return SCORERS.get(kind).load(target)


class ScoreCache:
    """Scores of one black box by the content of both pictures; shared by threads and processes.

    Args:
        path: SQLite file.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(path, timeout=60, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute("CREATE TABLE IF NOT EXISTS scores (key TEXT PRIMARY KEY, score REAL)")
        except sqlite3.DatabaseError as error:
            raise ArtifactError(
                f"the score cache {path} cannot be read: {error}", f"delete {path}"
            ) from error

    def get(self, keys: Sequence[str]) -> dict[str, float]:
        """Known scores by key; NaN where the box found no face."""
        found: dict[str, float] = {}
        with self._lock:
            for start in range(0, len(keys), 500):
                part = list(keys[start : start + 500])
                query = f"SELECT key, score FROM scores WHERE key IN ({','.join('?' * len(part))})"
                found.update(
                    (k, float("nan") if s is None else float(s)) for k, s in self._db.execute(query, part)
                )
        return found

    def put(self, items: Mapping[str, float]) -> None:
        """Remember, in one transaction."""
        rows = [(key, None if np.isnan(score) else float(score)) for key, score in items.items()]
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?)", rows)
            self._db.execute("COMMIT")

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._db.close()


class BudgetSpent(UsageError):
    """The next question would go beyond `--max-queries`; everything asked so far is kept."""


class ScorerRuntime:
    """Asks a scorer: never twice, never beyond the budget.

    Args:
        loaded: the black box. root: folder of caches. max_queries: questions it may ask at most in this run.

    Attributes:
        queries: questions really asked.
    """

    def __init__(self, loaded: LoadedScorer, root: Path, max_queries: int | None = None) -> None:
        self.loaded, self.spec, self.max_queries = loaded, loaded.spec, max_queries
        self.fingerprint = loaded.fingerprint
        self.queries = 0
        self._cache = ScoreCache(root / "scores" / f"{self.fingerprint[:32]}.sqlite")

    def key(self, left: str, right: str) -> str:
        """Key of a pair of content digests; the order does not count where the box is symmetric."""
        ends = sorted((left, right)) if self.spec.symmetric else [left, right]
        return hashlib.sha256("|".join(ends).encode()).hexdigest()

    def known(self, keys: Sequence[str]) -> int:
        """How many of these questions were asked before."""
        return len(self._cache.get(list(dict.fromkeys(keys))))

    def score(
        self, pairs: Sequence[tuple[str, str]], picture: Callable[[str], U8],
        progress: Callable[[int, int], None] | None = None,
    ) -> F64:  # fmt: skip
        """f64[N] similarities of pairs of content digests; higher is more alike, NaN where there is no face.

        Args:
            picture: digest -> u8[H,W,3]; called for what is not known yet.
        Raises:
            BudgetSpent: the budget does not reach. DataError: the box fails.
        """
        keys = [self.key(*pair) for pair in pairs]
        found = self._cache.get(keys)
        todo = list({key: pair for key, pair in zip(keys, pairs, strict=True) if key not in found}.items())
        if self.max_queries is not None and self.queries + len(todo) > self.max_queries:
            raise BudgetSpent(
                f"{len(todo):,} more queries are needed, {self.max_queries - self.queries:,} of {self.max_queries:,} "
                "are left",
                "raise --max-queries; what was asked is kept",
            )
        step = max(1, self.spec.batch_size)
        for start in range(0, len(todo), step):
            part = todo[start : start + step]
            lefts, rights = ([picture(pair[side]) for _, pair in part] for side in (0, 1))
            scores = self.loaded.score(lefts, rights)
            self.queries += len(part)
            fresh = {key: float(s) for (key, _), s in zip(part, scores, strict=True)}
            self._cache.put(fresh)
            found.update(fresh)
            if progress:
                progress(start + len(part), len(todo))
        sign = -1.0 if self.spec.distance else 1.0
        return sign * np.array([found[key] for key in keys], np.float64)

    def close(self) -> None:
        """Release cache and connections."""
        self._cache.close()
        if self.loaded.close:
            self.loaded.close()
