"""An analysis that joins from outside: a module with one `Analysis`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from fraudit.errors import PluginError, suggest

if TYPE_CHECKING:
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
