"""What an analysis is given: faces, the black box, judges, an inverter, and memory for what was computed."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fraudit.audit.distinct import repeat_words
from fraudit.audit.pair_scores import NEEDS_VECTORS, PairScores
from fraudit.audit.plan import AuditPlan
from fraudit.audit.thresholds import Threshold, threshold_of
from fraudit.audit.vector_scores import VectorScores
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.errors import DataError, InsufficientData
from fraudit.faces.align import as_shown
from fraudit.faces.detect import Locator, locate_in
from fraudit.files.store import Store, write_atomic
from fraudit.plugins import analyses_needing
from fraudit.progress import Progress, nowhere
from fraudit.stats.calibration import (
    DISTINCT,
    UNKNOWN,
    Calibration,
    calibrate,
    calibration_half,
    declared_people,
    judged,
    labelled_rng,
)
from fraudit.stats.pairs import fold_count, make_pairs, rate_pairs
from fraudit.stats.repeats import likely_repeats
from fraudit.types import F32, I64, U8, Bool, Embeddings, FaceSet, Inverter, Located, PairList

if TYPE_CHECKING:
    from fraudit.audit.engine import Engine

LEAST_PROTOCOL = 30  # declared pairs of each kind; with fewer left of an identified set, folds are drawn


class AnalysisContext:
    """Given to every analysis' `run(context, params)`.

    Attributes:
        faces: the face set.
        scores: scores of pairs by the black box under audit, whether it gives vectors or only compares.
        embedder: the black box under audit, where it gives vectors.
        judges: independent embedders, maybe none.
        other: a second model that is compared with the audited one, or None.
        inverter: a trained inverter of `embedder`, or None.
        inverter_missing: why there is no inverter.
        store: artifacts by content.
        seed: of everything random.
        show_pictures: whether galleries may be made from this set.
        no_pictures: why no picture can be opened, or ''.
        engine: what asks the black box on other machines, or None.

    Nothing outside this object is needed to run an analysis.
    """

    def __init__(
        self,
        plan: AuditPlan,
        faces: FaceSet,
        embedder: EmbedderRuntime | None,
        *,
        store: Store,
        run_dir: Path,
        locate: Locator | None = None,
        judges: Sequence[EmbedderRuntime] = (),
        other: EmbedderRuntime | None = None,
        inverter: Inverter | None = None,
        inverter_missing: str = "no inverter was given",
        say: Callable[[str], None] | None = None,
        show_progress: Callable[[str, int, int], None] | None = None,
        no_pictures: str = "",
        engine: Engine | None = None,
    ) -> None:
        self.plan = plan
        self.faces = faces
        self._embedder = embedder
        self._pair_scores: PairScores | None = None
        self.no_pictures, self.engine = no_pictures, engine
        self.store = store
        self.run_dir = run_dir
        self.judges = tuple(judges)
        self.other = other
        self.inverter = inverter
        self.inverter_missing = inverter_missing
        self.seed = plan.seed
        self.distinct = plan.distinct
        self.show_pictures = plan.pictures == "all" or (plan.pictures == "auto" and faces.synthetic)
        self._locate = locate
        self._say = say
        self._show = show_progress
        self._embeddings: dict[tuple[str, str], Embeddings] = {}
        self._landmarks: tuple[F32, tuple[str, ...]] | None = None
        self._calibrations: dict[str, Calibration] = {}
        self._scores: dict[tuple[str, float], Threshold] = {}
        self._rated: PairList | None = None
        self._repeats: str | None = None

    # -- the black box

    @property
    def embedder(self) -> EmbedderRuntime:
        """The audited model. Raises InsufficientData where the black box only compares."""
        if self._embedder is None:
            raise InsufficientData(NEEDS_VECTORS)
        return self._embedder

    @property
    def box_notes(self) -> tuple[str, ...]:
        """What to say of the black box beside every result."""
        return () if self._embedder is None else self._embedder.loaded.notes

    @property
    def scores(self) -> PairScores:
        """Scores of pairs by the black box: cosines of its vectors, or what it was asked for."""
        if self._pair_scores is None:
            self._pair_scores = VectorScores(self)
        return self._pair_scores

    def use_scores(self, scores: PairScores) -> None:
        """Take these in the place of cosines, or narrow them to one analysis' own."""
        self._pair_scores = scores

    @property
    def locator(self) -> Locator | None:
        """What finds faces in pictures; None where the set declares its landmarks."""
        return self._locate

    # -- randomness, limits, words

    def rng(self, label: str) -> np.random.Generator:
        """A generator of its own for every use, so that one analysis never shifts another's draws."""
        return labelled_rng(self.seed, label)

    def max_faces(self, default: int) -> int:
        """How many faces an expensive analysis may take: its default, or less where the plan says so."""
        return min(default, self.plan.max_faces) if self.plan.max_faces else default

    @property
    def inversion_planned(self) -> bool:
        """Whether the audit has a section that needs an inverter."""
        return any(map(self.plan.includes, analyses_needing("inverter")))

    def pictures_asked(self, given: int | None, usual: int, parameter: str) -> tuple[int, str]:
        """(how much is to be inverted, why nothing is): inverting takes long, so that it must be asked for.

        An audit with a section that needs an inverter asks for it everywhere, as does `parameter` itself.

        Args:
            given: value of `parameter`, None where it was left open.
            usual: its value where it was left open in an audit that inverts.
            parameter: `analysis.name`, for the words.
        """
        if self.inverter is None:
            return 0, self.inverter_missing
        if given == 0:
            return 0, f"{parameter} is 0"
        if given is None and not self.inversion_planned:
            part = f"the {' or '.join(analyses_needing('inverter')) or 'inverting'} section is no part of this audit"
            return 0, f"it was not asked for, since {part} (--param {parameter}={usual} asks for it)"
        return (usual if given is None else given), ""

    def progress(self, text: str) -> None:
        """Tell the person what is being done."""
        if self._say:
            self._say(text)

    def part(self, label: str, total: int) -> Progress:
        """Counts a part that takes long, so that the person sees its rate and the time left."""
        part = Progress(label, total, self._show or nowhere)
        part.show(label, 0, total)
        return part

    # -- faces

    def picture(self, index: int) -> U8:
        """u8[H,W,3] RGB. Raises DataError where it cannot be decoded."""
        return self.faces.read(index)

    def landmarks(self) -> tuple[F32, tuple[str, ...]]:
        """(f32[N,5,2] with NaN rows where no face was found, N reasons that are '' where it was)."""
        if self._landmarks is None:
            points = np.full((len(self.faces), 5, 2), np.nan, np.float32)
            reasons = [""] * len(self.faces)
            told = self.part("landmarks", len(self.faces))
            for i in range(len(self.faces)):
                told.add()
                if self.faces.landmarks is not None:
                    points[i] = self.faces.landmarks[i]
                    reasons[i] = "" if np.isfinite(points[i]).all() else "no landmarks declared"
                    continue
                try:
                    data = self.faces.read_bytes(i)
                    found = self._located(i, data)
                except DataError as error:
                    reasons[i] = error.message
                    continue
                if found.points is None:
                    reasons[i] = found.reason or "no face found"
                else:
                    points[i] = found.points
            self._landmarks = (points, tuple(reasons))
        return self._landmarks

    def know_landmarks(self, points: F32, reasons: Sequence[str]) -> None:
        """Take these for `landmarks()`: they were found elsewhere."""
        self._landmarks = (points, tuple(reasons))

    def locate_in(self, pictures: Sequence[U8]) -> list[Located]:
        """The five points a detector finds in each of some pictures, for example corrupted ones."""
        if self._locate is None:
            return [Located(None, "no detector")] * len(pictures)
        return locate_in(self._locate, pictures)

    @property
    def has_detector(self) -> bool:
        """Whether faces are found by a detector (False where the set declares its landmarks)."""
        return self._locate is not None and self.faces.landmarks is None

    def _located(self, index: int, data: bytes) -> Located:
        if self._locate is None:
            raise DataError("no detector for a set without landmarks", "choose one with --detector")
        remembered = getattr(self._locate, "remembered", lambda data: None)(data)
        return remembered or self._locate(index, data, self.faces.decode(data))

    def aligned(
        self, indices: Sequence[int] | I64, runtime: EmbedderRuntime | None = None
    ) -> tuple[U8, Bool]:
        """(u8[M,h,w,3], ok bool[M]) faces `indices` in the template of `runtime` (the audited model's)."""
        preprocess = (runtime or self.embedder).spec.preprocess
        height, width = preprocess.size
        points, reasons = self.landmarks()
        crops = np.zeros((len(indices), height, width, 3), np.uint8)
        ok = np.zeros(len(indices), bool)
        for row, index in enumerate(indices):
            if not reasons[int(index)]:
                crops[row] = as_shown(self.picture(int(index)), points[int(index)], preprocess)
                ok[row] = True
        return crops, ok

    # -- vectors

    def embeddings(self, runtime: EmbedderRuntime | None = None, flip: str = "none") -> Embeddings:
        """Embeddings of all faces by the audited model (or by `runtime`), remembered."""
        box = runtime or self.embedder
        key = (box.fingerprint, flip)
        if key not in self._embeddings:
            told = self.part(f"embedding with {box.spec.name}", len(self.faces))
            asked = box.queries
            self._embeddings[key] = box.embed_faces(self.faces, flip=flip, locate=self._locate, progress=told)
            remote = getattr(box.loaded, "close", None) is not None
            if remote and box.queries == asked:
                self.progress(
                    f"note: the vectors of {box.spec.name} are remembered from an earlier run "
                    "(FRAUDIT_CACHE=NEW_FOLDER asks for them again)"
                )
        return self._embeddings[key]

    def ask_service(self, box: EmbedderRuntime) -> None:
        """Show a service the set's first face, so that one that fails is known before another model is asked for all.

        Raises:
            DataError: it fails.
        """
        if getattr(getattr(box, "loaded", None), "meter", None) is not None and len(self.faces):
            box.embed_faces(self.faces, [0], locate=self._locate)

    def embed_aligned(self, images: U8, runtime: EmbedderRuntime | None = None) -> Embeddings:
        """u8[M,h,w,3] faces in the model's own template -> Embeddings, remembered by content."""
        return (runtime or self.embedder).embed_aligned(images)

    def embed_pictures(
        self, images: Sequence[U8], landmarks: F32, runtime: EmbedderRuntime | None = None
    ) -> Embeddings:
        """M pictures with f32[M,5,2] points (NaN rows: no face) -> Embeddings, remembered by content."""
        box = runtime or self.embedder
        preprocess = box.spec.preprocess
        found: Bool = np.asarray(np.isfinite(landmarks).all(axis=(1, 2)))
        vectors = np.zeros((len(images), box.spec.dim), np.float32)
        reasons = np.array(["" if f else "no face found" for f in found], dtype=object)
        rows = np.flatnonzero(found)
        step = 8 * box.loaded.batch_size
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            crops = np.stack([as_shown(images[i], landmarks[i], preprocess) for i in part])
            answer = box.embed_aligned(crops)
            vectors[part] = answer.vectors
            reasons[part] = answer.reasons
        ok = np.array([not reason for reason in reasons], bool)
        return Embeddings(vectors, ok, tuple(reasons), box.fingerprint)

    # -- people, pairs and thresholds

    @property
    def declared(self) -> PairList | None:
        """The set's pairs where it names no identities: they alone say who is another person. Else None."""
        return None if self.faces.identified else self.faces.pairs

    @property
    def unknown_people(self) -> str:
        """Why no pair is known to be of two people, or ''."""
        unknown = not (self.faces.identified or self.faces.pairs is not None or self.distinct)
        return UNKNOWN if unknown else ""

    def repeat_note(self) -> str:
        """What the vectors say of the statement that every picture shows another person; '' where none was made."""
        if not self.distinct:
            return ""
        if self._repeats is None:
            found = self.embeddings()
            try:
                self._repeats = repeat_words(likely_repeats(found.unit(), found.ok, self.rng("repeats")))
            except InsufficientData as error:
                self._repeats = f"{DISTINCT.capitalize()} ({error.message} for a check)."
        return self._repeats

    def people(self) -> I64:
        """i64[N] who is shown; without identities, pictures that declared genuine pairs link are one person."""
        found = self.declared
        return self.faces.subjects if found is None else declared_people(self.faces.subjects, found)

    @property
    def limited(self) -> bool:
        """Whether a limit took pictures, and with them pairs, away from the set."""
        return bool(self.plan.limit)

    @property
    def protocol_note(self) -> str:
        """Why the set's own protocol is not used for accuracy, or ''."""
        pairs = self.faces.pairs
        if pairs is None or not self.faces.identified or not self.limited:
            return ""  # only a limit takes pairs away: a short list that somebody declared stays the protocol
        least = min(int(pairs.same.sum()), int((~pairs.same).sum()))
        if least >= LEAST_PROTOCOL:
            return ""
        return (
            f"Of the protocol's pairs only {int(pairs.same.sum())} genuine and {int((~pairs.same).sum())} impostor "
            f"ones lie among these pictures; accuracy uses {self._folds()} folds drawn from all pairs instead."
        )

    def _folds(self) -> int:
        return fold_count(len(np.unique(self.faces.subjects)))

    def pairs(self, max_pairs: int | None = None) -> PairList:
        """The pairs of the fold protocol: the set's own, else genuine and impostor ones in identity-disjoint folds.

        There are ten folds, fewer with fewer than twenty people, none (`fold` -1) with fewer than four.

        Raises:
            InsufficientData: the set has no identities, or no pair of a kind.
        """
        if self.faces.pairs is not None and not self.protocol_note:
            return self.faces.pairs
        self._need_identities()
        limit = max_pairs or 20_000
        return make_pairs(self.faces.subjects, limit // 2, limit // 2, self.seed)

    def rate_pairs(self) -> PairList:
        """The pairs that rates are measured on: all there are (`stats.pairs.rate_pairs`), in no fold.

        Where nobody is identified, the declared ones.

        Raises:
            InsufficientData: the set has no identities and no pairs, or no pair of a kind.
        """
        if self.declared is not None:
            return self.declared
        self._need_identities()
        if self._rated is None:
            self._rated = rate_pairs(self.faces.subjects, self.seed)
        return self._rated

    def _need_identities(self) -> None:
        if not self.faces.identified:
            raise InsufficientData(
                f"the set '{self.faces.name}' names no identities, so it has no genuine pairs",
                "one folder a person, or a manifest with a column subject, says who is shown",
            )

    def calibration_mask(self) -> Bool:
        """bool[N]: faces of the seeded half of the people (or declared pairs) that thresholds are chosen on."""
        return calibration_half(self.faces.subjects, self.seed, self.declared)

    def judged_pairs(self) -> PairList:
        """The rate pairs whose two people both lie outside the calibration half."""
        return judged(self.rate_pairs(), self.calibration_mask())

    def calibration(self, runtime: EmbedderRuntime | None = None) -> Calibration:
        """The impostor scores among the calibration half by the audited model (or by `runtime`), remembered.

        Raises:
            InsufficientData: no impostor pair among them, or it is not known who is shown.
        """
        if self.unknown_people:
            raise InsufficientData(self.unknown_people)
        box = runtime or self.embedder
        if box.fingerprint not in self._calibrations:
            found = self.embeddings(box)
            self._calibrations[box.fingerprint] = calibrate(
                found.unit(), self.faces.subjects, found.ok, self.seed, self.declared
            )
        return self._calibrations[box.fingerprint]

    def threshold(self, fmr: float, runtime: EmbedderRuntime | None = None) -> Threshold:
        """The threshold for `fmr`, chosen on impostor pairs of the calibration half alone.

        Raises:
            InsufficientData: no impostor pair among them, or it is not known who is shown.
        """
        box = runtime or self.embedder
        key = (box.fingerprint, fmr)
        if key not in self._scores:
            self._scores[key] = threshold_of(self.calibration(box), fmr, self.faces.identified)
        return self._scores[key]

    def threshold_or_reason(self, fmr: float, runtime: EmbedderRuntime | None = None) -> Threshold:
        """`threshold`, or one that is `missing` where it is not known who is shown: for what goes on without."""
        if self.unknown_people:
            nan = float("nan")
            return Threshold(
                nan, fmr, nan, 0, False, f"none, since {self.unknown_people}", self.unknown_people
            )
        return self.threshold(fmr, runtime)

    # -- pictures for the report

    def save_picture(self, image: U8, quality: int = 80) -> str:
        """Write u8[H,W,3] RGB into the run's artifacts; the name a GalleryItem refers to."""
        from PIL import Image

        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "WEBP", quality=quality, method=4)
        data = buffer.getvalue()
        name = f"{hashlib.sha256(data).hexdigest()[:24]}.webp"
        path = self.run_dir / "artifacts" / name
        if not path.exists():
            write_atomic(path, lambda p: p.write_bytes(data) and None)
        return name
