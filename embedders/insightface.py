"""InsightFace's ONNX recognition models (`w600k_r50.onnx` of the pack buffalo_l): 512-d, raw.

Mean and std are stated here. The insightface package guesses them from the names of a graph's first nodes,
which another exporter changes without changing the model. The package itself is not needed; where it has
already downloaded the pack (~/.insightface), that file is used.
"""

from __future__ import annotations

from pathlib import Path

from fraudit.embedding.bundled import BUNDLED
from fraudit.errors import WeightsError
from fraudit.types import ARCFACE_112, EmbedderPlugin, LoadedEmbedder

SPEC = BUNDLED["insightface"].spec(ARCFACE_112)


def load(weights: Path | str | None = None, threads: int = 0) -> LoadedEmbedder:
    """The ONNX recognition model in `weights`.

    Raises:
        WeightsError: no file, or not a model of this input and dimension.
    """
    from fraudit.embedders.onnx import load_model

    if weights is None:
        raise WeightsError(
            "embedder 'insightface' needs its .onnx file", "fraudit weights fetch insightface-buffalo_l"
        )
    return load_model(Path(weights), SPEC, threads=threads)


EMBEDDER = EmbedderPlugin(name="insightface", spec=SPEC, load=load)
