"""What every inverter is used for: pictures from vectors, judged by showing them to the black box again.

Paths between and around ID vectors follow ID3PM sections 4.3 and 5.3: slerp and lerp between two vectors,
principal axes, and custom directions from attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.errors import DataError, InsufficientData, UsageError
from fraudit.faces.align import as_shown
from fraudit.inverters.geometry import landmarks_of
from fraudit.types import DEFAULT_GUIDANCE, F32, F64, I64, U8, Bool, Embeddings, Inverter

# Of what is missing. The whole of it overshoots: other models then find the pictures farther (id3pm_dlib_mini64.md).
REFINED_BY = 0.5


SHOWN_BATCHES = 4  # batches of a black box between two words of how far it is

Told = Callable[[int], None]


def nobody(count: int) -> None:
    """Told to nobody."""


@dataclass(frozen=True, slots=True)
class Inversion:
    """Pictures made from ID vectors, in order vector by vector, sample by sample.

    Attributes:
        pictures: u8[N*K,S,S,3] RGB.
        source: i64[N*K], index of the vector each was made from.
        seeds: i64[N*K].
        similarity: f64[N*K], cosine of the re-embedded picture to its vector; NaN where it has no vector.
        improved: pictures that refinement replaced by nearer ones.
    """

    pictures: U8
    source: I64
    seeds: I64
    similarity: F64
    improved: int = 0


def reembed(runtime: EmbedderRuntime, pictures: U8, told: Told = nobody) -> Embeddings:
    """What `runtime` says of u8[N,S,S,3] inverter pictures, aligned by their declared points.

    Args:
        told: how many more were shown to it, after each piece.
    """
    points, preprocess = landmarks_of(pictures.shape[1]), runtime.spec.preprocess
    step = SHOWN_BATCHES * runtime.loaded.batch_size
    found = []
    for start in range(0, max(len(pictures), 1), step):
        part = pictures[start : start + step]
        crops = [as_shown(picture, points, preprocess) for picture in part]
        found.append(runtime.embed_aligned(np.stack(crops)))
        told(len(part))
    return Embeddings(
        np.concatenate([f.vectors for f in found]),
        np.concatenate([f.ok for f in found]),
        tuple(reason for f in found for reason in f.reasons),
        found[0].fingerprint,
    )


def invert_in_pieces(inverter: Inverter, vectors: F32, seeds: I64, told: Told = nobody, **options: Any) -> U8:
    """`inverter.invert`, in the pieces in which it works anyway (its `chunk`), so that one hears of each.

    Args:
        told: how many more pictures there are, after each piece.
    """
    step = int(getattr(inverter, "chunk", 0))
    if not 0 < step < len(vectors):
        pictures = inverter.invert(vectors, seeds, **options)
        told(len(vectors))
        return pictures
    made = []
    for start in range(0, len(vectors), step):
        part = slice(start, start + step)
        own: dict[str, Any] = {
            k: v[part] if isinstance(v, np.ndarray) and v.ndim == 2 else v for k, v in options.items()
        }
        made.append(inverter.invert(vectors[part], seeds[part], **own))
        told(len(made[-1]))
    return np.concatenate(made)


def cosine(a: NDArray[Any], b: NDArray[Any]) -> F64:
    """f64[N]: cosine of rows; NaN where either is zero."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    norms = np.linalg.norm(x, axis=-1) * np.linalg.norm(y, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(norms > 0, (x * y).sum(-1) / norms, np.nan)


def guidance_of(inverter: Inverter) -> float:
    """The guidance scale at which `inverter` says it does best."""
    return float(getattr(inverter, "guidance", DEFAULT_GUIDANCE))


def invert_refined(
    inverter: Inverter,
    runtime: EmbedderRuntime,
    vectors: F32,
    seeds: I64,
    rounds: int,
    told: Told = nobody,
    **options: Any,
) -> U8:
    """The pictures of `refined`."""
    return refined(inverter, runtime, vectors, seeds, rounds, told, **options)[0]


def refined(
    inverter: Inverter,
    runtime: EmbedderRuntime,
    vectors: F32,
    seeds: I64,
    rounds: int,
    told: Told = nobody,
    **options: Any,
) -> tuple[U8, Bool]:
    """(u8[N,S,S,3] pictures corrected `rounds` times by what the black box says of them, bool[N] which got nearer).

    Every round shows the pictures to the box and inverts the vectors anew, moved by half of what is missing:
    y_k+1 = y_k + (y - E(x_k)) / 2, all of norm 1. A picture is replaced only by one that the box finds nearer to y.
    An attacker who may ask the box can do so too; that costs one question a picture and round, and one more.

    Args:
        vectors: f32[N,D]; seeds: i64[N].
        rounds: 0 inverts once.
        told: how many more pictures were made, after each piece; N times 1 + rounds in all.
    Raises:
        UsageError: rounds < 0.
    """
    if rounds < 0:
        raise UsageError(f"rounds of refinement must be at least 0, found {rounds}", "1 brings most of it")
    pictures = invert_in_pieces(inverter, vectors, seeds, told, **options)
    improved = np.zeros(len(pictures), bool)
    if rounds == 0:
        return pictures, improved
    wanted = np.asarray(vectors, np.float32)
    wanted = wanted / np.maximum(np.linalg.norm(wanted, axis=1, keepdims=True), 1e-12)
    asked, kept = wanted.copy(), pictures.copy()
    said = reembed(runtime, pictures)
    best = np.where(said.ok, cosine(said.vectors, wanted), -np.inf)
    for _ in range(rounds):
        # Where the box saw no face there is nothing to correct by: the vector stays as it is.
        asked = asked + REFINED_BY * np.where(said.ok[:, None], wanted - said.unit(), 0).astype(np.float32)
        pictures = invert_in_pieces(inverter, asked, seeds, told, **options)
        said = reembed(runtime, pictures)
        near = np.where(said.ok, cosine(said.vectors, wanted), -np.inf)
        nearer = near > best
        kept[nearer], best[nearer] = pictures[nearer], near[nearer]
        improved |= nearer
    return kept, improved


def seeds_of(vectors: int, samples: int, seed: int) -> I64:
    """i64[vectors*samples]: the seeds of `invert_vectors`."""
    return np.tile(np.arange(seed, seed + samples), vectors)


def invert_vectors(
    inverter: Inverter,
    runtime: EmbedderRuntime,
    vectors: F32,
    *,
    samples: int = 1,
    seed: int = 0,
    refine: int = 0,
    finish: Callable[[U8, I64], U8] | None = None,
    told: Told = nobody,
    **options: Any,
) -> Inversion:
    """`samples` pictures of each of f32[N,D] vectors with seeds seed, seed+1, ..., judged by the black box.

    Args:
        refine: rounds of correction, see `invert_refined`.
        finish: (pictures, seeds) -> the pictures that are judged and returned, such as larger ones.
        told: how many more pictures were made, after each piece.
        options: given to the inverter (`guidance`, `steps`, `sampler`, ...); unknown ones are refused.
    Raises:
        UsageError: samples < 1, refine < 0, or an option this inverter does not know.
    """
    if samples < 1:
        raise UsageError(f"expected at least 1 sample of each vector, found {samples}", "--samples 4")
    source = np.repeat(np.arange(len(vectors)), samples)
    seeds = seeds_of(len(vectors), samples, seed)
    try:
        pictures, improved = refined(inverter, runtime, vectors[source], seeds, refine, told, **options)
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        option = str(error).rpartition("argument ")[2].strip("'") or str(error)
        raise UsageError(
            f"the inverter '{inverter.name}' takes no option '{option}'",
            "--sampler and --temperature are options of id3pm",
        ) from error
    if finish is not None:
        pictures = finish(pictures, seeds)
    again = reembed(runtime, pictures)
    similarity = cosine(again.vectors, vectors[source])
    return Inversion(pictures, source, seeds, np.where(again.ok, similarity, np.nan), int(improved.sum()))


def interpolate(start: F32, end: F32, frames: int, kind: str = "slerp") -> F32:
    """f32[frames,D] from `start` to `end`, both ends included.

    `slerp` turns the direction at a constant rate and interpolates the norm; `lerp` is the straight line.

    Raises:
        UsageError: fewer than 2 frames or an unknown kind.
        DataError: other shapes, a zero vector, or opposite vectors (no great circle is singled out).
    """
    if frames < 2:
        raise UsageError(f"expected at least 2 frames, both ends included, found {frames}", "--frames 7")
    if kind not in ("slerp", "lerp"):
        raise UsageError(f"unknown interpolation '{kind}'", "known: slerp, lerp")
    a, b = np.asarray(start, np.float64), np.asarray(end, np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise DataError(f"expected two vectors of one length, found {a.shape} and {b.shape}")
    t = np.linspace(0, 1, frames)[:, None]
    if kind == "lerp":
        return ((1 - t) * a + t * b).astype(np.float32)
    norms = np.linalg.norm(a), np.linalg.norm(b)
    if min(norms) == 0:
        raise DataError("a zero vector has no direction to interpolate from")
    u, v = a / norms[0], b / norms[1]
    angle = np.arccos(np.clip(u @ v, -1, 1))
    if angle < 1e-6:
        turned = (1 - t) * u + t * v
    elif np.pi - angle < 1e-6:
        raise DataError("the two vectors are opposite: no shortest path between them is singled out")
    else:
        turned = (np.sin((1 - t) * angle) * u + np.sin(t * angle) * v) / np.sin(angle)
    return (turned * ((1 - t) * norms[0] + t * norms[1])).astype(np.float32)


def principal_axis(vectors: F32, axis: int) -> F32:
    """f32[D] unit vector: principal axis `axis` (1-based) of f32[N,D] unit ID vectors, largest part positive.

    Raises:
        UsageError: no such axis.
    """
    most = min(len(vectors) - 1, vectors.shape[1])
    if not 1 <= axis <= most:
        raise UsageError(f"principal axis {axis}: expected 1..{most} for {len(vectors)} vectors")
    centred = vectors - vectors.mean(0)
    found = np.linalg.svd(centred, full_matrices=False)[2][axis - 1]
    return (found * np.sign(found[np.argmax(np.abs(found))])).astype(np.float32)


def attribute_direction(vectors: F32, values: NDArray[Any], least: int = 5) -> tuple[F32, str]:
    """(f32[D] unit vector, how it was found): the custom direction of one attribute (ID3PM section 4.3).

    Difference of the mean unit vectors of the two groups of a binary attribute; of a continuous one, of the
    faces above the 90th and below the 10th percentile.

    Raises:
        DataError: the attribute is neither binary nor a number.
        InsufficientData: fewer than `least` faces in a group.
    """
    array = np.asarray(values)
    if array.dtype.kind in "OUS":
        words = sorted({str(v) for v in array if str(v)})
        if len(words) != 2:
            raise DataError(
                f"expected a number or two groups, found {len(words)} words", f"{', '.join(words[:6])}"
            )
        high, low = array == words[1], array == words[0]
        how = f"{words[1]} minus {words[0]}"
    else:
        numbers = array.astype(float)
        known = np.unique(numbers[np.isfinite(numbers)])
        if len(known) == 2:
            high, low, how = numbers == known[1], numbers == known[0], f"{known[1]:g} minus {known[0]:g}"
        else:
            ends = np.nanpercentile(numbers, [10, 90])
            high, low = numbers >= ends[1], numbers <= ends[0]
            how = f"at least {ends[1]:g} minus at most {ends[0]:g} (90th and 10th percentile)"
    if min(high.sum(), low.sum()) < least:
        raise InsufficientData(
            f"expected at least {least} faces in each group, found {int(high.sum())} and {int(low.sum())}"
        )
    difference = vectors[high].mean(0) - vectors[low].mean(0)
    norm = float(np.linalg.norm(difference))
    if norm == 0:
        raise DataError("the two groups have the same mean vector: there is no direction between them")
    return (difference / norm).astype(np.float32), f"{how}; n = {int(high.sum())} and {int(low.sum())}"


def travel(vector: F32, direction: F32, amounts: Sequence[float]) -> F32:
    """f32[A,D]: vector + amount * |vector| * direction, each with the vector's own norm again."""
    start = np.asarray(vector, np.float64)
    norm = np.linalg.norm(start)
    moved = start + np.asarray(amounts, np.float64)[:, None] * norm * np.asarray(direction, np.float64)
    lengths = np.linalg.norm(moved, axis=1, keepdims=True)
    if (lengths == 0).any():
        raise DataError("an amount leads to the zero vector", "choose smaller amounts")
    return (moved / lengths * norm).astype(np.float32)


def contact_sheet(
    rows: Sequence[Sequence[U8]],
    captions: Sequence[Sequence[str]],
    labels: Sequence[str],
    *,
    title: str = "",
    cell_px: int = 144,
) -> U8:
    """u8[H,W,3]: pictures in rows on white, a caption under each, a label before each row."""
    from PIL import Image, ImageDraw, ImageFont

    font, small = ImageFont.load_default(15), ImageFont.load_default(13)
    gap, line, head = 10, 17, 34 if title else 8
    lines = max((c.count("\n") + 1 for row in captions for c in row if c), default=0)
    label_width = max((int(small.getlength(text)) for text in labels), default=0) + 2 * gap
    columns = max(len(row) for row in rows)
    height = head + len(rows) * (cell_px + lines * line + gap)
    width = label_width + columns * (cell_px + gap)
    sheet = Image.new("RGB", (max(width, int(font.getlength(title)) + 2 * gap), height), "white")
    draw = ImageDraw.Draw(sheet)
    if title:
        draw.text((gap, 9), title, fill="#222222", font=font)
    for r, row in enumerate(rows):
        top = head + r * (cell_px + lines * line + gap)
        draw.text((gap, top + cell_px // 2 - 8), labels[r], fill="#222222", font=small)
        for c, picture in enumerate(row):
            left = label_width + c * (cell_px + gap)
            shown = Image.fromarray(picture).resize((cell_px, cell_px), Image.Resampling.BICUBIC)
            sheet.paste(shown, (left, top))
            draw.multiline_text(
                (left, top + cell_px + 2), captions[r][c], fill="#444444", font=small, spacing=2
            )
    return np.asarray(sheet)


def write_sheet(
    folder: Path, sheet: U8, table: Sequence[Mapping[str, Any]], pictures: Mapping[str, U8]
) -> None:
    """sheet.png, similarities.csv and each picture as PNG into `folder`, each written atomically."""
    import csv
    import io

    from PIL import Image

    from fraudit.files.store import write_atomic, write_text_atomic
    from fraudit.formatting import sheet_text

    for name, picture in {"sheet.png": sheet, **pictures}.items():
        image = Image.fromarray(picture)
        write_atomic(folder / name, partial(image.save, format="PNG"))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: sheet_text(v) if isinstance(v, str) else v for k, v in row.items()} for row in table)
    write_text_atomic(folder / "similarities.csv", buffer.getvalue())
