"""The second model of an audit that compares two: asked now, or as its vectors were stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fraudit.audit.matching import match, name_of
from fraudit.audit.plan import AuditPlan
from fraudit.audit.stored_vectors import StoredVectors
from fraudit.embedding.loading import check_embedder
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.errors import UsageError
from fraudit.files.doors import open_arrays
from fraudit.files.vectors import GIVEN, GIVEN_HINT, read_given
from fraudit.types import FaceSet

UNASKED = "the second model is stored vectors: it cannot be shown another picture"


def check_other(plan: AuditPlan) -> None:
    """Whether the plan's second model is there, before a set is opened or a model loaded.

    Raises:
        FrauditError: weights without a model, no such name, card, file, module or secret.
    """
    if plan.other is None:
        if plan.other_weights is not None:
            raise UsageError("--other-weights goes with --other", "--other NAME names the second model")
        return
    stored = vectors_file(plan.other)
    if stored is None:
        check_embedder(plan.other, plan.other_weights)
        return
    with open_arrays(stored, GIVEN, GIVEN_HINT):
        pass


def open_other(
    plan: AuditPlan, faces: FaceSet, opened: Callable[[str, str | None], EmbedderRuntime]
) -> EmbedderRuntime | None:
    """The plan's second model, None where it names none.

    Args:
        opened: opens a model by its name and weights, and closes it when the audit ends.
    Raises:
        UsageError, DataError: no such model, or vectors of other pictures.
    """
    if plan.other is None:
        return None
    stored = vectors_file(plan.other)
    if stored is None:
        return opened(plan.other, plan.other_weights)
    model: Any = stored_model(stored, faces)
    return model


def vectors_file(name: str) -> Path | None:
    """The file of stored vectors that `name` is, or that lies in the run folder it is; None where it is a model."""
    path = Path(name).expanduser()
    if path.suffix.lower() == ".npz":
        return path
    if path.is_dir():
        file = path / "vectors.npz"
        if not file.is_file():
            raise UsageError(
                f"{name}: the folder holds no vectors.npz", "name a run folder, a .npz of vectors, or a model"
            )
        return file
    return None


def stored_model(file: Path, faces: FaceSet) -> StoredVectors:
    """The vectors of `file` in the order of `faces`. Raises DataError: they are of other pictures."""
    found = match(read_given(file), faces, file)
    return StoredVectors(name_of(file), found.vectors, found.ok, found.reasons, unasked=UNASKED)
