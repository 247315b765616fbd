"""One loop for every kind of black box: a failing analysis stops nobody, a failing box everybody; boxes are closed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fraudit.audit.asking import Questions
from fraudit.audit.execute import choose_analyses, exit_code, unused
from fraudit.audit.pair_scores import NEEDS_VECTORS
from fraudit.audit.plan import AuditPlan
from fraudit.audit.runner import run_plan
from fraudit.audit.scoring import prepare, run_scorer
from fraudit.audit.stored_vectors import NO_PICTURES, StoredVectors, faces_of, run_vectors
from fraudit.errors import DataError, InsufficientData, PluginError, UsageError
from fraudit.faces.readers import LANDMARK_COLUMNS
from fraudit.plugins import ANALYSES, EMBEDDERS, SCORERS
from fraudit.progress import Reporter, nowhere
from fraudit.report.record import RunRecord
from fraudit.types import (
    ARCFACE_112,
    Analysis,
    AnalysisResult,
    Asks,
    BudgetSpent,
    EmbedderPlugin,
    EmbedderSpec,
    LoadedEmbedder,
    LoadedScorer,
    Preprocess,
    ScorerPlugin,
    ScorerSpec,
)
from tests.fixtures.boxes import ARCFACE, identity_faces, luma_pattern

PEOPLE, EACH = 24, 3
SMALL = {"scorer": {"verification": "120", "calibration": "60"}}


class Strange(Exception):
    """No class that anybody could list beforehand."""


@dataclass(frozen=True)
class NoParams:
    """None."""


class Boxes:
    """Which boxes were closed, and what a scorer does when it is asked."""

    def __init__(self) -> None:
        self.closed: list[str] = []
        self.asked = 0
        self.dead: Exception | None = None

    def embedder(self, weights: Path | None = None, **_: Any) -> LoadedEmbedder:
        spec = EmbedderSpec("luma-box", 64, ARCFACE, "test", "test")
        return LoadedEmbedder(spec, luma_pattern, "0" * 64, close=lambda: self.closed.append("embedder"))

    def judge(self, weights: Path | None = None, **_: Any) -> LoadedEmbedder:
        spec = EmbedderSpec("luma-judge", 64, ARCFACE, "test", "test")
        return LoadedEmbedder(spec, luma_pattern, "1" * 64, close=lambda: self.closed.append("judge"))

    def scorer(self, target: str) -> LoadedScorer:
        spec = ScorerSpec("luma-scorer", Preprocess((112, 112), ARCFACE_112), batch_size=16)
        return LoadedScorer(spec, self.score, "2" * 64, close=lambda: self.closed.append("scorer"))

    def score(self, lefts: Any, rights: Any) -> np.ndarray:
        if self.dead is not None and self.asked >= 32:
            raise self.dead
        self.asked += len(lefts)
        a, b = luma_pattern(lefts), luma_pattern(rights)
        return np.asarray((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1))


@pytest.fixture
def boxes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Boxes]:
    found = Boxes()
    monkeypatch.setenv("FRAUDIT_CACHE", str(tmp_path / "cache"))
    spec = EmbedderSpec("luma-box", 64, ARCFACE, "test", "test")
    EMBEDDERS.register("luma-box", EmbedderPlugin("luma-box", spec, found.embedder))
    EMBEDDERS.register("luma-judge", EmbedderPlugin("luma-judge", spec, found.judge))
    SCORERS.register("luma-scorer", ScorerPlugin("luma-scorer", found.scorer))
    yield found
    for name in ("luma-box", "luma-judge"):
        EMBEDDERS.unregister(name)
    SCORERS.unregister("luma-scorer")


@pytest.fixture
def plugin() -> Iterator[Callable[..., str]]:
    """Registers an analysis that comes first; its name."""
    names: list[str] = []

    def register(run: Callable[[Any, Any], Any], **options: Any) -> str:
        name = f"toy{len(names)}"
        asks = Asks(NoParams, lambda asking, params: Questions(NoParams()))
        fields = {"order": 1, "asks": asks, **options}
        ANALYSES.register(name, Analysis(name, name, "a toy", params=NoParams, run=run, **fields))
        names.append(name)
        return name

    yield register
    for name in names:
        ANALYSES.unregister(name)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    images, subjects = identity_faces(PEOPLE, EACH, seed=2, within=0.35)
    points = ",".join(f"{v:.3f}" for v in ARCFACE_112.ravel())
    lines = ["path,subject,gender," + ",".join(LANDMARK_COLUMNS)]
    for i, (image, s) in enumerate(zip(images, subjects, strict=True)):
        Image.fromarray(image).save(folder / f"{i:03d}.png")
        lines.append(f"{i:03d}.png,{s},{'woman' if s % 2 else 'man'},{points}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return folder / "manifest.csv"


def audit(kind: str, manifest: Path, out: Path, only: tuple[str, ...], **options: Any) -> RunRecord:
    """A run of one kind of black box on the same people."""
    if kind == "stored":
        images, subjects = identity_faces(PEOPLE, EACH, seed=2, within=0.35)
        model = StoredVectors("kept", luma_pattern(list(images)), np.ones(len(images), bool))
        faces = faces_of("kept", [f"{i:03d}.png" for i in range(len(images))], subjects)
        return run_vectors(faces, model, out, only=only, **options)
    if kind == "scorer":
        plan = AuditPlan("luma", str(manifest), only=only, params=SMALL, pictures="none")
        return run_scorer(prepare(plan, "luma-scorer:", out), **options)
    plan = AuditPlan("luma-box", str(manifest), only=only, pictures="none", judges=("luma-judge",))
    return run_plan(plan, out, **options)


KINDS = ("embedder", "stored", "scorer")
CLOSED = {"embedder": ["judge", "embedder"], "stored": [], "scorer": ["scorer"]}


@pytest.mark.parametrize(
    "error", [ValueError("no"), Strange("odd"), AssertionError(), DataError("this file"), StopIteration()]
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_failing_analysis_stops_nobody(
    kind: str, error: Exception, boxes: Boxes, plugin: Callable[..., str], manifest: Path, tmp_path: Path
) -> None:
    def run(context: Any, params: Any) -> Any:
        raise error

    name = plugin(run)
    record = audit(kind, manifest, tmp_path / "run", (name, "verification"))
    status = {r.name: r.status for r in record.results}
    assert status == {name: "failed", "verification": "done"}
    assert [f["analysis"] for f in record.failures] == [name]
    assert "Traceback" in record.failures[0]["traceback"]
    assert exit_code(record) == 7
    assert record.status == RunRecord.load(tmp_path / "run").status == "complete"
    assert (tmp_path / "run" / "scores.csv").is_file()
    assert boxes.closed == CLOSED[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_result_is_a_failure_of_its_analysis(
    kind: str, boxes: Boxes, plugin: Callable[..., str], manifest: Path, tmp_path: Path
) -> None:
    name = plugin(lambda context, params: "no result")
    record = audit(kind, manifest, tmp_path / "run", (name, "verification"))
    assert {r.name: r.status for r in record.results} == {name: "failed", "verification": "done"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_record_is_saved_after_every_step_and_an_interrupt_closes_the_boxes(
    kind: str, boxes: Boxes, plugin: Callable[..., str], manifest: Path, tmp_path: Path
) -> None:
    seen: list[dict[str, Any]] = []

    def run(context: Any, params: Any) -> Any:
        seen.append(json.loads((tmp_path / "run" / "run.json").read_text()))
        raise KeyboardInterrupt

    name = plugin(run, order=11)
    with pytest.raises(KeyboardInterrupt):
        audit(kind, manifest, tmp_path / "run", (name, "verification"))
    assert [r["name"] for r in seen[0]["results"]] == ["verification"]
    assert seen[0]["status"] == "incomplete"
    assert boxes.closed == CLOSED[kind]
    ANALYSES.unregister(name)
    # An incomplete run is replaced without --overwrite.
    assert audit(kind, manifest, tmp_path / "run", ("verification",)).status == "complete"


@pytest.mark.parametrize("kind", ["embedder", "scorer"])
def test_boxes_are_closed_where_the_folder_is_taken(
    kind: str, boxes: Boxes, manifest: Path, tmp_path: Path
) -> None:
    def taken_meanwhile(_faces: Any) -> None:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "mine.txt").write_text("mine")

    options: dict[str, Any] = {"fits": taken_meanwhile} if kind == "embedder" else {}
    if kind != "embedder":
        taken_meanwhile(None)
    with pytest.raises(UsageError, match="no run of fraudit"):
        audit(kind, manifest, tmp_path / "run", ("verification",), **options)
    assert boxes.closed == CLOSED[kind]


def test_boxes_are_closed_where_a_run_cannot_begin(boxes: Boxes, manifest: Path, tmp_path: Path) -> None:
    plan = AuditPlan("luma-box", str(manifest), only=("verification",), judges=("luma-box",))
    with pytest.raises(UsageError, match="is the audited model itself"):
        run_plan(plan, tmp_path / "run")
    assert boxes.closed == ["embedder", "embedder"]
    plan = AuditPlan("luma", str(manifest), only=("verification",), params=SMALL, pictures="none")
    with pytest.raises(UsageError, match="still"):
        prepare(replace(plan, params={}), "luma-scorer:", tmp_path / "run", 1)
    assert boxes.closed == ["embedder", "embedder", "scorer"]


@pytest.mark.parametrize(
    "error",
    [DataError("the line is dead"), PluginError("own code"), BudgetSpent("12 of 12 queries"), Strange("odd")],
)
def test_a_failing_scorer_stops_the_run_whatever_an_analysis_makes_of_it(
    error: Exception, boxes: Boxes, plugin: Callable[..., str], manifest: Path, tmp_path: Path
) -> None:
    def run(context: Any, params: Any) -> Any:
        boxes.dead = error
        try:
            context.scores.threshold(0.1)
        except Exception as found:
            raise ValueError("swallowed") from found

    name = plugin(run)
    with pytest.raises(type(error)) as raised:
        audit("scorer", manifest, tmp_path / "run", (name, "verification"))
    assert raised.value is error
    if not isinstance(error, Strange):
        assert "the same command goes on" in raised.value.hint
    assert boxes.closed == ["scorer"]
    assert RunRecord.load(tmp_path / "run").status == "incomplete"
    boxes.dead, before = None, boxes.asked
    ANALYSES.unregister(name)
    record = audit("scorer", manifest, tmp_path / "run", ("verification",))
    assert record.status == "complete"
    assert boxes.asked - before < before


def test_an_analysis_says_itself_what_it_would_ask(
    boxes: Boxes, plugin: Callable[..., str], manifest: Path, tmp_path: Path
) -> None:
    def run(context: Any, params: Any) -> AnalysisResult:
        rated = context.scores.rated()
        text = f"{int(np.sum(~np.isnan(rated.scores)))} of {len(rated.pairs)}"
        return AnalysisResult("toy", "Toy", headline=text, params={"own": 1})

    asking = plugin(run)
    vectors = plugin(run, asks=None)
    only = (asking, vectors)
    first, second = audit("scorer", manifest, tmp_path / "run", only).results
    assert first.headline == "120 of 120"
    assert first.params == {}  # as its questions state them
    assert (second.name, second.status, second.reason) == (vectors, "not_run", NEEDS_VECTORS)
    first, second = audit("embedder", manifest, tmp_path / "other", only).results
    assert [(r.status, r.params) for r in (first, second)] == [("done", {"own": 1})] * 2


def test_what_a_scorer_cannot_give_is_a_reason_and_no_failure(
    boxes: Boxes, plugin: Callable[..., str], manifest: Path, tmp_path: Path
) -> None:
    name = plugin(lambda context, params: context.embeddings())
    record = audit("scorer", manifest, tmp_path / "run", (name, "verification"))
    assert record.result(name).reason == NEEDS_VECTORS
    needing = plugin(lambda context, params: None, needs=("pictures",))
    assert audit("stored", manifest, tmp_path / "stored", (needing,)).result(needing).reason == NO_PICTURES


def test_a_parameter_of_asking_belongs_to_the_analysis_that_reads_it(
    boxes: Boxes, manifest: Path, tmp_path: Path
) -> None:
    def budget(only: tuple[str, ...], **more: str) -> Any:
        plan = AuditPlan("luma", str(manifest), only=only, params={"scorer": {**SMALL["scorer"], **more}})
        prepared = prepare(plan, "luma-scorer:", tmp_path / "run")
        prepared.boxes.close()
        return prepared.budget

    assert list(budget(("verification",), probes="4").parts) == ["verification", "threshold"]
    assert list(budget(("bias",)).parts) == ["pairs", "threshold", "bias"]
    few, many = (budget(("bias",), group_pairs=n).parts["bias"][0] for n in ("5", "20"))
    assert few < many
    with pytest.raises(UsageError, match="unknown parameter 'prboes'"):
        budget(("verification",), prboes="4")
    with pytest.raises(UsageError, match="has no attribute 'shoe'"):
        budget(("bias",), by="shoe")
    assert boxes.closed == ["scorer"] * 5


def chosen(**options: Any) -> list[str]:
    return [a.name for a in choose_analyses(AuditPlan("luma-box", **options))]


def test_an_analysis_on_request_is_part_of_an_audit_only_where_it_is_asked_for(
    plugin: Callable[..., str],
) -> None:
    def run(context: Any, params: Any) -> AnalysisResult:
        return AnalysisResult("toy", "toy", "done")

    name, two = plugin(run, on_request=True), plugin(run, on_request=True, needs=("other",))
    assert not {name, two} & set(chosen())
    assert name in chosen(only=(name,))
    assert name in chosen(params={name: {"level": 1}})
    assert two not in chosen(params={name: {}})
    assert {two} == {name, two} & set(chosen(other="luma-judge"))
    assert two not in chosen(other="luma-judge", skip=(two,))


@pytest.mark.parametrize("stored", [False, True])
def test_the_second_model_answers_for_the_same_faces_and_is_closed(
    stored: bool, boxes: Boxes, plugin: Callable[..., str], manifest: Path, tmp_path: Path
) -> None:
    seen: list[np.ndarray] = []

    def run(context: Any, params: Any) -> AnalysisResult:
        seen.append(context.embeddings(context.other).vectors)
        return AnalysisResult("toy", "toy", "done")

    name = plugin(run, needs=("other",), on_request=True, asks=None)
    first = audit("embedder", manifest, tmp_path / "first", ("verification",))
    boxes.closed.clear()
    other = str(tmp_path / "first") if stored else "luma-judge"
    plan = AuditPlan("luma-box", str(manifest), only=(name,), pictures="none", other=other)
    record = run_plan(plan, tmp_path / "run")
    assert [r.status for r in record.results] == ["done"]
    assert record.inputs["other"]["name"] == ("luma-box" if stored else "luma-judge")
    assert f"--other {other}" in plan.command()
    assert boxes.closed == (["embedder"] if stored else ["judge", "embedder"])
    if stored:
        kept = np.load(tmp_path / "first" / "vectors.npz")["vectors"]
        np.testing.assert_allclose(seen[0], kept, atol=1e-3)
    assert "other" not in first.inputs


def test_a_second_model_that_is_not_there(boxes: Boxes, manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"holds no vectors\.npz"):
        run_plan(AuditPlan("luma-box", str(manifest), other=str(tmp_path / "empty")), tmp_path / "run")
    with pytest.raises(UsageError, match="goes with --other"):
        run_plan(AuditPlan("luma-box", str(manifest), other_weights="w.onnx"), tmp_path / "run")


def test_parameters_of_what_does_not_run_are_told(
    plugin: Callable[..., str], manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(context: Any, params: Any) -> Any:
        raise InsufficientData("too few")

    name = plugin(run)
    plan = AuditPlan(
        "x",
        "y",
        only=("verification", name),
        params={"bias": {"level": 0.01, "fmr": 0.1}, name: {"limit": 1}},
    )
    results = (AnalysisResult("verification", "V"), AnalysisResult(name, "X", "not_run", "too few"))
    assert sorted(unused(plan, results)) == sorted(
        [
            "note: --param bias.level, bias.fmr are not used: bias does not run (it is no part of this audit)",
            f"note: --param {name}.limit is not used: {name} does not run (too few)",
        ]
    )


def test_what_cannot_run_is_said_before_the_first_analysis_takes_its_time(
    boxes: Boxes, plugin: Callable[..., str], manifest: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    late = plugin(lambda context, params: None, order=99, needs=("inverter",))
    reporter = Reporter(said.append, nowhere)
    record = audit("embedder", manifest, tmp_path / "run", ("verification", late), reporter=reporter)
    assert {r.name: r.status for r in record.results} == {"verification": "done", late: "not_run"}
    (why,) = [k for k, line in enumerate(said) if line.startswith(f"{late}: not run: ")]
    assert why < said.index("Verification ...")
