"""What is known of the embedders that come with fraudit, without importing one: `fraudit embedders` starts at once.

Each plugin makes its `spec` of what stands here, so that nothing stands twice.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from fraudit.types import F32, EmbedderPlugin, EmbedderSpec

HALF = (127.5, 127.5, 127.5)
DLIB_PACKAGE = "face_recognition_models"


@dataclass(frozen=True, slots=True)
class Facts:
    """An embedder without its template's points; attributes as in `EmbedderSpec`, `Preprocess` and `EmbedderPlugin`."""

    name: str
    dim: int
    size: tuple[int, int]
    licence: str
    source: str
    summary: str
    template_name: str = "arcface-112"
    channels: Literal["RGB", "BGR"] = "RGB"
    mean: tuple[float, float, float] = HALF
    std: tuple[float, float, float] = HALF
    unit_after_fusion: bool = False
    distance: str = "cosine"
    variants: tuple[str, ...] = ()
    weights: str | None = None
    extra: str = ""
    available: Callable[[], str] | None = None

    def spec(self, template: F32) -> EmbedderSpec:
        """The spec, with template f32[5,2]."""
        from fraudit.types import EmbedderSpec, Preprocess

        return EmbedderSpec(
            name=self.name,
            dim=self.dim,
            preprocess=Preprocess(
                self.size, template, self.mean, self.std, self.channels, self.template_name
            ),
            licence=self.licence,
            source=self.source,
            unit_after_fusion=self.unit_after_fusion,
            distance=self.distance,
            variants=self.variants,
            weights=self.weights,
            summary=self.summary,
        )


def facts_of(plugin: EmbedderPlugin) -> Facts:
    """The facts of any plugin."""
    spec, pre = plugin.spec, plugin.spec.preprocess
    return Facts(
        name=spec.name,
        dim=spec.dim,
        size=pre.size,
        licence=spec.licence,
        source=spec.source,
        summary=spec.summary,
        template_name=pre.template_name,
        channels=pre.channels,
        mean=pre.mean,
        std=pre.std,
        unit_after_fusion=spec.unit_after_fusion,
        distance=spec.distance,
        variants=spec.variants,
        weights=spec.weights,
        extra=plugin.extra,
        available=plugin.available,
    )


def dlib_file(name: str) -> Path | None:
    """A model file of the package face_recognition_models, or None where it is not installed."""
    spec = importlib.util.find_spec(DLIB_PACKAGE)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "models" / name
        if path.is_file():
            return path
    return None


DLIB_WEIGHTS = "dlib_face_recognition_resnet_model_v1.dat"


def dlib_unavailable() -> str:
    """Reason the packaged weights cannot be used, or ''."""
    return "" if dlib_file(DLIB_WEIGHTS) else f"the package {DLIB_PACKAGE} is not installed"


# Kinds of black boxes that are named with what they are to audit.
NEEDS_TARGET = {
    "onnx": "give the TOML card that describes your model: --embedder card.toml (fraudit card model.onnx drafts one)",
    "http": "give the TOML card that describes your service: --embedder card.toml with kind http",
    "python": "give the function: --embedder python:module:callable",
}

_ARCFACE = ("r18", "r34", "r50", "r100", "r200")

BUNDLED: dict[str, Facts] = {
    facts.name: facts
    for facts in (
        Facts(
            "adaface",
            512,
            (112, 112),
            "code MIT; weights: no statement by the authors",
            "the official repository's model zoo (adaface_ir50_ms1mv2.ckpt and others)",
            "AdaFace ir_18, ir_50, ir_101; flips are weighted by their norm",
            channels="BGR",
            unit_after_fusion=True,
            variants=("ir_18", "ir_34", "ir_50", "ir_101"),
            weights="adaface",
        ),
        Facts(
            "arcface",
            512,
            (112, 112),
            "code MIT; weights non-commercial research only",
            "insightface arcface_torch (ms1mv3_arcface_r100_fp16/backbone.pth), or torchtest.pt",
            "iresnet 18 to 200 of insightface, raw 512-d",
            variants=(*_ARCFACE, *(f"{name}-torchtest" for name in _ARCFACE)),
            weights="arcface",
        ),
        Facts(
            "dlib",
            128,
            (150, 150),
            "code BSL-1.0; weights public domain (CC0)",
            "package face_recognition_models (davisking/dlib-models)",
            "dlib's ResNet with 29 convolutions, in batches; the weights come from PyPI",
            template_name="dlib-150",
            mean=(122.782, 117.001, 104.298),
            std=(256.0, 256.0, 256.0),
            distance="euclidean",
            extra="dlib",
            available=dlib_unavailable,
        ),
        Facts(
            "facenet",
            512,
            (160, 160),
            "code MIT; weights MIT by their publisher, trained on research data",
            "facenet-pytorch release v2.2.9 (.pt), or davidsandberg/facenet (20180402-114759.pb)",
            "Inception-ResNet-v1 of facenet-pytorch or its TensorFlow original, unit 512-d",
            template_name="facenet-160",
            std=(128.0, 128.0, 128.0),
            variants=("pytorch", "tensorflow"),
            weights="facenet",
        ),
        Facts(
            "from",
            512,
            (112, 96),
            "no licence stated by the authors; clean-room implementation",
            "the official repository's model_p5_w1_9938_9470_6503.pth.tar",
            "recognition under occlusion (FROM), raw 512-d",
            template_name="arcface-112x96",
            variants=("p5",),
            weights="from",
        ),
        Facts(
            "http",
            512,
            (112, 112),
            "as the service states",
            "your service",
            'a remote black box, described by a TOML card with kind = "http"',
        ),
        Facts(
            "insightface",
            512,
            (112, 112),
            "code MIT; weights non-commercial research only",
            "https://github.com/deepinsight/insightface/releases (buffalo_l.zip)",
            "ONNX recognition models of InsightFace packs; w600k_r50 unless --weights names another",
            weights="insightface-buffalo_l",
        ),
        Facts(
            "onnx",
            512,
            (112, 112),
            "as the card states",
            "your model file",
            "any ONNX model, described by a TOML card",
        ),
        Facts(
            "python",
            512,
            (112, 112),
            "your own",
            "python:module:callable",
            "a function u8[N,H,W,3] -> f32[N,D]; importing its module executes it",
        ),
    )
}
