"""A third party's whole package: one embedder in one file. See CONTRIBUTING.md."""

from __future__ import annotations

import numpy as np

from fraudit.types import ARCFACE_112, EmbedderPlugin, EmbedderSpec, LoadedEmbedder, Preprocess

SPEC = EmbedderSpec(
    name="toy",
    dim=48,
    preprocess=Preprocess(size=(112, 112), template=ARCFACE_112),
    licence="MIT",
    source="computed",
    summary="mean colour of a 4x4 grid",
)


def load(weights=None):
    """The mean colour of a 4x4 grid, as a 48-d vector."""

    def forward(images):
        grid = images.reshape(len(images), 4, 28, 4, 28, 3).astype(np.float32).mean(axis=(2, 4))
        return grid.reshape(len(images), 48)

    return LoadedEmbedder(spec=SPEC, forward=forward, weights_sha256="0" * 64)


EMBEDDER = EmbedderPlugin(name="toy", spec=SPEC, load=load)
