"""How sampler, steps, guidance and temperature of a trained inverter change the identity it keeps.

    python benchmarks/sampling.py --embedder dlib --inverter runs/dlib/export --shards runs/dlib/shards \
        --judge cards/mobilefacenet.toml --faces 64 --grid "dpm++,10,2,1; dpm++,10,2,0.3; ancestral,250,2,1"

Faces of people held out of the training, one a person, whose aligned picture lies within the original one (a repeated
edge in the source would count for whoever repeats edges). LFW is not touched: what is chosen here is judged there.
Each row has the cosine to the source by the embedder itself and by the judge, and to the next person's source. From the
second row of made pictures on, `gain` is the difference to the first one, paired over people. A fifth part of a cell
is the number of rounds in which the embedder is asked about the pictures and they are corrected (`--refine`).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.diffusion.data.shards import load_shards
from fraudit.diffusion.training.evaluate import Probe, embed_pictures, summary
from fraudit.embedding.loading import load_embedder
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.files.store import Store
from fraudit.inverters.geometry import landmarks_of
from fraudit.inverters.inverting import invert_refined
from fraudit.inverters.loading import load_inverter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--embedder", required=True)
    parser.add_argument("--inverter", required=True, action="append", type=Path, help="folder; repeatable")
    parser.add_argument("--shards", required=True, type=Path)
    parser.add_argument("--judge", default="")
    parser.add_argument("--faces", type=int, default=64)
    parser.add_argument(
        "--grid", default="dpm++,10,2,1", help="SAMPLER,STEPS,GUIDANCE,TEMPERATURE[,REFINE]; ..."
    )
    parser.add_argument("--out", type=Path, help="JSON file")
    args = parser.parse_args()

    store = Store()
    runtime = EmbedderRuntime(load_embedder(args.embedder), store)
    judge = EmbedderRuntime(load_embedder(args.judge), store) if args.judge else None
    data = load_shards(args.shards)
    size = data.pictures.shape[1]
    probe = Probe.of_people(
        data,
        True,
        args.faces,
        points=landmarks_of(size),
        runtime=runtime,
        judge=judge,
        unit_scaled=True,
        schedule="cosine",
    )
    vectors, seeds = data.vectors[probe.rows], np.arange(len(probe.rows))
    rows: list[dict[str, Any]] = []
    first: dict[str, np.ndarray] = {}

    def cosines(pictures: np.ndarray) -> dict[str, np.ndarray]:
        """f64[M] by model, to the source; NaN where the model gives no vector."""
        answers = {"embedder": (runtime, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))}
        if judge is not None:
            answers["judge"] = (judge, embed_pictures(judge, data.pictures[probe.rows], probe.points)[0])
        found = {}
        for name, (model, targets) in answers.items():
            made, ok = embed_pictures(model, pictures, probe.points)
            found[name] = np.where(ok, (made * targets).sum(1), np.nan).astype(np.float64)
        return found

    def gains(pictures: np.ndarray) -> dict[str, Any]:
        mine = cosines(pictures)
        if not first:
            first.update(mine)
            return {}
        apart = {name: mine[name] - first[name] for name in mine}
        return {"gain": {name: summary(d[np.isfinite(d)]) for name, d in apart.items()}}

    def told(name: str, pictures: np.ndarray, seconds: float, **facts: Any) -> None:
        found = {k: v for k, v in probe.score(pictures).items() if k != "nearest_training"}
        gain = gains(pictures) if facts else {}
        rows.append(
            {"inverter": name, **facts, "seconds_a_picture": round(seconds / len(seeds), 4), **found, **gain}
        )
        words = "  ".join(
            f"{k} {v['own']['mean']:.4f} ({v['own']['low']:.4f}..{v['own']['high']:.4f}; "
            f"other {v['other']['mean']:.4f})"
            for k, v in found.items()
            if isinstance(v, dict) and "own" in v
        )
        more = "  ".join(
            f"{k} {v['mean']:+.4f} ({v['low']:+.4f}..{v['high']:+.4f})"
            for k, v in gain.get("gain", {}).items()
        )
        print(f"{name} {facts}: {words}{'; gain ' if more else ''}{more}", flush=True)

    told("the picture itself", data.pictures[probe.rows], 0.0)
    for folder in args.inverter:
        inverter = load_inverter(folder, runtime.loaded)
        done: set[str] = set()
        for cell in args.grid.split(";"):
            sampler, steps, guidance, temperature, *more = (part.strip() for part in cell.split(","))
            rounds = int(more[0]) if more else 0
            options: dict[str, Any] = {"guidance": float(guidance)}
            if inverter.name == "id3pm":
                options |= {"sampler": sampler, "steps": int(steps), "temperature": float(temperature)}
            told_of = options | ({"refine": rounds} if rounds else {})
            if str(told_of) in done:
                continue
            done.add(str(told_of))
            started = time.perf_counter()
            pictures = invert_refined(inverter, runtime, vectors, seeds, rounds, **options)
            told(folder.name, pictures, time.perf_counter() - started, **told_of)
    if args.out:
        document = {
            "embedder": runtime.spec.name,
            "judge": args.judge and judge.spec.name,  # type: ignore[union-attr]
            "people": len(seeds),
            "rows": rows,
        }
        args.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
