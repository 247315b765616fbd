"""Variants of an ONNX model (fp16, int8 dynamic, int8 static, renumbered nodes), made in a folder and never committed.

    python -m benchmarks.twins_variants model.toml --dataset lfw --out /tmp/variants

Each variant comes with a card; `fraudit twins model.toml /tmp/variants/int8-static.toml --dataset lfw` compares it.
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

CALIBRATION = 128  # aligned faces, of people drawn anew


def faces_as_input(card: dict[str, Any], dataset: str, count: int) -> np.ndarray:
    """f32[K,3,h,w]: aligned faces of `dataset` as the card hands them to the model."""
    from fraudit.embedding.loading import load_embedder
    from fraudit.faces.align import as_shown
    from fraudit.faces.detect import Locator
    from fraudit.faces.sources import open_faces

    spec = load_embedder(card["path"]).spec
    faces = open_faces(dataset)
    locate = None if faces.landmarks is not None else Locator("", "most_central")
    out: list[np.ndarray] = []
    for i in np.random.default_rng(0).permutation(len(faces)):
        if len(out) == count:
            break
        data = faces.read_bytes(int(i))
        picture = faces.decode(data)
        points = faces.landmarks[i] if locate is None else locate(int(i), data, picture).points
        if points is not None and np.isfinite(points).all():
            crop = as_shown(picture, points, spec.preprocess).astype(np.float32)
            mean, std = (np.array(card[k], np.float32) for k in ("mean", "std"))
            out.append(((crop - mean) / std).transpose(2, 0, 1))
    return np.stack(out)


def make_variants(card: dict[str, Any], dataset: str, out: Path) -> list[str]:
    """Write the variants; their names."""
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_dynamic,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    source = onnx.load(card["model"])  # with its external data
    whole = out / "whole.onnx"
    onnx.save(source, whole)
    renumbered = onnx.load(whole)
    names = {
        name: f"t{k}" for k, name in enumerate(sorted({o for n in renumbered.graph.node for o in n.output}))
    }
    kept = {o.name for o in renumbered.graph.output}
    for k, node in enumerate(renumbered.graph.node):
        node.name = f"n{k}"
        node.input[:] = [i if i in kept else names.get(i, i) for i in node.input]
        node.output[:] = [o if o in kept else names[o] for o in node.output]
    del renumbered.graph.value_info[:]
    onnx.save(renumbered, out / "renumbered.onnx")
    made = ["renumbered"]
    try:
        from onnxruntime.transformers.float16 import convert_float_to_float16

        half = convert_float_to_float16(onnx.load(whole), keep_io_types=True, disable_shape_infer=True)
        onnx.save(half, out / "fp16.onnx")
        made.append("fp16")
    except Exception as error:  # an optional converter: say what is missing and go on
        print(f"no fp16: {error}")
    ready = out / "ready.onnx"
    try:
        quant_pre_process(str(whole), str(ready), skip_symbolic_shape=True)
    except Exception as error:
        print(f"no preparation: {error}")
        ready = whole
    quantize_dynamic(ready, out / "int8-dynamic.onnx", weight_type=QuantType.QUInt8)
    made.append("int8-dynamic")
    inputs = source.graph.input
    name = inputs[0].name

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """One face after the other."""

        def __init__(self) -> None:
            self.rows = iter(faces_as_input(card, dataset, CALIBRATION))

        def get_next(self) -> dict[str, np.ndarray] | None:
            """The next face, None at the end."""
            row = next(self.rows, None)
            return None if row is None else {name: row[None]}

    quantize_static(
        ready, out / "int8-static.onnx", Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    return [*made, "int8-static"]


def main() -> None:
    """Make the variants and their cards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("card", type=Path)
    parser.add_argument("--dataset", default="lfw")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    text = options.card.read_text()
    card = {**tomllib.loads(text), "path": str(options.card)}
    for name in make_variants(card, options.dataset, options.out):
        lines = [line for line in text.splitlines() if not line.startswith(("name", "model", "sha256"))]
        head = [f'name = "{card["name"]}-{name}"', f'model = "{options.out / (name + ".onnx")}"']
        (options.out / f"{name}.toml").write_text("\n".join([*head, *lines]) + "\n")
        print(options.out / f"{name}.toml")


if __name__ == "__main__":
    main()
