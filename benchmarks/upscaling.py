"""What a super-resolution stage does to an inverter's pictures: to whom they show, and how much detail there is.

    python benchmarks/upscaling.py --embedder dlib --inverter auto --upscaler runs/upscaler/export \
        --shards runs/dlib/shards --large runs/upscaler/shards --judge cards/mobilefacenet.toml --faces 96

Faces of people held out of both trainings, one a person. Each is inverted, then enlarged plainly (bicubic) and by the
network. Cosines are to the vector of the real picture; differences are paired over the faces. Detail is what is
lost when a picture is made small and enlarged again, beside that of real pictures. Prints one JSON document.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.diffusion.data.shards import load_shards
from fraudit.diffusion.training.evaluate import Probe, embed_pictures, held_out_rows, summary
from fraudit.diffusion.training.upscaler_evaluate import detail, error_levels, made_large, made_small
from fraudit.embedding.loading import load_embedder
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.files.store import Store
from fraudit.inverters.geometry import landmarks_of
from fraudit.inverters.loading import find_inverter
from fraudit.inverters.upscaling import find_upscaler


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--embedder", required=True)
    parser.add_argument("--inverter", default="auto")
    parser.add_argument("--upscaler", default="auto")
    parser.add_argument("--shards", required=True, type=Path, help="of the inverter: ID vectors")
    parser.add_argument("--large", required=True, type=Path, help="of the upscaler: sharp pictures")
    parser.add_argument("--judge", default="")
    parser.add_argument("--faces", type=int, default=96)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--out", type=Path, help="JSON file")
    args = parser.parse_args()

    store = Store()
    boxes = {"embedder": EmbedderRuntime(load_embedder(args.embedder), store)}
    if args.judge:
        boxes["judge"] = EmbedderRuntime(load_embedder(args.judge), store)
    data = load_shards(args.shards)
    small_px = data.pictures.shape[1]
    probe = Probe.of_people(
        data,
        True,
        args.faces,
        points=landmarks_of(small_px),
        runtime=boxes["embedder"],
        judge=None,
        unit_scaled=True,
        schedule="cosine",
    )
    rows, seeds = probe.rows, np.arange(len(probe.rows))
    inverter, why = find_inverter(args.inverter, boxes["embedder"].loaded)
    if inverter is None:
        raise SystemExit(why)
    upscaler = find_upscaler(args.upscaler, small_px)
    side = upscaler.network.config.image_size
    made = inverter.invert(data.vectors[rows], seeds)
    started = time.perf_counter()
    large = upscaler.enlarge(made, seeds, steps=args.steps)
    seconds = (time.perf_counter() - started) / len(rows)
    shown = {"inverter": made, "bicubic": made_large(made, side), "network": large}
    found: dict[str, Any] = {"people": len(rows), "steps": args.steps, "seconds_a_picture": round(seconds, 3)}
    real = data.pictures[rows]
    for name, box in boxes.items():
        wanted, ok = embed_pictures(box, real, landmarks_of(small_px))
        near = {}
        for kind, pictures in shown.items():
            vectors, there = embed_pictures(box, pictures, landmarks_of(pictures.shape[1]))
            near[kind] = (vectors.astype(np.float64) * wanted).sum(1)
            ok = ok & there
        found[name] = {kind: summary(values[ok]) for kind, values in near.items()} | {
            "network_minus_bicubic": summary((near["network"] - near["bicubic"])[ok]),
            "network_minus_inverter": summary((near["network"] - near["inverter"])[ok]),
            "name": box.spec.name,
        }
    sharp = load_shards(args.large)
    faces = sharp.pictures[held_out_rows(sharp, True)[: args.faces]]
    found["detail_levels"] = {
        "real": summary(detail(faces, small_px)),
        **{kind: summary(detail(shown[kind], small_px)) for kind in ("bicubic", "network")},
    }
    found["kept_levels"] = {
        kind: summary(error_levels(made_small(shown[kind], small_px), made))
        for kind in ("bicubic", "network")
    }
    text = json.dumps(found, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
