"""Black boxes: embedders and inverters, and what they answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from fraudit.types.arrays import F32, I64, U8, Bool


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
        import numpy as np

        made = np.empty((len(images), 3, *images.shape[1:3]), np.float32)
        # One channel after the other: the same numbers as over all at once, five times faster.
        for to, at in enumerate((0, 1, 2) if self.channels == "RGB" else (2, 1, 0)):
            np.subtract(images[..., at], np.float32(self.mean[to]), out=made[:, to], dtype=np.float32)
            made[:, to] /= np.float32(self.std[to])
        return made

    def as_dict(self) -> dict[str, Any]:
        """Plain values for cache keys and provenance."""
        import numpy as np

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
class Network:
    """A box's network without what is done before it, for a box whose preprocessing is a card's word alone.

    Attributes:
        ask: (f32[N,3,h,w] as the network shall see it, output, layout) -> f32[N,E]. Raises FrauditError where it
            takes no such input or gives no vectors there.
        outputs: outputs that may hold a vector, the stated one first.
        layouts: layouts its input allows, the stated one first.
        free_size: whether its input allows other heights and widths.
    """

    ask: Callable[[F32, str, str], F32]
    outputs: tuple[str, ...]
    layouts: tuple[str, ...]
    free_size: bool = False


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
        finds_faces: whether it may say that there is no face: a row of NaN says so. A Python function that is shown
            aligned faces says so by None; where it answers NaN itself, `forward` gives infinity.
        notes: what to say of it before a run, a sentence each, such as a card that looks wrong.
        card_notes: those of them that say that its card looks wrong; the doctor makes findings of them.
        network: the network alone, where its preprocessing is a card's word; None where it is part of the box.
        alone: as `forward`, on the thread that calls it and on no other, for several threads at one time; None where
            the box has no such way.
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
    card_notes: tuple[str, ...] = ()
    network: Network | None = None
    alone: Callable[[U8], F32] | None = None

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
        from fraudit.types.arrays import unit_rows

        return unit_rows(self.vectors)


DEFAULT_GUIDANCE = 2.0  # Kansy et al. 2023, section 5.1
DEFAULT_STEPS = 10  # of the fast sampler


class Inverter(Protocol):
    """A trained inverter of one embedder.

    One that does best at another guidance than `DEFAULT_GUIDANCE` says so in an attribute `guidance`, one that needs
    another number of steps than `DEFAULT_STEPS` in `steps`, one that takes long a picture which share of their samples
    analyses shall take in `share`.
    """

    @property
    def name(self) -> str: ...

    @property
    def embedder_fingerprint(self) -> str: ...

    @property
    def size_px(self) -> int: ...

    def invert(
        self, id_vectors: F32, seeds: I64, *, guidance: float = DEFAULT_GUIDANCE, steps: int | None = None
    ) -> U8:
        """f32[N,D] raw ID vectors and i64[N] seeds -> u8[N,S,S,3] RGB faces, aligned to `template`.

        The noise of a seed never depends on its batch.
        """
        ...
