"""Numbers of audits on real faces, for the repository: no picture, no name of a person, no path.

    fraudit analyze --embedder dlib --dataset lfw --only verification,robustness,compression,inversion \\
        --judge mobilefacenet.toml --inverter linear --out R/dlib-lfw
    fraudit train-linear --embedder mobilefacenet.toml --dataset celeba,utkface --out R/linear
    fraudit analyze --embedder mobilefacenet.toml --dataset lfw --only verification,robustness,compression,inversion \\
        --judge dlib --inverter R/linear --out R/mobilefacenet-lfw
    fraudit analyze --embedder dlib --dataset celeba --only bias,leakage,directions --out R/dlib-celeba
    fraudit analyze --embedder dlib --dataset utkface --distinct --only bias --out R/dlib-utkface
    ... and the last two with mobilefacenet.toml ...
    python benchmarks/real_faces.py R/mobilefacenet-lfw R/dlib-lfw ... --learnt benchmarks/real_faces_learnt.md \\
        --out benchmarks/results

writes one JSON a run (findings, metrics with n and interval, cost, digests) and `real_faces.html` and `.md`, which
put the models side by side.
"""

from __future__ import annotations

import argparse
import html
import json
import re
from pathlib import Path
from typing import Any

from fraudit.report.record import RunRecord, metric_rows
from fraudit.types import Metric

# Question, metric name (`*`: any), and whether a plain ratio is shown as percent.
QUESTIONS = (
    ("Accuracy, ten folds", "verification.accuracy", True),
    ("FNMR at FMR 1e-3", "verification.fnmr@fmr=1e-3", True),
    ("TAR at FAR 1e-3", "verification.tar@far=1e-3", True),
    ("FNMR on clean pictures, robustness probes", "robustness.fnmr.clean", True),
    ("Worst corruption, mean FNMR", "robustness.worst_fnmr", True),
    ("Mean FNMR over the grid", "robustness.mean_fnmr", True),
    ("Smallest safe dimension", "compression.safe_dim", False),
    ("Effective rank", "compression.effective_rank", False),
    ("Strongest leak (selectivity)", "leakage.strongest", False),
    ("Worst group over best", "bias.worst_gap", False),
    ("Attack success, type I", "inversion.attack_success", True),
)


def summary(record: RunRecord) -> dict[str, Any]:
    """What may be published of one run."""
    keep = ("name", "variant", "dim", "weights_sha256", "licence", "queries")
    dataset = {k: v for k, v in record.inputs["dataset"].items() if k != "attributes"}
    return {
        "created": record.created,
        "embedder": {k: record.inputs["embedder"].get(k) for k in keep},
        "judges": [{k: j.get(k) for k in keep} for j in record.inputs.get("judges", [])],
        "dataset": dataset,
        "versions": record.environment.get("versions"),
        "hardware": {k: record.environment.get(k) for k in ("platform", "cpu", "cores", "accelerator")},
        "seconds": record.environment.get("seconds"),
        "analyses": [
            {
                "name": r.name,
                "status": r.status,
                "reason": r.reason,
                "faces": r.faces,
                "seconds": r.seconds,
                "queries": r.queries,
                "headline": r.headline,
                "findings": [{"severity": f.severity, "text": f.text, "rule": f.rule} for f in r.findings],
                "metrics": [
                    {k: v for k, v in row.items() if v not in (None, "") and k != "analysis"}
                    for row in metric_rows(r)
                ],
            }
            for r in record.results
        ],
    }


def cell(metric: Metric | None, percent: bool) -> str:
    """Value with interval and n, or the reason it is missing."""
    if metric is None:
        return "not asked"
    if metric.value is None:
        return str(metric.missing)
    scale, unit = (100, " %") if percent else (1, "")
    text = f"{metric.value * scale:.4g}{unit}"
    if metric.interval:
        text += f" ({metric.interval.low * scale:.4g} to {metric.interval.high * scale:.4g})"
    return (
        text
        + (f", n {metric.n:,} {metric.n_unit}".rstrip() if metric.n else "")
        + (f"; {metric.label}" if metric.name in ("leakage.strongest", "bias.worst_gap") else "")
    )


def paragraphs(text: str) -> list[str]:
    """Markdown's paragraphs, lists, bold words and code as HTML; nothing else of it."""
    found = []
    for block in filter(None, map(str.strip, text.split("\n\n"))):
        words = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", html.escape(block))
        words = re.sub(r"`(.+?)`", r"<code>\1</code>", words)
        if words.startswith("- "):
            found.append("<ul>" + "".join(f"<li>{item}</li>" for item in words[2:].split("\n- ")) + "</ul>")
        else:
            found.append(f"<p>{words}</p>")
    return found


def comparison(records: dict[str, RunRecord]) -> dict[str, list[list[str]]]:
    """Data set -> rows of (question, one cell a model); questions that no run asked are left out."""
    sets: dict[str, dict[str, RunRecord]] = {}
    for record in records.values():
        sets.setdefault(record.inputs["dataset"]["name"], {})[record.inputs["embedder"]["name"]] = record
    tables = {}
    for name, models in sets.items():
        rows = [["", *models]]
        for question, metric, percent in QUESTIONS:
            found = [record.find(metric) for record in models.values()]
            if any(found):
                rows.append([question, *(cell(m, percent) for m in found)])
        tables[name] = rows
    return tables


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--learnt", type=Path, help="Markdown text put above the tables.")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    records = {run.name: RunRecord.load(run) for run in given.runs}
    for name, record in records.items():
        text = json.dumps(summary(record), indent=1, ensure_ascii=False) + "\n"
        (given.out / f"{name}.json").write_text(text, encoding="utf-8")
    learnt = given.learnt.read_text(encoding="utf-8") if given.learnt else ""
    tables = comparison(records)
    markdown = ["# Two models on real faces", "", learnt.strip(), ""]
    page = [
        "<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>",
        "<title>Two models on real faces</title><style>body{font:16px/1.5 system-ui;max-width:70rem;margin:2rem auto;",
        "padding:0 1rem;color-scheme:light dark}table{border-collapse:collapse;width:100%}td,th{text-align:left;",
        "vertical-align:top;padding:.4rem .8rem;border-bottom:1px solid #8884}.f{max-width:70ch}</style>",
        "<h1>Two models on real faces</h1><div class='f'>",
        *paragraphs(learnt),
        "</div>",
    ]
    for name, rows in tables.items():
        markdown += [f"## {name}", "", "| " + " | ".join(rows[0]) + " |", "|---" * len(rows[0]) + "|"]
        markdown += ["| " + " | ".join(row) + " |" for row in rows[1:]]
        page.append(f"<h2>{html.escape(name)}</h2><table>")
        for i, row in enumerate(rows):
            tag = "td" if i else "th"
            page.append("<tr>" + "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in row) + "</tr>")
        page.append("</table>")
        markdown.append("")
        for run, record in records.items():
            if record.inputs["dataset"]["name"] == name:
                told = [f for _, f in record.findings() if f.severity in ("high", "medium", "low")]
                markdown += [f"### {run}", "", *(f"- [{f.severity}] {f.text}" for f in told), ""]
                page.append(f"<h3>{html.escape(run)}</h3><ul class='f'>")
                page += [f"<li><b>{f.severity}</b>: {html.escape(f.text)}</li>" for f in told]
                page.append("</ul>")
    (given.out / "real_faces.md").write_text("\n".join(markdown) + "\n", encoding="utf-8")
    (given.out / "real_faces.html").write_text("\n".join(page) + "\n", encoding="utf-8")
    print(f"{given.out / 'real_faces.html'}: {len(records)} runs")


if __name__ == "__main__":
    main()
