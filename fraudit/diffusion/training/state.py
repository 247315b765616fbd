"""What a training leaves in its folder to go on from: its state, and the losses of its steps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fraudit.errors import ArtifactError, UsageError

STATE = "state.safetensors"
LOG = "loss.jsonl"


def state_in(folder: Path) -> Path:
    """The state file of a training. Raises UsageError where there is none."""
    path = folder / STATE
    if not path.is_file():
        raise UsageError(f"nothing to resume: {path} does not exist", "leave --resume out to start")
    return path


def check_resumable(folder: Path, run: Mapping[str, Any]) -> dict[str, str]:
    """What the state in `folder` says of itself, where it is of a training with the settings `run`.

    Before anything is fitted: other settings would replace the student of the training that is there.

    Raises:
        UsageError: no state there, or it is of a training with other settings.
        ArtifactError: the file is truncated or damaged.
    """
    from safetensors import SafetensorError, safe_open

    path = state_in(folder)
    try:
        with safe_open(path, "pt") as stored:
            about = dict(stored.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}", "start again without --resume") from error
    before, now = json.loads(about.get("run", "{}")), json.loads(json.dumps(dict(run)))
    changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if changed:
        raise UsageError(
            f"{path} is of a training with other settings: {', '.join(changed)}",
            "repeat its options, or choose another --out",
        )
    return about


def read_losses(folder: Path) -> list[dict[str, float]]:
    """Rows {step, loss} of a training's log; a last line that was cut off is left out."""
    path = folder / LOG
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        rows.append(row)
    return rows
