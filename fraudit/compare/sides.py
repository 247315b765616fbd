"""The runs of a comparison: read, and refused where they did not measure the same thing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fraudit.compare.evidence import read_evidence
from fraudit.compare.hooks import comparison_of
from fraudit.compare.values import Side
from fraudit.errors import DataError, UsageError
from fraudit.files.doors import entering
from fraudit.plugins import ANALYSES
from fraudit.report.record import RunRecord
from fraudit.report.summary import subject


def params_of(record: RunRecord) -> dict[str, dict[str, Any]]:
    """Analysis -> parameters: what was asked for, and what the analysis says it used."""
    asked = record.plan.get("params") or {}
    return {r.name: {**dict(asked.get(r.name) or {}), **dict(r.params)} for r in record.results}


def run_side(path: Path, label: str = "") -> Side:
    """A finished run. Raises DataError where there is none, or it is incomplete."""
    record = RunRecord.load(path)
    folder = path if path.is_dir() else path.parent
    if record.status != "complete":
        raise DataError(
            f"{path} is an incomplete run", "let the audit finish: the same command goes on from there"
        )
    metrics = {(m.name, m.group): m for m in record.metrics()}
    with entering(f"{path}: its plan cannot be read", "run the audit again"):
        params = params_of(record)
        seed = int(record.plan.get("seed") or 0)
    identified = bool((record.inputs.get("dataset") or {}).get("identified", True))
    distinct = bool(record.plan.get("distinct", False))
    evidence = read_evidence(folder, metrics, seed, params, identified, distinct)
    box = record.inputs.get("embedder") or {}
    return Side(
        label or box.get("name") or folder.name,
        subject(record),
        path,
        record.inputs,
        record.plan,
        params,
        {r.name: (r.status, r.reason) for r in record.results},
        metrics,
        evidence,
        record,
    )


def _short(value: Any) -> str:
    text = str(value)
    return f"{text[:12]}..." if len(text) > 40 and " " not in text else text


def differences(base: Side, new: Side, analyses: Sequence[str] | None = None) -> list[str]:
    """Why the two runs cannot be compared, one line each; empty where they can.

    Args:
        analyses: whose parameters matter; by default those that ran in both.
    """
    found = []
    mine, theirs = base.inputs.get("dataset") or {}, new.inputs.get("dataset") or {}
    if mine.get("digest") != theirs.get("digest"):
        found.append(
            "data: "
            + " against ".join(
                f"'{d.get('name')}' ({d.get('n_faces')} faces, digest {_short(d.get('digest'))})"
                for d in (mine, theirs)
            )
        )
    for key, what in (
        ("detector", "alignment, detector"),
        ("several_faces_policy", "choice among several faces"),
        ("protocol_pairs", "protocol, pairs"),
    ):
        if mine.get(key) != theirs.get(key):
            found.append(f"{what}: {_short(mine.get(key))} against {_short(theirs.get(key))}")
    for key in ("seed", "limit"):
        if base.plan.get(key) != new.plan.get(key):
            found.append(f"{key}: {base.plan.get(key)} against {new.plan.get(key)}")
    for name in ("pairs", "people"):
        own, other = (getattr(side.evidence, f"{name}_digest") for side in (base, new))
        if not found and own and other and own != other:
            found.append(f"{name}: digest {_short(own)} against {_short(other)}")
    done = [n for n, (s, _) in base.status.items() if s == "done" and new.status.get(n, ("",))[0] == "done"]
    for name in done if analyses is None else [n for n in analyses if n in done]:
        a, b = base.params.get(name, {}), new.params.get(name, {})
        for key in sorted({*a, *b} - _cosmetic(name)):
            if a.get(key) != b.get(key) and str(a.get(key)) != str(b.get(key)):
                found.append(f"parameter {name}.{key}: {_short(a.get(key))} against {_short(b.get(key))}")
        if comparison_of(name).judged:
            judges = [
                sorted(j.get("fingerprint", "") for j in side.inputs.get("judges") or [])
                for side in (base, new)
            ]
            if judges[0] != judges[1]:
                names = [[j.get("name") for j in side.inputs.get("judges") or []] for side in (base, new)]
                found.append(f"judges of {name}: {names[0]} against {names[1]}")
    return found


def _meant(line: str) -> str:
    """The analysis that a difference of parameters or judges is about."""
    words = line.split()
    return words[1].split(".")[0] if words[0] == "parameter" else words[2].rstrip(":")


def _cosmetic(name: str) -> frozenset[str]:
    analysis = ANALYSES.find(name)
    return frozenset() if analysis is None else analysis.cosmetic


def require_comparable(base: Side, new: Side, analyses: Sequence[str] | None = None) -> None:
    """Raises UsageError with every difference where the two runs did not measure the same thing."""
    found = differences(base, new, analyses)
    if found:
        only_params = all(line.startswith(("parameter", "judges")) for line in found)
        names = sorted({_meant(line) for line in found})
        hint = (
            f"run one of them again with the same parameters, or leave it out: --skip {','.join(names)}"
            if only_params
            else "audit both models on the same data, with the same detector, seed and limit"
        )
        raise UsageError(f"{base.path} and {new.path} cannot be compared: {'; '.join(found)}", hint)
