"""Frozen domain types; numpy only, so that importing them stays instant.

Figures are data, never plot objects: `fraudit.report.charts` draws them from the JSON alone. The schema of
`Figure.data` for each kind is in docs/figures.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

Severity = Literal["high", "medium", "low", "info", "good"]
SEVERITIES: tuple[Severity, ...] = ("high", "medium", "low", "info", "good")
Status = Literal["done", "not_run", "failed"]

# Five points (left eye, right eye, nose, left mouth, right mouth) as the viewer sees them, x then y.
ARCFACE_112: F32 = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    dtype=np.float32,
)


@dataclass(frozen=True, slots=True)
class PairList:
    """Pairs of faces of a verification protocol.

    Attributes:
        left, right: i64[P], indices into the face set.
        same: bool[P], True for genuine pairs.
        fold: i64[P], 0-based fold of each pair.
    """

    left: I64
    right: I64
    same: Bool
    fold: I64

    def __len__(self) -> int:
        return len(self.left)


@dataclass(frozen=True, slots=True)
class FaceSet:
    """Pictures of people, read lazily.

    Attributes:
        name: short name, such as `lfw`.
        ids: N unique, stable identifiers (relative paths).
        subjects: i64[N]; equal numbers are the same person. Where `identified` is False every picture
            counts as its own subject.
        attributes: name -> array[N]; numbers (NaN where unknown) or strings ('' where unknown).
        landmarks: f32[N,5,2] in pixels of the picture, where the set declares them; else None.
        pairs: the set's verification protocol, or None.
        digest: sha256 hex of names, labels and file contents' identity.
        read_bytes: index -> the encoded file's bytes.
        decode: how bytes become a u8[H,W,3] RGB picture (raises DataError with the reason).
        identified: whether `subjects` are real identities.
        synthetic: True where the pictures show nobody, so that reports may show them.
        licence: terms under which the pictures may be used, one line.
        left_out: reason -> count of files, links and rows that were found and are not in the set.
        notes: how the set was read where that is not plain, one line each.
    """

    name: str
    ids: tuple[str, ...]
    subjects: I64
    attributes: Mapping[str, NDArray[Any]]
    landmarks: F32 | None
    pairs: PairList | None
    digest: str
    read_bytes: Callable[[int], bytes]
    decode: Callable[[bytes], U8]
    identified: bool = True
    synthetic: bool = False
    licence: str = ""
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, index: int) -> U8:
        """u8[H,W,3] RGB picture `index`. Raises DataError where it cannot be decoded."""
        return self.decode(self.read_bytes(index))


class Located(NamedTuple):
    """Five points f32[5,2] of the chosen face, or None and the reason there are none."""

    points: F32 | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Preprocess:
    """How a model wants its aligned face.

    Attributes:
        size: (height, width) in pixels.
        template: f32[5,2], where the five points land (x, y) in the aligned face.
        mean, std: per channel, in 0..255 pixel units; input = (pixel - mean) / std.
        channels: channel order of the model's input.
        template_name: name of the template in reports and cache keys, such as `arcface-112`.
        whole: the box finds the face itself: it is shown the whole picture, made smaller where it does not fit `size`
            and in the middle of black; `template` is not used.
    """

    size: tuple[int, int]
    template: F32
    mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    std: tuple[float, float, float] = (127.5, 127.5, 127.5)
    channels: Literal["RGB", "BGR"] = "RGB"
    template_name: str = "arcface-112"
    whole: bool = False

    def to_nchw(self, images: U8) -> F32:
        """u8[N,h,w,3] RGB -> f32[N,3,h,w] as the network wants it."""
        ordered = images if self.channels == "RGB" else images[..., ::-1]
        scaled = (ordered.astype(np.float32) - np.array(self.mean, np.float32)) / np.array(
            self.std, np.float32
        )
        return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2), dtype=np.float32)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for cache keys and provenance."""
        return {
            "size": list(self.size),
            "template": np.round(self.template.astype(float), 4).tolist(),
            "mean": list(self.mean),
            "std": list(self.std),
            "channels": self.channels,
            "template_name": self.template_name,
            **({"whole": True} if self.whole else {}),
        }


@dataclass(frozen=True, slots=True)
class EmbedderSpec:
    """What is known of an embedder without loading it.

    Attributes:
        name: registry name, or the card's name.
        dim: length D of an ID vector.
        preprocess: how it wants its input.
        licence: code and weights, one line.
        source: where the weights come from, one line.
        unit_after_fusion: L2-normalise the forward's answer after flips were fused (AdaFace, whose
            fusion weights each view by its norm).
        distance: the model's own comparison, shown in provenance; scores are cosine throughout.
        variants: names of variants the file recognises from its tensors.
        weights: name of the known weights in `fraudit.weights.catalogue`, or None where none are needed.
        summary: one line for `fraudit embedders`.
    """

    name: str
    dim: int
    preprocess: Preprocess
    licence: str
    source: str
    unit_after_fusion: bool = False
    distance: str = "cosine"
    variants: tuple[str, ...] = ()
    weights: str | None = None
    summary: str = ""


@dataclass(frozen=True, slots=True)
class LoadedEmbedder:
    """A black box that is ready to answer.

    Attributes:
        spec: the spec with the recognised variant's facts.
        forward: u8[N,h,w,3] RGB aligned -> f32[N,D], N >= 1. Nothing else is ever asked of it.
        weights_sha256: hash of the weights (or of the card for a remote box), part of every cache key.
        variant: recognised variant, '' where there is only one.
        batch_size: faces a forward call takes best.
        close: releases what the box holds (connections), or None.
        cacheable: whether `weights_sha256` covers everything that decides a vector, so that vectors may be
            remembered from one process to the next.
        meter: has `sent`, the faces sent so far, where a face may be sent again after an error; or None.
        finds_faces: whether it looks for the face itself: a row of NaN says that it found none.
        notes: what to say of it before a run, a sentence each, such as a card that looks wrong.
    """

    spec: EmbedderSpec
    forward: Callable[[U8], F32]
    weights_sha256: str
    variant: str = ""
    batch_size: int = 32
    close: Callable[[], None] | None = None
    cacheable: bool = True
    meter: Any = None
    finds_faces: bool = False
    notes: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """sha256 hex of everything that decides a vector: name, variant, weights, preprocessing."""
        blob = json.dumps(
            [self.spec.name, self.variant, self.weights_sha256, self.spec.preprocess.as_dict()],
            sort_keys=True,
        )
        return hashlib.sha256(blob.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Embeddings:
    """ID vectors of N faces.

    Attributes:
        vectors: f32[N,D]; rows where `ok` is False are zero and must not be used.
        ok: bool[N].
        reasons: N strings, '' where ok, else why there is no vector.
        fingerprint: of the embedder that answered.
    """

    vectors: F32
    ok: Bool
    reasons: tuple[str, ...]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.ok)

    def unit(self) -> F32:
        """f32[N,D], each usable row divided by its L2 norm; unusable rows stay zero."""
        norms = np.linalg.norm(self.vectors, axis=1, keepdims=True)
        return np.divide(self.vectors, norms, out=np.zeros_like(self.vectors), where=norms > 0)


DEFAULT_GUIDANCE = 2.0  # Kansy et al. 2023, section 5.1


class Inverter(Protocol):
    """A trained inverter of one embedder.

    One that does best at another guidance than `DEFAULT_GUIDANCE` says so in an attribute `guidance`, one that takes
    long a picture which share of their samples analyses shall take in `share`.
    """

    name: str
    embedder_fingerprint: str
    size_px: int

    def invert(
        self, id_vectors: F32, seeds: I64, *, guidance: float = DEFAULT_GUIDANCE, steps: int = 10
    ) -> U8:
        """f32[N,D] raw ID vectors and i64[N] seeds -> u8[N,S,S,3] RGB faces, aligned to `template`.

        The noise of a seed never depends on its batch.
        """
        ...


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval; `method` in words a report can print."""

    low: float
    high: float
    level: float = 0.95
    method: str = ""


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure, or the reason it is missing: exactly one of `value` and `missing` is set.

    Attributes:
        name: dotted, stable, what `fraudit gate` rules name, such as `verification.fnmr@fmr=1e-3`.
        value: the figure; never NaN.
        unit: '' for a plain ratio, or `%`, `deg`, `px`, `s`, `bytes`, ...
        n: how many pairs, faces or people it rests on; `n_unit` says of what.
        interval: its confidence interval where one is defined.
        interval_missing: why a value has no interval.
        group: demographic group, '' for all.
        missing: why there is no value.
        better: direction that is better, for comparison and gates.
        label: plain words for a report.
    """

    name: str
    value: float | None
    unit: str = ""
    n: int | None = None
    interval: Interval | None = None
    group: str = ""
    missing: str | None = None
    better: Literal["higher", "lower", "none"] = "none"
    label: str = ""
    n_unit: str = ""
    interval_missing: str = ""

    def __post_init__(self) -> None:
        if (self.value is None) == (self.missing is None):
            raise ValueError(f"metric {self.name}: exactly one of value and missing must be set")
        if self.value is not None and not np.isfinite(self.value):
            raise ValueError(f"metric {self.name}: {self.value} is not finite; state why it is missing")


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column: `kind` decides alignment and format."""

    key: str
    label: str
    kind: Literal["text", "number", "percent", "integer", "interval", "bytes"] = "text"
    digits: int = 3


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of plain values; None is drawn as an em dash with `missing[key]` where a reason is known."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Any], ...]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """Data of one chart. `kind` and the schema of `data` are described in docs/figures.md."""

    name: str
    kind: Literal["lines", "dots", "heatmap", "histogram", "bars", "scatter"]
    title: str
    caption: str
    alt: str
    data: Mapping[str, Any]
    main: bool = False


@dataclass(frozen=True, slots=True)
class GalleryItem:
    """One picture: an artifact's name in the run's folder, and the lines under it."""

    artifact: str
    alt: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GalleryRow:
    """One row of a contact sheet."""

    label: str
    items: tuple[GalleryItem, ...]


@dataclass(frozen=True, slots=True)
class Gallery:
    """A labelled contact sheet or film strip."""

    name: str
    title: str
    caption: str
    rows: tuple[GalleryRow, ...]
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One plain, falsifiable sentence with its evidence.

    Attributes:
        severity: by documented rule (docs/severity.md), never by taste.
        text: the sentence, with interval and n in it.
        evidence: names of the metrics it rests on.
        rule: name of the severity rule that fired.
    """

    severity: Severity
    text: str
    evidence: tuple[str, ...] = ()
    rule: str = ""


@dataclass(frozen=True, slots=True)
class AnalysisResult:
    """What one analysis found. `status` is `not_run` with a `reason` where its needs are not met."""

    name: str
    title: str
    status: Status = "done"
    reason: str = ""
    headline: str = ""
    findings: tuple[Finding, ...] = ()
    metrics: tuple[Metric, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    galleries: tuple[Gallery, ...] = ()
    caveats: tuple[str, ...] = ()
    method: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    faces: int | None = None
    seconds: float | None = None
    queries: int | None = None


Need = Literal["identities", "attributes", "landmarks", "pairs", "inverter", "judge", "vectors"]


@dataclass(frozen=True, slots=True)
class Analysis:
    """An analysis plugin: one module with one of these.

    Attributes:
        name: registry name, also the section's anchor.
        title: the section's heading.
        summary: one line for `fraudit analyses`.
        order: position in the report.
        params: frozen dataclass type whose fields have defaults and documentation.
        needs: what must be there; otherwise the report says `not run` and why.
        run: (context, params) -> AnalysisResult.
    """

    name: str
    title: str
    summary: str
    order: int
    params: type
    run: Callable[[Any, Any], AnalysisResult]
    needs: Sequence[Need] = ()


@dataclass(frozen=True, slots=True)
class EmbedderPlugin:
    """An embedder plugin: one module with one of these; importing it must not import torch.

    Attributes:
        name: registry name.
        spec: facts shown by `fraudit embedders` without loading anything.
        load: (weights file or None, options) -> LoadedEmbedder. Options are plugin-specific strings
            (`card` for a TOML card, `target` for python:module:callable).
        requires: importable module names of an optional package, with the pip extra that brings them.
        available: () -> reason it cannot run here, or '' (weights missing is reported separately).
    """

    name: str
    spec: EmbedderSpec
    load: Callable[..., LoadedEmbedder]
    extra: str = ""
    available: Callable[[], str] | None = None


@dataclass(frozen=True, slots=True)
class InverterPlugin:
    """An inverter plugin.

    Attributes:
        name: registry name, also `kind` in an inverter's card.
        load: (folder or file of a trained inverter) -> Inverter.
        summary: one line.
    """

    name: str
    load: Callable[..., Inverter]
    summary: str = ""
