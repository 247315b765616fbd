"""What joins from outside: a module with one value of one of these classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from fraudit.errors import PluginError, suggest

if TYPE_CHECKING:
    from fraudit.types.arrays import F32
    from fraudit.types.boxes import EmbedderSpec, Inverter, LoadedEmbedder
    from fraudit.types.results import AnalysisResult

Need = Literal[
    "identities", "attributes", "landmarks", "pairs", "inverter", "judge", "other", "vectors", "pictures"
]
NEEDS: tuple[str, ...] = get_args(Need)


@dataclass(frozen=True, slots=True)
class KeyFigure:
    """One cell of the strip of key figures that opens a report.

    Attributes:
        label: what the reader sees.
        patterns: metric names (`*` allowed) in order of preference; the first that matches decides.
        choose: among metrics of that pattern: the first, the largest, or the one at the lowest FMR.
        as_percent: show a plain ratio as percent. as_points: show a difference of two ratios in points.
        place: position in the strip, by default the `order` of its analysis.
    """

    label: str
    patterns: tuple[str, ...]
    choose: Literal["first", "largest", "lowest_fmr"] = "first"
    as_percent: bool = False
    as_points: bool = False
    place: int | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What one part asks at most: faces shown to the model, pictures made by the inverter, faces looked for."""

    questions: int = 0
    pictures: int = 0
    located: int = 0


@dataclass(frozen=True, slots=True)
class Asks:
    """What an analysis asks a black box that only compares two pictures.

    Attributes:
        params: frozen dataclass type of how much is asked, as fields of `--param scorer.*`.
        questions: (`fraudit.audit.asking.Asking`, params) -> `fraudit.audit.asking.Questions`; counted before the
            first one is asked. Raises InsufficientData where nothing can be asked.
    """

    params: type
    questions: Callable[[Any, Any], Any]


@dataclass(frozen=True, slots=True)
class Unshown:
    """What a report does not show, a sentence each; '' says nothing.

    Attributes:
        absent: where the analysis did not run. ran: where it did; one with `{labels}` is said only where the set labels
            groups or conditions, whose names take its place. instead: analyses that show the same; `absent` is not
            said where one of them ran.
    """

    absent: str = ""
    ran: str = ""
    instead: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Analysis:
    """An analysis plugin: a package with one of these. Nothing else of fraudit knows it by name.

    Attributes:
        name: registry name, also the section's anchor.
        title: the section's heading.
        summary: one line for `fraudit analyses`.
        question: what a reader who never saw it wants to know, such as `Is it fair?`; '' lets the title stand for it.
        order: position in the report.
        params: frozen dataclass type whose fields have defaults and documentation.
        run: (context, params) -> AnalysisResult.
        needs: what must be there; otherwise the report says `not run` and why. An analysis that does not need
            `pictures` runs over stored vectors too.
        asks: what it asks a black box that only compares; None: it needs vectors.
        key_figures: its cells of the strip that opens a report.
        columns: its columns of `fraudit runs`, (heading, start of a metric's name) each.
        cosmetic: parameters that decide how much is drawn or how long it may take, not what is measured: two runs
            that differ in them can be compared.
        from_vectors: its figures follow from the vectors of clean pictures: the same vectors give the same figures.
        work: (context, params) -> Work, what it asks beyond one vector a face; None: nothing.
        on_request: part of an audit only where it is asked for: `--only` or one of its parameters names it, or it needs
            a second model and `--other` gives one. Elsewhere the report does not mention it.
        comparison: `module:name` of its `fraudit.compare.hooks.Comparison`, imported where runs are compared; '' for
            an analysis that says nothing more about that.
        headings: keys of headings that its section belongs under, of documents and cards
            (`fraudit.report.standards`).
        factor: what it varies beyond the set's own labels, a sentence for the model card; ''.
        unshown: what the report does not show by it, or without it.
    Raises:
        PluginError: a need that fraudit does not know.
    """

    name: str
    title: str
    summary: str
    order: int
    params: type
    run: Callable[[Any, Any], AnalysisResult]
    needs: Sequence[Need] = ()
    key_figures: tuple[KeyFigure, ...] = ()
    columns: tuple[tuple[str, str], ...] = ()
    cosmetic: frozenset[str] = frozenset()
    from_vectors: bool = False
    work: Callable[[Any, Any], Work] | None = None
    comparison: str = ""
    on_request: bool = False
    asks: Asks | None = None
    question: str = ""
    headings: tuple[str, ...] = ()
    factor: str = ""
    unshown: Unshown = Unshown()

    def __post_init__(self) -> None:
        for need in self.needs:
            if need not in NEEDS:
                raise PluginError(
                    f"analysis '{self.name}': unknown need '{need}'",
                    f"{suggest(need, NEEDS)}known: {', '.join(NEEDS)}",
                )


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
