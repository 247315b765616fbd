"""The folder of a run: its name, and whether it may be written."""

from __future__ import annotations

import datetime
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fraudit.audit.plan import AuditPlan
from fraudit.audit.typed import TYPED
from fraudit.errors import DataError, UsageError
from fraudit.files.doors import check_ours, leaving
from fraudit.report.record import FILE_NAME, SCHEMA, RunRecord

# What `write_atomic` leaves of a run's files where the process is killed between writing and renaming.
_LEFT_OVER = re.compile(r"\.(run|scores|vectors)-[a-z0-9_]{8}\.(json|csv|npz)")


def check_folder(run_dir: Path, overwrite: bool) -> bool:
    """Whether `run_dir` holds an earlier run of ours; nothing is changed. Asked before anything else is done.

    Raises:
        UsageError: it exists and holds a finished run (without `overwrite`) or something else.
    """
    if run_dir.exists() and not run_dir.is_dir():
        raise UsageError(f"{run_dir} is a file; a run needs a folder", "choose another --out")
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
    return bool(left)


def claim_folder(run_dir: Path, overwrite: bool) -> None:
    """Make `run_dir` ready: empty, or an earlier run of ours that may be replaced.

    Raises:
        UsageError: as `check_folder`.
    """
    if check_folder(run_dir, overwrite):
        for part in ("artifacts", "report"):
            shutil.rmtree(run_dir / part, ignore_errors=True)
        for part in ("run.json", "scores.csv", "vectors.npz"):
            (run_dir / part).unlink(missing_ok=True)
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


def default_run_dir(plan: AuditPlan) -> Path:
    """runs/COMMAND-EMBEDDER-DATASET-TIME below the current folder; without COMMAND for a plain audit."""

    def word(text: str) -> str:
        stem = Path(text).stem if text.endswith((".toml", ".zip")) else text.split("/")[-1]
        return "".join(c if c.isalnum() else "-" for c in stem).strip("-")[:40] or "run"

    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    command = [word(typed) for typed in TYPED.get().split()[1:2]]
    return Path("runs") / "-".join([*command, word(plan.embedder), word(plan.dataset), stamp])
