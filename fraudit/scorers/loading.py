"""Black boxes that compare two pictures and never give a vector: an HTTP card, or a Python function.

Nothing is asked twice: scores are kept by the content of both pictures in SQLite, one transaction a batch, so that a
stopped audit goes on where it was and a second one costs nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.embedding.cards import require_card, short
from fraudit.errors import DataError, FrauditError, UsageError, suggest
from fraudit.files.doors import BROKEN, CARD_BYTES, read_file
from fraudit.files.kinds import parse_as
from fraudit.files.tables import SharedTable
from fraudit.redact import excerpt, redact
from fraudit.types import (
    ARCFACE_112,
    F64,
    U8,
    BudgetSpent,
    LoadedScorer,
    Meter,
    Preprocess,
    ScorerPlugin,
    ScorerSpec,
)

INPUTS = ("picture", "aligned")
SCORE_LIMIT = 1e18  # larger numbers are no scores
_KEYS = (
    "kind", "name", "input", "size", "template", "left_key", "right_key", "distance", "symmetric", "cost_per_query",
    "currency", "licence", "source", "missing",
)  # fmt: skip


def _preprocess(kind: str, size: Any, named: Any, where: str) -> Preprocess | None:
    from fraudit.embedding.cards import template

    if kind not in INPUTS:
        raise UsageError(
            f"{where}: input must be picture or aligned, found {short(kind)}",
            suggest(str(kind), INPUTS).strip(),
        )
    if kind == "picture":
        return None
    sides = tuple(size) if isinstance(size, list | tuple) else ()
    if len(sides) != 2 or not all(isinstance(v, int) and 8 <= v <= 4096 for v in sides):
        raise UsageError(f"{where}: size is (height, width) in pixels from 8 to 4096, found {short(size)}")
    points, name = template(named, (sides[0], sides[1]), f"{where}: template")
    return Preprocess((sides[0], sides[1]), points, template_name=name)


def _text(table: Mapping[str, Any], key: str, default: str, where: str) -> str:
    value = table.get(key, default)
    if not isinstance(value, str) or (not value.strip() and key == "name"):
        raise UsageError(f"{where}: '{key}' must be text, found {short(value)}")
    return value.strip()


def _spec(table: Mapping[str, Any], where: str) -> ScorerSpec:
    cost = table.get("cost_per_query", 0.0)
    if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 <= cost < 1e6:
        raise UsageError(f"{where}: cost_per_query must be a number from 0, found {short(cost)}")
    batch = table.get("batch_size", 1)
    if type(batch) is not int or not 1 <= batch <= 65536:
        raise UsageError(f"{where}: batch_size must be an integer from 1 to 65536, found {short(batch)}")
    for key in ("distance", "symmetric"):
        if not isinstance(table.get(key, False), bool):
            raise UsageError(f"{where}: '{key}' must be true or false, found {short(table[key])}")
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
        batch_size=batch,
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
    from fraudit.embedders.http import Box
    from fraudit.embedders.http_answers import encode_picture, form, json_body, picture_text, place
    from fraudit.embedders.http_card import read_service
    from fraudit.embedders.http_paths import parse_path, walk
    from fraudit.embedding.cards import Card
    from fraudit.types import EmbedderSpec

    path = Path(target).expanduser()
    require_card(path, "docs/scorers.md")
    blob = read_file(path, CARD_BYTES, "see docs/scorers.md", "the card")
    table = parse_as("scorer", blob, path, "docs/scorers.md has a card in full")
    if table.get("kind", "http") != "http":
        raise UsageError(f"{path.name}: a scorer's card has kind 'http', found {short(table['kind'])}")
    spec = _spec(table, path.name)
    left, right = (
        _text(table, key, default, path.name)
        for key, default in (("left_key", "left"), ("right_key", "right"))
    )
    rest = {"response": "score", **{key: value for key, value in table.items() if key not in _KEYS}}
    for key in ("batch_size", "image_list", "images_key"):
        if key in rest:
            raise UsageError(f"{path.name}: a scorer sends one pair a request; '{key}' has no meaning")
    missing = _missing(table, path.name)
    shown = Preprocess((112, 112), ARCFACE_112)
    card = Card(path, "http", EmbedderSpec(spec.name, 2, shown, spec.licence, spec.source), rest, "")
    if rest.get("request") in ("npy", "raw") or rest.get("response_format") == "npy":
        raise UsageError(f"{path.name}: a scorer takes request json or multipart and answers json")
    service, shape = read_service(card)

    place_of_score = parse_path(shape.response, path.name)

    class Pairs(Box):
        """One request a pair."""

        def _request(self, pair: tuple[U8, U8]) -> dict[str, Any]:
            files = [encode_picture(one, shape.image_format, shape.jpeg_quality) for one in pair]
            sides = list(zip((left, right), files, strict=True))
            if shape.request == "multipart":
                return form(shape, [(key, key, data) for key, data in sides], self._hidden)
            return json_body(shape, {key: picture_text(data, shape) for key, data in sides}, self._hidden)

        def _answer(self, content: bytes, count: int) -> float:
            try:
                root = json.loads(content)
            except BROKEN as error:
                raise DataError(f"{spec.name}: the answer is not JSON: {excerpt(content, 80)}") from error
            return score_of(walk(root, place_of_score, spec.name), missing, spec.name)

        def _without_face(self, images: Any) -> float:
            return float("nan")

        def _questions(self, images: Any) -> int:
            return 1

        def score(self, lefts: Sequence[U8], rights: Sequence[U8]) -> F64:
            """f64[N], one request a pair."""
            return np.array([self._ask(pair) for pair in zip(lefts, rights, strict=True)], np.float64)

    if shape.request == "json":
        free: dict[str, Any] = json.loads(json.dumps(dict(shape.fields or {}), default=str))
        for key in (left, right, *(service.fields_env or {})):
            place(free, key, "", path.name)
    box = Pairs(service, shape, 2, spec.name)
    return LoadedScorer(spec, box.score, hashlib.sha256(blob).hexdigest(), box.close, box.meter)


def _missing(table: Mapping[str, Any], where: str) -> float | None:
    """What null or an empty list stands for: NaN (no face) or a score; None where the card does not say."""
    stated = table.get("missing")
    if stated is None:
        return None
    if stated == "no_face":
        return float("nan")
    if (
        isinstance(stated, bool)
        or not isinstance(stated, int | float)
        or not -SCORE_LIMIT < stated < SCORE_LIMIT
    ):
        raise UsageError(f"{where}: missing must be 'no_face' or a score, found {short(stated)}")
    return float(stated)


def score_of(found: Any, missing: float | None, where: str) -> float:
    """A score of an answer: a number, also as text; NaN where it says that there is no face.

    Args:
        found: what stands at the path. missing: see `_missing`.
    Raises:
        DataError: no score.
    """
    from fraudit.embedders.http_paths import Nothing

    if isinstance(found, Nothing) or found == []:
        of_list = found == [] or getattr(found, "value", None) == []
        if of_list and missing is None:
            place = f" at '{redact(found.where)[:80]}'" if isinstance(found, Nothing) else ""
            raise DataError(
                f"{where}: an empty list{place}: no face was found, or the similarity is below the service's own limit",
                "say which in the card: missing = 'no_face', or missing = 0 for the score that it stands for",
            )
        return float("nan") if missing is None else missing
    value = found
    if isinstance(value, str) and len(value) < 40:
        try:
            value = float(value.strip().removesuffix("%"))
        except ValueError:
            value = found
    if isinstance(value, bool):
        said = f"{str(value).lower()}, a decision: an audit needs the score behind it"
    elif isinstance(value, int | float) and -SCORE_LIMIT < value < SCORE_LIMIT:  # false for NaN too
        return float(value)
    else:
        said = f"an integer of {value.bit_length()} bits" if type(value) is int else redact(str(found))[:60]
    raise DataError(
        f"{where}: expected a number as score, or null where there is no face, found {said}",
        "state the path in the card: response = ...",
    )


def load_python(target: str) -> LoadedScorer:
    """The function `module:callable`: (N pictures u8[H,W,3], N pictures) -> N scores. Importing it executes it.

    It may carry the attributes of a card (`input`, `size`, `template`, `name`, `distance`, `symmetric`,
    `cost_per_query`, `currency`, `batch_size`, `licence`, `source`, `version`).

    Raises:
        UsageError: not of the form module:callable, or a wrong attribute. PluginError: no such callable.
    """
    from fraudit.embedders.python import fingerprint_of, own_code_failed, resolve_target

    function = resolve_target(target)
    names = [key for key in _KEYS if key not in ("kind", "left_key", "right_key", "missing")] + ["batch_size"]
    stated = {name: getattr(function, name) for name in names if hasattr(function, name)}
    spec = _spec(
        {"name": target, "batch_size": 64, "source": f"python:{target}", **stated}, f"python:{target}"
    )

    def score(lefts: Sequence[U8], rights: Sequence[U8]) -> F64:
        try:
            answer = function(list(lefts), list(rights))
        except FrauditError:
            raise
        except (Exception, SystemExit) as error:  # whatever a person's own scorer raises
            module = getattr(function, "__module__", "")
            raise own_code_failed(f"python:{target} fails on {len(lefts)} pairs", error, module) from error
        if isinstance(answer, list | tuple):
            answer = [float("nan") if one is None else one for one in answer]
        try:
            found = np.asarray(answer, np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"python:{target} answers a {type(answer).__name__} for {len(lefts)} pairs; expected a list of numbers"
            ) from error
        if found.shape != (len(lefts),) or np.isinf(found).any():
            raise DataError(
                f"python:{target} answers the shape {found.shape} for {len(lefts)} pairs; expected ({len(lefts)},) "
                "finite scores, NaN where there is no face"
            )
        return found

    return LoadedScorer(spec, score, fingerprint_of(function, target))


HTTP = ScorerPlugin("http", load_http, "a service that compares two pictures, described by a TOML card")
PYTHON = ScorerPlugin(
    "python", load_python, "a function (pictures, pictures) -> scores; importing its module executes it"
)


def load_scorer(name: str) -> LoadedScorer:
    """The scorer of a card (`card.toml`), `python:module:callable`, or `PLUGIN:TARGET`.

    Raises:
        PluginError: no such plugin. ArtifactError: no such card. UsageError, DataError: see the plugins.
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
        create = "CREATE TABLE IF NOT EXISTS scores (key TEXT PRIMARY KEY, score REAL)"
        self._table = SharedTable(path, "the score cache", create)

    def get(self, keys: Sequence[str]) -> dict[str, float]:
        """Known scores by key; NaN where the box found no face."""
        found: dict[str, float] = {}
        for start in range(0, len(keys), 500):
            part = list(keys[start : start + 500])
            query = f"SELECT key, score FROM scores WHERE key IN ({','.join('?' * len(part))})"
            for key, score in self._table.rows(query, part):
                if not isinstance(score, float | int | None):
                    raise self._table.wrong(ValueError("a score of it is damaged"))
                found[key] = float("nan") if score is None else float(score)
        return found

    def put(self, items: Mapping[str, float]) -> None:
        """Remember, in one transaction."""
        rows = [(key, None if np.isnan(score) else float(score)) for key, score in items.items()]
        self._table.write("INSERT OR REPLACE INTO scores VALUES (?, ?)", rows)

    def close(self) -> None:
        """Release the file."""
        self._table.close()


class ScorerRuntime:
    """Asks a scorer: never twice, never beyond the budget.

    Args:
        loaded: the black box. root: folder of caches. max_queries: questions it may ask at most in this run.

    Attributes:
        queries: questions sent, those sent again after an error among them.
        remembered: questions that an answer from before settled.
    """

    def __init__(self, loaded: LoadedScorer, root: Path, max_queries: int | None = None) -> None:
        self.loaded, self.spec, self.max_queries = loaded, loaded.spec, max_queries
        self.fingerprint = loaded.fingerprint
        self.meter = loaded.meter or Meter()
        self.meter.limit = max_queries
        self.remembered = 0
        self._cache = ScoreCache(root / "scores" / f"{self.fingerprint[:32]}.sqlite")

    @property
    def queries(self) -> int:
        return self.meter.sent

    def key(self, left: str, right: str) -> str:
        """Key of a pair of content digests; the order does not count where the box is symmetric."""
        ends = sorted((left, right)) if self.spec.symmetric else [left, right]
        return hashlib.sha256("|".join(ends).encode()).hexdigest()

    def known(self, keys: Sequence[str]) -> int:
        """How many of these questions were asked before."""
        return len(self._cache.get(list(dict.fromkeys(keys))))

    def score(
        self,
        pairs: Sequence[tuple[str, str]],
        picture: Callable[[str], U8],
        progress: Callable[[int, int], None] | None = None,
    ) -> F64:
        """f64[N] similarities of pairs of content digests; higher is more alike, NaN where there is no face.

        Args:
            picture: digest -> u8[H,W,3]; called for what is not known yet.
        Raises:
            BudgetSpent: the budget does not reach. DataError: the box fails.
        """
        keys = [self.key(*pair) for pair in pairs]
        found = self._cache.get(keys)
        self.remembered += len(found)
        todo = list({key: pair for key, pair in zip(keys, pairs, strict=True) if key not in found}.items())
        if self.max_queries is not None and self.queries + len(todo) > self.max_queries:
            raise BudgetSpent(
                f"{len(todo):,} more queries are needed, {self.max_queries - self.queries:,} of {self.max_queries:,} "
                "are left",
                "raise --max-queries; what was asked is kept: the same command goes on from there",
            )
        step = max(1, self.spec.batch_size)
        for start in range(0, len(todo), step):
            part = todo[start : start + step]
            lefts, rights = ([picture(pair[side]) for _, pair in part] for side in (0, 1))
            if self.loaded.meter is None:
                self.meter.count(len(part))
            scores = self.loaded.score(lefts, rights)
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
