"""Gates tried for real: pairs of models on one set, a model against compressed copies, planted regressions.

    python benchmarks/gate.py RUN_A RUN_B RUN_DLIB --out benchmarks/results/gate.json

Takes finished runs (`fraudit analyze --dataset lfw --only verification`); derived models are made from the vectors of
the first run: PCA to 64 dimensions (fitted on its calibration people alone), int8 rounding, added noise, half the
subspace. Prints the gate's verdicts; writes numbers only.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.compare.baseline import freeze, read_side, thaw
from fraudit.compare.gate.judging import run_gate
from fraudit.compare.gate.output import as_dict
from fraudit.compare.gate.rules import parse_rules
from fraudit.compare.sides import run_side
from fraudit.files.vectors import read_vectors
from fraudit.stats.calibration import calibration_half
from tests.fixtures.derived_run import derived_run

RULES = parse_rules(
    {
        "rules": {
            "fnmr@fmr=1e-3": {"max_increase": 0.005},
            "fnmr@fmr=1e-2": {"max_increase": 0.005},
            "accuracy": {"max_decrease": 0.005},
            "tar@far=1e-3": {"max_decrease": 0.01},
            "auc": {"max_decrease": 0.001},
        }
    }
)


def derived(run: Path, seed: int) -> dict[str, np.ndarray]:
    """Name -> f32[N,D'] vectors made from those of a run."""
    stored = read_vectors(run / "vectors.npz")
    with np.load(run / "vectors.npz") as data:
        raw = data["vectors"].astype(np.float64)
    held = calibration_half(stored.subjects, seed) & stored.ok
    mean = raw[held].mean(axis=0)
    axes = np.linalg.svd(raw[held] - mean, full_matrices=False)[2]
    scale = np.abs(stored.unit).max(axis=1, keepdims=True) / 127
    scale[scale == 0] = 1.0
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(raw.shape[1],) * 2))[0]
    noise = rng.normal(size=raw.shape) / np.sqrt(raw.shape[1])
    made = {"pca-64": (raw - mean) @ axes[:64].T, "int8": np.rint(stored.unit / scale) * scale}
    for cosine in (0.98, 0.95, 0.9, 0.8):
        made[f"noise, cosine {cosine}"] = stored.unit + noise * np.sqrt(1 / cosine**2 - 1)
    for kept in (96, 64, 32):
        made[f"rotated subspace, {kept} of {raw.shape[1]}"] = (stored.unit @ turn)[:, :kept]
    made["rotation alone"] = stored.unit @ turn
    return {name: np.where(stored.ok[:, None], v, 0).astype(np.float32) for name, v in made.items()}


def row(title: str, base: Path, new: Path) -> dict[str, object]:
    """One gate, from the whole base run and from its baseline."""
    start = time.perf_counter()
    whole = run_side(base)
    text = freeze(whole)
    found = run_gate(RULES, whole, read_side(new))
    frozen = run_gate(RULES, thaw(text, base), read_side(new))
    told = as_dict(found)
    print(f"\n{title}: {found.verdict}")
    for j in found.judgements:
        for c in j.checks:
            print(f"  {c.outcome:22} {j.metric}: {c.text}")
    return {
        "title": title,
        "verdict": found.verdict,
        "exit_code": found.exit_code,
        "baseline_exit_code": frozen.exit_code,
        "baseline_bytes": len(text),
        "seconds": round(time.perf_counter() - start, 1),
        "rules": [
            {"rule": r["rule"], "outcome": c["outcome"], "change": c["value"], "interval": c["interval"]}
            for r in told["rules"]
            for c in r["checks"]
        ],
    }


def table(result: dict[str, Any]) -> str:
    """The results as Markdown: change with interval and outcome of every rule."""
    names = list(result["rules"])
    marks = {
        "pass": "pass",
        "fail": "**fail**",
        "insufficient evidence": "open",
        "pass with a warning": "warn",
    }
    limits = [
        f"{n}: {', '.join(f'{k} {v:g}' for k, v in limit.items())}" for n, limit in result["rules"].items()
    ]
    data = result["data"]
    lines = [
        f"{data['name']}: {data['n_faces']:,} faces, {data['protocol_pairs']:,} pairs. Rules: {'; '.join(limits)}.",
        "A cell: increase (or decrease) with its 95 % interval, in units of 1e-3.",
        "",
        f"| base -> new | {' | '.join(names)} | exit code |",
        "|---|" + "---|" * (len(names) + 1),
    ]
    for row in result["rows"]:
        cells = []
        for rule in row["rules"]:
            low, high, change = (round(1e3 * end, 1) + 0.0 for end in (*rule["interval"], rule["change"]))
            cells.append(f"{marks[rule['outcome']]} {change:.1f} ({low:.1f} to {high:.1f})")
        lines.append(f"| {row['title']} | {' | '.join(cells)} | {row['exit_code']} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run every comparison and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    sides = [run_side(path) for path in options.runs]
    rows = [row(f"{sides[0].label} against itself", options.runs[0], options.runs[0])]
    for side, path in zip(sides[1:], options.runs[1:], strict=True):
        rows.append(row(f"{side.label} -> {sides[0].label}", path, options.runs[0]))
        rows.append(row(f"{sides[0].label} -> {side.label}", options.runs[0], path))
    with tempfile.TemporaryDirectory() as folder:
        for at, (name, vectors) in enumerate(
            derived(options.runs[0], int(sides[0].plan.get("seed") or 0)).items()
        ):
            run = Path(folder) / str(at)
            derived_run(options.runs[0], f"{sides[0].label}, {name}", vectors, run)
            rows.append(row(f"{sides[0].label} -> {name}", options.runs[0], run))
    data = sides[0].inputs["dataset"]
    result = {
        "data": {k: data[k] for k in ("name", "n_faces", "n_subjects", "protocol_pairs")},
        "machine": f"{platform.system()} {platform.machine()}",
        "rules": {r.name: dict(r.limits) for r in RULES},
        "rows": rows,
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    options.out.with_suffix(".md").write_text(table(result))


if __name__ == "__main__":
    main()
