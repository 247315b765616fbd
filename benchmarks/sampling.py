"""How sampler, steps, guidance and temperature of a trained inverter change the identity it keeps.

    python benchmarks/sampling.py --embedder dlib --inverter runs/dlib/export --shards runs/dlib/shards \
        --judge cards/mobilefacenet.toml --faces 64 --grid "dpm++,10,2,1; dpm++,10,2,0.3; ancestral,250,2,1"

Faces of people held out of the training, one a person, whose aligned picture lies within the original one (a repeated
edge in the source would count for whoever repeats edges). LFW is not touched: what is chosen here is judged there.
Each row has the cosine to the source by the embedder itself and by the judge, and to the next person's source.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.diffusion.evaluate import Probe
from fraudit.diffusion.shards import load_shards
from fraudit.embedders_load import load_embedder
from fraudit.embedding import EmbedderRuntime
from fraudit.inverters.geometry import landmarks_of
from fraudit.inverters.loading import load_inverter
from fraudit.store import Store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--embedder", required=True)
    parser.add_argument("--inverter", required=True, action="append", type=Path, help="folder; repeatable")
    parser.add_argument("--shards", required=True, type=Path)
    parser.add_argument("--judge", default="")
    parser.add_argument("--faces", type=int, default=64)
    parser.add_argument("--grid", default="dpm++,10,2,1", help="SAMPLER,STEPS,GUIDANCE,TEMPERATURE; ...")
    parser.add_argument("--out", type=Path, help="JSON file")
    args = parser.parse_args()

    store = Store()
    runtime = EmbedderRuntime(load_embedder(args.embedder), store)
    judge = EmbedderRuntime(load_embedder(args.judge), store) if args.judge else None
    data = load_shards(args.shards)
    size = data.pictures.shape[1]
    probe = Probe.of_people(
        data, True, args.faces,
        points=landmarks_of(size), runtime=runtime, judge=judge, unit_scaled=True, schedule="cosine",
    )  # fmt: skip
    vectors, seeds = data.vectors[probe.rows], np.arange(len(probe.rows))
    rows: list[dict[str, Any]] = []

    def told(name: str, pictures: np.ndarray, seconds: float, **facts: Any) -> None:
        found = {k: v for k, v in probe.score(pictures).items() if k != "nearest_training"}
        rows.append({"inverter": name, **facts, "seconds_a_picture": round(seconds / len(seeds), 4), **found})
        words = "  ".join(
            f"{k} {v['own']['mean']:.4f} ({v['own']['low']:.4f}..{v['own']['high']:.4f}; "
            f"other {v['other']['mean']:.4f})"
            for k, v in found.items()
            if isinstance(v, dict) and "own" in v
        )
        print(f"{name} {facts}: {words}", flush=True)

    told("the picture itself", data.pictures[probe.rows], 0.0)
    for folder in args.inverter:
        inverter = load_inverter(folder, runtime.loaded)
        done: set[str] = set()
        for cell in args.grid.split(";"):
            sampler, steps, guidance, temperature = (part.strip() for part in cell.split(","))
            options: dict[str, Any] = {"guidance": float(guidance)}
            if inverter.name == "id3pm":
                options |= {"sampler": sampler, "steps": int(steps), "temperature": float(temperature)}
            if str(options) in done:
                continue
            done.add(str(options))
            started = time.perf_counter()
            pictures = inverter.invert(vectors, seeds, **options)
            told(folder.name, pictures, time.perf_counter() - started, **options)
    if args.out:
        document = {
            "embedder": runtime.spec.name, "judge": args.judge and judge.spec.name,  # type: ignore[union-attr]
            "people": len(seeds), "rows": rows,
        }  # fmt: skip
        args.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
