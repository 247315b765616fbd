"""Runs every method on the same vectors: pictures, what they cost, and who is kin of each."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudit.analyses.rivals.params import NAME, QUESTIONS, Params
from fraudit.errors import FrauditError, InsufficientData, UsageError, suggest
from fraudit.files.store import digest_of
from fraudit.inverters.inverting import guidance_of, invert_in_pieces
from fraudit.inverters.learned.inverter import pictures_drawn
from fraudit.inverters.loading import bundled, load_inverter
from fraudit.inverters.rivals.attack import Attempt, Setting
from fraudit.inverters.rivals.generators import Generator, bundled_state, kin_of
from fraudit.plugins import INVERTERS
from fraudit.progress import Progress
from fraudit.types import F32, F64, I64, U8, Inverter, InverterPlugin, MethodCard

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext
    from fraudit.embedding.runtime import EmbedderRuntime

FIRST = "id3pm"  # the others are paired against it


@dataclass(frozen=True, slots=True)
class Made:
    """Pictures of one method: u8[N*K,S,S,3], vector by vector.

    Attributes:
        asked: i64[T], questions a picture at which `kept` u8[T,N*K,S,S,3] and `likeness` f64[T,N*K], the cosine by the
            audited model, were reached; T = 0 for methods that ask nothing while they work.
        questions: a picture. shared: asked once for all. seconds: a picture. seconds_shared: once for all.
        kin: fingerprints of models that do not judge it independently. note: size at which it ran.
        variants, varied: names, and u8[V,N*K,S,S,3] pictures, of the same attack under other conditions.
    """

    name: str
    card: MethodCard
    pictures: U8
    asked: I64
    kept: U8
    likeness: F64
    questions: int
    shared: int
    seconds: float
    seconds_shared: float
    kin: frozenset[str]
    note: str
    variants: tuple[str, ...] = ()
    varied: U8 | None = None


@dataclass(frozen=True, slots=True)
class Absent:
    """A method that was not run, why, and the command that brings it."""

    name: str
    card: MethodCard
    reason: str


def known_methods() -> dict[str, InverterPlugin]:
    """Installed methods by name, the one that others are paired with first, then trained ones, then attacks."""
    found = [plugin for plugin in INVERTERS.usable() if plugin.method is not None]
    order = sorted(found, key=lambda p: (p.name != FIRST, p.attack is not None, p.name))
    return {plugin.name: plugin for plugin in order}


def chosen_methods(params: Params) -> dict[str, InverterPlugin]:
    """Those that the parameters name. Raises UsageError on unknown names."""
    known = known_methods()
    for name in params.methods:
        if name not in known:
            raise UsageError(
                f"{NAME}: unknown method '{name}'", f"{suggest(name, known)}known: {', '.join(known)}"
            )
    return {name: plugin for name, plugin in known.items() if not params.methods or name in params.methods}


def _remembered(
    context: AnalysisContext, parts: dict[str, Any] | None, make: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    return make() if parts is None else context.store.arrays(NAME, parts, make)


def by_inverter(
    context: AnalysisContext,
    inverter: Inverter,
    card: MethodCard,
    name: str,
    vectors: F32,
    seeds: I64,
    steps: int | None,
) -> Made:
    """What a trained inverter makes of f32[M,D] vectors."""
    own: dict[str, Any] = dict(getattr(inverter, "card", {}))
    options = {"guidance": guidance_of(inverter), **({} if steps is None else {"steps": steps})}

    def make() -> dict[str, Any]:
        begun = time.monotonic()
        told = context.part(f"pictures by {name}", len(vectors))
        pictures = invert_in_pieces(inverter, vectors, seeds, told.add, **options)
        return {"pictures": pictures, "seconds": np.array(time.monotonic() - begun)}

    parts = None
    if own.get("weights_sha256") or own.get("files"):
        parts = {
            "inverter": digest_of(own),
            "vectors": digest_of(vectors),
            "seeds": digest_of(seeds),
            "options": repr(options),
        }
    found = _remembered(context, parts, make)
    kin = kin_of(own) - {context.embedder.fingerprint}
    side = found["pictures"].shape[1]
    count = own.get("trained_on", {}).get("faces") or sum(
        d.get("used", d["faces"]) for d in own.get("data", [])
    )
    note = f"{side} px" + _trained_words(count, pictures_drawn(own))
    return Made(
        name,
        card,
        found["pictures"],
        np.zeros(0, np.int64),
        np.zeros((0, *found["pictures"].shape), np.uint8),
        np.zeros((0, len(vectors))),
        0,
        0,
        float(found["seconds"]) / max(len(vectors), 1),
        0.0,
        kin,
        note,
    )


def _trained_words(faces: int, drawn: int) -> str:
    """`, trained on 25,600 pictures drawn from 33,688 faces`, as far as it is known."""
    if not faces:
        return ""
    return (
        f", trained on {drawn:,} pictures drawn from {faces:,} faces"
        if drawn
        else f", trained on {faces:,} faces"
    )


def by_attack(
    context: AnalysisContext, plugin: InverterPlugin, setting: Setting, vectors: F32, seeds: I64
) -> Made:
    """What an attack makes of f32[M,D] vectors. Raises InsufficientData where it cannot be done."""
    assert plugin.attack is not None
    assert plugin.method is not None
    attack = plugin.attack
    box = setting.box
    names = ("pictures", "asked", "kept", "similarity")

    def make() -> dict[str, Any]:
        begun = time.monotonic()
        done: Attempt = attack(setting, vectors, seeds)
        arrays = {key: getattr(done, key) for key in names}
        numbers = [
            done.questions,
            done.shared,
            time.monotonic() - begun - done.seconds_shared,
            done.seconds_shared,
        ]
        told: dict[str, Any] = (
            {} if done.varied is None else {"variants": done.variants, "varied": done.varied}
        )
        return {**arrays, **told, "numbers": np.array(numbers), "note": done.note, "kin": sorted(done.kin)}

    parts = None
    if box.loaded.cacheable:
        parts = {
            "method": plugin.name,
            "box": box.fingerprint,
            "local": setting.local.fingerprint if setting.local else "",
            **({"generator": setting.generator.key} if setting.generator else {}),
            "bundled": bundled_state(),
            "sizes": [setting.questions, setting.pool, setting.pictures, setting.seed],
            "vectors": digest_of(vectors),
            "seeds": digest_of(seeds),
        }
    found = _remembered(context, parts, make)
    questions, shared, seconds, once = (float(x) for x in found["numbers"])
    return Made(
        plugin.name,
        plugin.method,
        found["pictures"],
        found["asked"],
        found["kept"],
        found["similarity"],
        int(questions),
        int(shared),
        seconds / max(len(vectors), 1),
        once,
        frozenset(map(str, np.atleast_1d(found["kin"]))) - {box.fingerprint},
        str(found["note"]),
        tuple(map(str, found.get("variants", ()))),
        found.get("varied"),
    )


def _teller(context: AnalysisContext) -> Callable[[str, int, int], None]:
    """Tells the person how far a part is, one counter a label."""
    parts: dict[str, Progress] = {}

    def tell(label: str, done: int, total: int) -> None:
        if label not in parts or done < parts[label].done:
            parts[label] = context.part(label, total)
        parts[label](done, total)

    return tell


def open_local(context: AnalysisContext, name: str | None) -> EmbedderRuntime | None:
    """The attacker's own model, None where none is named. Raises UsageError: it is the audited model itself."""
    from fraudit.embedding.loading import load_embedder
    from fraudit.embedding.runtime import EmbedderRuntime

    if name is None:
        return None
    box = EmbedderRuntime(load_embedder(name), context.store)
    if box.fingerprint == context.embedder.fingerprint:
        raise UsageError(f"{NAME}.local: {name} is the audited model itself", "name another model")
    return box


def open_generator(path: str | None) -> Generator | None:
    """The generator that the attacker brings. Raises ArtifactError, see `given_generator`."""
    from fraudit.inverters.rivals.given_generator import given_generator

    return None if path is None else given_generator(Path(path))


def _not_run(context: AnalysisContext, absent: Absent) -> Absent:
    """The same, said to the person."""
    context.progress(f"method {absent.name} is not run: {absent.reason}")
    return absent


def run_all(
    context: AnalysisContext,
    params: Params,
    vectors: F32,
    seeds: I64,
    local: EmbedderRuntime | None = None,
    generator: Generator | None = None,
) -> tuple[list[Made], list[Absent]]:
    """Every chosen method on f32[M,D] vectors, and those that could not be run.

    Raises:
        UsageError: an unknown method. ArtifactError: a folder that holds no inverter of the audited model.
    """
    made: list[Made] = []
    absent: list[Absent] = []
    setting = Setting(
        context.embedder,
        params.questions or QUESTIONS,
        params.pool,
        context.store,
        local,
        params.pictures,
        generator,
        context.seed,
        _teller(context),
    )
    given = [load_inverter(Path(folder), context.embedder.loaded) for folder in params.inverters]
    for name, plugin in chosen_methods(params).items():
        assert plugin.method is not None
        context.progress(f"method {name}")
        try:
            if plugin.attack is not None:
                _allowed(context, params, plugin)
                made.append(by_attack(context, plugin, setting, vectors, seeds))
                continue
            inverter = _trained(context, name)
            if inverter is None:
                why = f"none is bundled for {context.embedder.spec.name}: {plugin.method.get}"
                absent.append(_not_run(context, Absent(name, plugin.method, why)))
                continue
            made.append(by_inverter(context, inverter, plugin.method, name, vectors, seeds, params.steps))
        except InsufficientData as error:
            absent.append(_not_run(context, Absent(name, plugin.method, error.message)))
    for folder, inverter in zip(params.inverters, given, strict=True):
        card = INVERTERS.get(inverter.name).method
        if card is None:
            raise UsageError(f"{NAME}.inverters: {folder} is of a kind that states no method card")
        label = _label(inverter, folder, {m.name for m in made})
        made.append(by_inverter(context, inverter, card, label, vectors, seeds, params.steps))
    return made, absent


def _allowed(context: AnalysisContext, params: Params, plugin: InverterPlugin) -> None:
    """Raise InsufficientData where an attack would ask a service for much that nobody allowed."""
    if (
        context.embedder.loaded.meter is not None
        and params.questions is None
        and plugin.name != "closed-form"
    ):
        raise InsufficientData(
            f"{context.embedder.spec.name} is a service, and nobody said how many questions it may be asked "
            "(--max-queries N, for each picture)"
        )


def _label(inverter: Inverter, folder: str, taken: set[str]) -> str:
    features = str(getattr(inverter, "card", {}).get("features", ""))
    label = features if inverter.name == "linear" and features else inverter.name
    return label if label not in taken else f"{label} ({Path(folder).name})"


def _trained(context: AnalysisContext, kind: str) -> Inverter | None:
    """The audit's inverter where it is of this kind, else the bundled one of the audited model."""
    if context.inverter is not None and context.inverter.name == kind:
        return context.inverter
    try:
        folder = bundled(context.embedder.loaded, (kind,))
        return None if folder is None else load_inverter(folder, context.embedder.loaded)
    except FrauditError as error:
        raise InsufficientData(error.message) from error
