"""What a model says of a set: faces, vectors and who is who, from the model itself or from a run that was kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fraudit.audit.execute import tell_reading
from fraudit.audit.limited import limited
from fraudit.audit.stored_vectors import faces_of
from fraudit.embedding.loading import load_embedder
from fraudit.embedding.runtime import EmbedderRuntime, what_to_check
from fraudit.errors import DataError, InsufficientData
from fraudit.faces.attributes import require_attributes, usual_attributes
from fraudit.faces.detect import Locator
from fraudit.faces.sources import open_faces
from fraudit.files.store import Store
from fraudit.files.vectors import read_vectors
from fraudit.progress import Reporter
from fraudit.report.record import RunRecord
from fraudit.scores.run import TEMPLATE_FILE
from fraudit.stats.calibration import declared_people
from fraudit.stats.groups import label_groups, word_groups
from fraudit.types import F32, I64, Bool, FaceSet, PairList


@dataclass(frozen=True, slots=True)
class Reading:
    """How sets are read and faces found in them; see `fraudit.audit.plan.AuditPlan`."""

    detector: str = ""
    several_faces: str = "most_central"
    layout: str | None = None
    pairs: str | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A set through a model.

    Attributes:
        faces: the set. digest: of its pictures and people. unit: f32[N,D], ok: bool[N].
        model, fingerprint: whose vectors they are. templates: whether the set compares templates of several pictures.
    """

    faces: FaceSet
    digest: str
    unit: F32
    ok: Bool
    model: str
    fingerprint: str
    templates: bool = False

    @property
    def declared(self) -> PairList | None:
        """The set's pairs where it names nobody: they alone say who is another person."""
        return None if self.faces.identified else self.faces.pairs

    @property
    def people(self) -> I64:
        """i64[N], who is shown."""
        pairs = self.declared
        return self.faces.subjects if pairs is None else declared_people(self.faces.subjects, pairs)

    @property
    def n_people(self) -> int:
        """People with a vector."""
        return len(np.unique(self.people[self.ok]))

    def groups(self, attributes: Sequence[str]) -> dict[str, NDArray[np.str_]]:
        """Attribute -> str[N] group of each picture, '' where unknown.

        Raises:
            UsageError: an attribute that the set does not have.
        """
        require_attributes(self.faces, attributes)
        return {
            name: word_groups(name, label_groups(np.asarray(self.faces.attributes[name])))
            for name in attributes
        }

    def usual(self) -> tuple[str, ...]:
        """Its usual demographic attributes."""
        return usual_attributes(self.faces.attributes, 3)


def require_people(faces: FaceSet) -> None:
    """Raises InsufficientData where it is not known who is another person."""
    if not faces.identified and faces.pairs is None:
        raise InsufficientData(
            f"the set '{faces.name}' names no identities and declares no pairs: a threshold needs pairs of two people "
            "and of one",
            "use a set that says who is shown (one folder a person, or a manifest with a column subject)",
        )


class Model:
    """A model that is asked, once for each set."""

    def __init__(self, embedder: str, weights: Path | None, reporter: Reporter) -> None:
        self._report = reporter
        reporter.say(f"loading {embedder}")
        self.runtime = EmbedderRuntime(load_embedder(embedder, weights=weights), Store())
        for note in self.runtime.loaded.notes:
            reporter.say(f"note: {note}")

    def show(self, dataset: str, reading: Reading) -> Shown:
        """The set through the model.

        Raises:
            DataError: no such set, nobody identified, or no face gave a vector.
        """
        report, box = self._report, self.runtime
        report.say(f"opening {dataset}")
        how = {key: value for key in ("pairs", "layout") if (value := getattr(reading, key))}
        faces = open_faces(dataset, **how)
        if reading.limit:
            faces = limited(faces, reading.limit)
        tell_reading(faces, report)
        require_people(faces)
        locate = None if faces.landmarks is not None else Locator(reading.detector, reading.several_faces)
        label = f"embedding with {box.spec.name}"
        found = box.embed_faces(
            faces, locate=locate, progress=lambda done, total: report.progress(label, done, total)
        )
        if not found.ok.any():
            common = Counter(found.reasons).most_common(1)[0][0]
            raise DataError(
                f"none of the {len(faces)} faces gave a vector; most common reason: {common}",
                what_to_check(common),
            )
        listed = faces.templates is not None and faces.templates.pairs is not None
        return Shown(faces, faces.digest, found.unit(), found.ok, box.spec.name, box.fingerprint, listed)

    def close(self) -> None:
        """Let go of the model."""
        if self.runtime.loaded.close:
            self.runtime.loaded.close()


def shown_in(folder: Path) -> Shown:
    """A finished run from its folder: no model is asked, no picture opened.

    Raises:
        DataError: no run, an incomplete one, or one whose set names no identities.
    """
    record = RunRecord.load(folder)
    if record.status != "complete":
        raise DataError(f"{folder} is an incomplete run", "let the audit finish: the same command goes on")
    stored = read_vectors(folder / "vectors.npz")
    data, box = record.inputs.get("dataset"), record.inputs.get("embedder")
    if not isinstance(data, Mapping) or not isinstance(box, Mapping) or not box.get("fingerprint"):
        raise DataError(f"{folder} does not say which model and set it is of", "run the audit again")
    if not data.get("identified", True):
        raise InsufficientData(
            f"{folder} is of a set that does not name who is shown, and what a run keeps is not enough without",
            "ask the model itself: --embedder and --dataset",
        )
    faces = faces_of(str(data.get("name")), [str(i) for i in stored.ids], stored.subjects, stored.attributes)
    return Shown(
        faces,
        str(data.get("digest") or ""),
        stored.unit,
        stored.ok,
        str(box.get("name")),
        str(box.get("fingerprint")),
        (folder / TEMPLATE_FILE).is_file(),
    )
