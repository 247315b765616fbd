"""dlib's face recognition network (`dlib_face_recognition_resnet_model_v1`), 128-d.

The weights are in the public domain and come with the package face_recognition_models, which is located but
never imported (its import needs the retired pkg_resources). The network runs as a batched torch forward pass
that equals dlib's own answer (`dlib_network.py`); dlib itself is not needed. ID vectors are raw: their norm
is about 1.3 to 1.5, and dlib's own decision is Euclidean distance <= 0.6.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from fraudit.embedding.cards import TEMPLATES
from fraudit.errors import PluginError, WeightsError
from fraudit.types import F32, U8, EmbedderPlugin, EmbedderSpec, LoadedEmbedder, Preprocess

FILE = "dlib_face_recognition_resnet_model_v1.dat"

TEMPLATE: F32 = TEMPLATES["dlib-150"][1]

SPEC = EmbedderSpec(
    name="dlib",
    dim=128,
    preprocess=Preprocess(
        size=(150, 150),
        template=TEMPLATE,
        mean=(122.782, 117.001, 104.298),
        std=(256.0, 256.0, 256.0),
        channels="RGB",
        template_name="dlib-150",
    ),
    licence="code BSL-1.0; weights public domain (CC0)",
    source="package face_recognition_models (davisking/dlib-models)",
    distance="euclidean",
    summary="dlib's ResNet with 29 convolutions, in batches; the weights come from PyPI",
)


def packaged_file(name: str = FILE) -> Path | None:
    """A model file of the package face_recognition_models, or None where it is not installed."""
    spec = importlib.util.find_spec("face_recognition_models")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "models" / name
        if path.is_file():
            return path
    return None


def unavailable() -> str:
    """Reason the packaged weights cannot be used, or ''."""
    return "" if packaged_file() else "the package face_recognition_models is not installed"


def load(weights: Path | str | None = None, device: str = "") -> LoadedEmbedder:
    """dlib's network, ready to answer.

    Args:
        weights: the .dat file; None takes the packaged one.
        device: torch device; '' takes $FRAUDIT_DEVICE, else a GPU where there is one.
    Raises:
        PluginError: no file was given and the package is missing.
        WeightsError: the file is missing, truncated or another network.
    """
    path = Path(weights) if weights is not None else packaged_file()
    if path is None:
        raise PluginError(f"embedder 'dlib': {unavailable()}", "pip install 'fraudit[dlib]'")
    if not path.is_file():
        raise WeightsError(f"embedder 'dlib': no file {path}", "leave --weights out to use the packaged file")

    import torch

    from fraudit.embedders.dlib_network import read_network
    from fraudit.embedding.devices import channels_last, device_name
    from fraudit.files.store import file_sha256

    network, mean = read_network(path)
    if not np.allclose(mean, SPEC.preprocess.mean, atol=1e-3):
        raise WeightsError(f"{path.name}: mean colour {mean}; expected {SPEC.preprocess.mean}")
    name = device_name(device)
    try:
        network = channels_last(network, name)
    except (RuntimeError, AssertionError) as error:
        raise PluginError(f"embedder 'dlib': no torch device '{name}'", "use device cpu") from error

    def forward(images: U8) -> F32:
        batch = torch.from_numpy(SPEC.preprocess.to_nchw(images)).to(name, memory_format=torch.channels_last)
        # TF32 rounds inputs of convolutions to ten bits, which is visible in the vectors.
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            return network(batch).cpu().numpy()

    return LoadedEmbedder(
        spec=SPEC,
        forward=forward,
        weights_sha256=file_sha256(path),
        batch_size=256 if name.startswith("cuda") else 32,
    )


EMBEDDER = EmbedderPlugin(name="dlib", spec=SPEC, load=load, extra="dlib", available=unavailable)
