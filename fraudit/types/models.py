"""Embedders, inverters and protection schemes that join from outside: a module with one value of one of these classes.

Apart from analyses, so that a command that shows a run loads none of these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from fraudit.types.arrays import F32
    from fraudit.types.boxes import EmbedderSpec, Inverter, LoadedEmbedder


@dataclass(frozen=True, slots=True)
class EmbedderPlugin:
    """An embedder plugin: one module with one of these; importing it must not import torch.

    Attributes:
        name: registry name.
        spec: facts shown by `fraudit embedders` without loading anything.
        load: (weights file or None, options) -> LoadedEmbedder. Options are plugin-specific strings
            (`card` for a TOML card, `target` for python:module:callable).
        extra: pip extra that brings the optional packages it needs, '' where it needs none.
        available: () -> reason it cannot run here, or '' (weights missing is reported separately).
        suffixes: of model files, such as `.onnx`, that `draft` can make a card of.
        draft: model file -> card with `open` (keys to complete) and `text` (TOML), or None.
        check: (options as of `load`) raises where what they name cannot be opened; asks and loads no model. None:
            its name and weights' file say all.
    """

    name: str
    spec: EmbedderSpec
    load: Callable[..., LoadedEmbedder]
    extra: str = ""
    available: Callable[[], str] | None = None
    suffixes: tuple[str, ...] = ()
    draft: Callable[[Path], Any] | None = None
    check: Callable[..., None] | None = None


@dataclass(frozen=True, slots=True)
class MethodCard:
    """What an inversion method of the literature needs, beside others (`fraudit rivals`).

    Attributes:
        source: paper, one line.
        attacker: what must be in the attacker's hands, ID vectors or similarity scores alone.
        samples: whether one vector gives one picture or many.
        training: what is trained before the first face; 'none' where nothing is.
        data: pictures that the attacker must have.
        questions: how many the black box is asked for a face, in words.
        scale: how the size that runs here differs from the published one.
        published: share of success on LFW, replacement protocol, as published (ID3PM, Table 2), and of what model.
        get: command that brings it where it is not bundled.
    """

    source: str
    attacker: Literal["vectors", "scores"]
    samples: Literal["one-to-one", "one-to-many"]
    training: str
    data: str
    questions: str
    scale: str
    published: tuple[tuple[str, float], ...] = ()
    get: str = ""


@dataclass(frozen=True, slots=True)
class InverterPlugin:
    """An inverter plugin.

    Attributes:
        name: registry name, also `kind` in an inverter's card.
        load: (folder or file of a trained inverter) -> Inverter; None: it has no folder, it only attacks.
        summary: one line.
        method: what it needs, for the comparison of methods; None: it is not compared by its own name.
        attack: (`fraudit.inverters.rivals.attack.Setting`, f32[N,D] raw ID vectors, i64[N] seeds) ->
            `fraudit.inverters.rivals.attack.Attempt`, for methods that ask the black box while they work. Raises
            InsufficientData where it cannot be done for this box, with one line why.
    """

    name: str
    load: Callable[..., Inverter] | None
    summary: str = ""
    method: MethodCard | None = None
    attack: Callable[..., Any] | None = None


@dataclass(frozen=True, slots=True)
class ProtectionPlugin:
    """A template protection scheme (ISO/IEC 24745).

    Attributes:
        name: registry name; parameters that were chosen follow it, as in `polyprotect:overlap=2`.
        summary: one line.
        protect: (f32[N,D] ID vectors of length 1, key) -> f32[N,E] templates. Every row alone and the key decide a row.
            Keys are whole numbers in [0, 2^63).
        score: (f32[N,E], f32[N,E]) -> f32[N], how alike the rows are; higher is more alike.
        keyed: whether the key changes anything.
        claims: whether it is meant to protect: its authors say that vectors cannot be had back, or linked across keys.
        source: paper or standard, one line.
        parameters: name -> value it is used with.
        configure: (parameters by name) -> the scheme with these; None: it takes none. Raises UsageError.
        learn: f32[M,D] vectors of people who are not judged -> the scheme fitted on them; None: it learns nothing.
        features: f32[N,E] templates -> f32[N,F], what someone who learns to invert reads; None: the templates.
        link: as `score`, of someone who knows the scheme and has two templates under keys that he does not know; None:
            nothing better than `score` is known.
    """

    name: str
    summary: str
    protect: Callable[[F32, int], F32]
    score: Callable[[F32, F32], F32]
    keyed: bool = True
    claims: bool = True
    source: str = ""
    parameters: Mapping[str, float] = field(default_factory=dict)
    configure: Callable[..., ProtectionPlugin] | None = None
    learn: Callable[[F32], ProtectionPlugin] | None = None
    features: Callable[[F32], F32] | None = None
    link: Callable[[F32, F32], F32] | None = None
