"""Runs a plan: faces + black box -> every analysis -> RunRecord; the record is saved after each step.

A failing analysis never stops the others: its error becomes part of the record, and the exit code says so.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
import re
import shutil
import sys
import time
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

import fraudit
from fraudit.audit.context import AnalysisContext, require_distinct
from fraudit.audit.plan import AuditPlan, build_params
from fraudit.embedding.loading import load_embedder
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.errors import DataError, FrauditError, InsufficientData, UsageError, suggest
from fraudit.faces.detect import Locator
from fraudit.faces.limiting import first_people
from fraudit.faces.sources import open_faces
from fraudit.files.doors import check_ours, leaving
from fraudit.files.store import Store, write_atomic
from fraudit.inverters.loading import find_inverter
from fraudit.plugins import ANALYSES
from fraudit.progress import Reporter, silent
from fraudit.report.record import FILE_NAME, SCHEMA, RunRecord, normalise
from fraudit.types import Analysis, AnalysisResult, FaceSet

# What a plugin's code can raise by mistake. Interrupts and exits pass through.
PLUGIN_FAULTS = (
    FrauditError,
    ArithmeticError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    NameError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    np.linalg.LinAlgError,
)
# What `write_atomic` leaves of a run's files where the process is killed between writing and renaming.
_LEFT_OVER = re.compile(r"\.(run|scores|vectors)-[a-z0-9_]{8}\.(json|csv|npz)")
PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "onnxruntime", "opencv-python-headless", "pillow")


def choose_analyses(plan: AuditPlan) -> list[Analysis]:
    """The plan's analyses in report order. Raises UsageError on unknown names."""
    known = ANALYSES.names()
    for name in (*plan.only, *plan.skip, *plan.params):
        if name not in known:
            raise UsageError(f"unknown analysis '{name}'", f"{suggest(name, known)}known: {', '.join(known)}")
    wanted = [n for n in (plan.only or known) if n not in plan.skip]
    if not wanted:
        raise UsageError("no analysis is left to run", "loosen --only or --skip")
    return sorted((ANALYSES.get(name) for name in wanted), key=lambda a: (a.order, a.name))


def claim_folder(run_dir: Path, overwrite: bool) -> None:
    """Make `run_dir` ready: empty, or an earlier run of ours that may be replaced.

    Raises:
        UsageError: it exists and holds a finished run (without `overwrite`) or something else.
    """
    left = (
        [path for path in run_dir.iterdir() if not _LEFT_OVER.fullmatch(path.name)]
        if run_dir.is_dir()
        else []
    )
    if left:
        record = check_ours(
            run_dir / FILE_NAME, lambda found: found.get("schema") == SCHEMA, "run of fraudit"
        )
        if record is None:
            raise UsageError(f"{run_dir} exists and is no run of fraudit", "choose another --out")
        if not overwrite and record.get("status") != "incomplete":
            raise UsageError(f"{run_dir} holds a finished run", "choose another --out, or pass --overwrite")
        for part in ("artifacts", "report"):
            shutil.rmtree(run_dir / part, ignore_errors=True)
        for part in ("run.json", "scores.csv", "vectors.npz"):
            (run_dir / part).unlink(missing_ok=True)
    elif run_dir.exists() and not run_dir.is_dir():
        raise UsageError(f"{run_dir} is a file; a run needs a folder", "choose another --out")
    with leaving(f"the run's folder {run_dir}", "choose another --out"):
        run_dir.mkdir(parents=True, exist_ok=True)
        for path in list(run_dir.iterdir()):
            if _LEFT_OVER.fullmatch(path.name):
                path.unlink(missing_ok=True)


def unreported(run_dir: Path, plan: Mapping[str, Any]) -> RunRecord | None:
    """The finished run in `run_dir` of the same plan that was stopped before its report was made, or None."""
    if not (run_dir / FILE_NAME).is_file() or (run_dir / "report" / "index.html").exists():
        return None
    try:
        record = RunRecord.load(run_dir)
    except DataError:
        return None
    same = json.loads(json.dumps(dict(plan))) == record.plan
    return record if same and record.status == "complete" else None


def run_plan(
    plan: AuditPlan, run_dir: Path, *, overwrite: bool = False, reporter: Reporter | None = None
) -> RunRecord:
    """Do what `plan` says, leaving run.json, scores.csv, vectors.npz and artifacts in `run_dir`.

    Raises:
        FrauditError: before any analysis runs (bad plan, data, weights); afterwards failures are recorded.
    """
    report = reporter or silent()
    started = time.monotonic()
    analyses = choose_analyses(plan)
    params = {a.name: build_params(a.params, plan.params.get(a.name, {}), a.name) for a in analyses}
    store = Store()
    report.say(f"opening {plan.dataset}")
    faces = open_faces(plan.dataset, **plan.reading())
    require_distinct(plan.distinct, faces)
    if plan.limit:
        faces = first_people(faces, plan.limit)
    tell_reading(faces, report)
    report.say(f"loading {plan.embedder}")
    runtime = EmbedderRuntime(
        load_embedder(plan.embedder, weights=Path(plan.weights) if plan.weights else None), store
    )
    judges = [EmbedderRuntime(load_embedder(name), store) for name in plan.judges]
    for box in (runtime, *judges):
        for note in box.loaded.notes:
            report.say(f"note: {note}")
    for judge in judges:
        if judge.fingerprint == runtime.fingerprint:
            raise UsageError(
                f"the judge {judge.spec.name} is the audited model itself", "name an independent one"
            )
    inverter, inverter_missing = find_inverter(plan.inverter, runtime.loaded)
    locate = None if faces.landmarks is not None else Locator(plan.detector or "", plan.several_faces)
    claim_folder(run_dir, overwrite)
    context = AnalysisContext(
        plan,
        faces,
        runtime,
        store=store,
        run_dir=run_dir,
        locate=locate,
        judges=judges,
        inverter=inverter,
        inverter_missing=inverter_missing,
        say=report.say,
        show_progress=report.progress,
    )
    record = RunRecord(
        plan=plan.as_dict(),
        environment=environment(plan),
        inputs={},
        results=(),
        failures=(),
        status="incomplete",
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
    record.save(run_dir)
    embeddings = context.embeddings()
    if not embeddings.ok.any():
        common = Counter(embeddings.reasons).most_common(1)[0][0]
        raise DataError(
            f"none of the {len(faces)} faces gave a vector; most common reason: {common}",
            "check the pictures and the detector",
        )
    record = replace(record, inputs=inputs(context, locate))
    results: list[AnalysisResult] = []
    failures: list[dict[str, str]] = []
    for analysis in analyses:
        report.say(f"{analysis.title} ...")
        result, failure = run_one(analysis, context, params[analysis.name])
        if result.status == "done":
            result = replace(result, caveats=(*result.caveats, *runtime.loaded.notes))
        results.append(result)
        if failure:
            failures.append(failure)
        report.say(f"{analysis.title}: {_outcome(result)}")
        record = replace(record, results=tuple(results), failures=tuple(failures))
        record.save(run_dir)
    save_evidence(context, run_dir)
    record = replace(
        record,
        status="complete",
        inputs=inputs(context, locate),
        environment={**record.environment, "seconds": round(time.monotonic() - started, 1)},
    )
    record.save(run_dir)
    for box in (runtime, *judges):
        if box.loaded.close:
            box.loaded.close()
    return record


def tell_reading(faces: FaceSet, report: Reporter) -> None:
    """Say how the set was read, and what of it was left out."""
    people = f" of {len(np.unique(faces.subjects)):,} people" if faces.identified else ", nobody identified"
    pairs = f", {len(faces.pairs):,} pairs" if faces.pairs is not None else ""
    report.say(f"{faces.name}: {len(faces):,} pictures{people}{pairs}")
    for note in faces.notes:
        report.say(f"note: {note}")
    for reason, count in faces.left_out.items():
        report.say(f"left out: {count:,} {reason}")


def run_one(
    analysis: Analysis, context: AnalysisContext, params: Any
) -> tuple[AnalysisResult, dict[str, str] | None]:
    """(result, failure or None): one analysis with its cost, or why it was not run, or how it failed."""
    reason = unmet(analysis, context)
    if reason:
        return AnalysisResult(analysis.name, analysis.title, "not_run", reason), None
    boxes = (context.embedder, *context.judges)
    before, started = sum(b.queries for b in boxes), time.monotonic()
    failure = None
    try:
        result = normalise(analysis.run(context, params))
    except InsufficientData as error:
        result = AnalysisResult(analysis.name, analysis.title, "not_run", error.message)
    except PLUGIN_FAULTS as error:
        text = error.message if isinstance(error, FrauditError) else f"{type(error).__name__}: {error}"
        result = AnalysisResult(analysis.name, analysis.title, "failed", text)
        failure = {
            "analysis": analysis.name,
            "error": text,
            "hint": getattr(error, "hint", ""),
            "traceback": traceback.format_exc(),
        }
    cost = {
        "seconds": round(time.monotonic() - started, 2),
        "queries": sum(b.queries for b in boxes) - before,
        "faces": result.faces if result.faces is not None else len(context.faces),
    }
    return replace(result, **cost), failure


def unmet(analysis: Analysis, context: AnalysisContext) -> str:
    """Why `analysis` cannot run here, or ''."""
    faces = context.faces
    reasons = {
        "identities": "" if faces.identified else f"the set '{faces.name}' names no identities",
        "pairs": ""
        if faces.pairs is not None or faces.identified
        else "; ".join(
            ["the set has no pairs and no identities", *(n for n in faces.notes if "pairs not" in n)]
        ),
        "attributes": "" if faces.attributes else f"the set '{faces.name}' has no attributes",
        "landmarks": "",
        "inverter": "" if context.inverter else context.inverter_missing,
        "judge": "" if context.judges else "no independent judge was given (--judge)",
        "vectors": "",
        "pictures": "",
    }
    return "; ".join(reasons[need] for need in analysis.needs if reasons[need])


def _outcome(result: AnalysisResult) -> str:
    if result.status != "done":
        return f"{result.status.replace('_', ' ')}: {result.reason}"
    rate = (
        f" ({1e3 * result.seconds / result.faces:.1f} ms a face)" if result.seconds and result.faces else ""
    )
    return f"{result.seconds} s, {result.queries:,} queries{rate}. {result.headline}"


def save_evidence(context: AnalysisContext, run_dir: Path) -> None:
    """vectors.npz (ids, vectors, ok, reasons) and scores.csv of the run, for comparison and gates."""
    embeddings = context.embeddings()
    write_vectors(
        run_dir / "vectors.npz", context.faces, embeddings.vectors, embeddings.ok, embeddings.reasons
    )
    from fraudit.scores import write_run_scores

    with contextlib.suppress(InsufficientData):  # verification says why there are no pairs
        write_run_scores(context, run_dir / "scores.csv")


def write_vectors(
    path: Path, faces: FaceSet, vectors: np.ndarray, ok: np.ndarray, reasons: Sequence[str]
) -> None:
    """`ids` str[N], `vectors` f32[N,D], `ok` bool[N], `reasons` str[N], `subjects` i64[N], atomically.

    Attributes follow as `attribute.NAME`, so that groups can be compared without the pictures.
    """
    arrays = {
        "ids": np.array(faces.ids, dtype=np.str_),
        "vectors": vectors,
        "ok": ok,
        "reasons": np.array(reasons, dtype=np.str_),
        "subjects": faces.subjects,
    }
    for name, values in faces.attributes.items():
        column = np.asarray(values)
        arrays[f"attribute.{name}"] = column.astype(np.str_) if column.dtype.kind == "O" else column
    write_atomic(path, lambda p: np.savez(p, **arrays))


def inputs(context: AnalysisContext, locate: Locator | None) -> dict[str, Any]:
    """What went in: data set, black boxes and inverter with their digests and bills."""
    faces, embeddings = context.faces, context.embeddings()
    people = len(np.unique(faces.subjects))
    stated = {"distinct": context.repeat_note()} if context.distinct else {}
    return {
        "dataset": {
            "name": faces.name,
            "digest": faces.digest,
            "n_faces": len(faces),
            "n_subjects": people if faces.identified else None,
            "identified": faces.identified,
            "synthetic": faces.synthetic,
            "licence": faces.licence,
            "attributes": sorted(faces.attributes),
            "protocol_pairs": len(faces.pairs) if faces.pairs is not None else None,
            "left_out": dict(faces.left_out),
            "notes": list(faces.notes),
            "fta": dict(Counter(r for r in embeddings.reasons if r)),
            "detector": _finder(context, locate),
            "several_faces": locate.several if locate else None,
            "several_faces_policy": context.plan.several_faces,
            **stated,
        },
        "embedder": _box(context.embedder),
        "judges": [_box(judge) for judge in context.judges],
        "inverter": _inverter(context),
    }


def _finder(context: AnalysisContext, locate: Locator | None) -> str:
    if context.embedder.spec.preprocess.whole:
        return "none: whole pictures, in which the black box finds the face"
    return locate.detector.fingerprint if locate else "none: the set declares its landmarks"


def _box(box: EmbedderRuntime) -> dict[str, Any]:
    spec = box.spec
    return {
        "name": spec.name,
        "variant": box.loaded.variant,
        "dim": spec.dim,
        "weights_sha256": box.loaded.weights_sha256,
        "fingerprint": box.fingerprint,
        "preprocess": spec.preprocess.as_dict(),
        "licence": spec.licence,
        "source": spec.source,
        "distance": spec.distance,
        "queries": box.queries,
        **({"notes": list(box.loaded.notes)} if box.loaded.notes else {}),
    }


def _inverter(context: AnalysisContext) -> dict[str, Any]:
    if context.inverter is None:
        return {"missing": context.inverter_missing}
    return {
        "name": context.inverter.name,
        "size_px": context.inverter.size_px,
        "card": getattr(context.inverter, "card", {}),
    }


def environment(plan: AuditPlan) -> dict[str, Any]:
    """Versions, hardware, seed and the command that repeats the run."""
    versions = {"fraudit": fraudit.__version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "versions": versions,
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "accelerator": _accelerator(),
        "seed": plan.seed,
        "command": plan.command(),
    }


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def _accelerator() -> str:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return str(torch.cuda.get_device_name(0))
    return "none"


def exit_code(record: RunRecord) -> int:
    """0; 7 where an analysis failed while the others ran; 5 where nothing at all could be measured."""
    if record.failures:
        return 7
    return 0 if any(result.status == "done" for result in record.results) else 5


def default_run_dir(plan: AuditPlan) -> Path:
    """runs/EMBEDDER-DATASET-TIME below the current folder."""

    def word(text: str) -> str:
        stem = Path(text).stem if text.endswith((".toml", ".zip")) else text.split("/")[-1]
        return "".join(c if c.isalnum() else "-" for c in stem).strip("-")[:40] or "run"

    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"{word(plan.embedder)}-{word(plan.dataset)}-{stamp}"
