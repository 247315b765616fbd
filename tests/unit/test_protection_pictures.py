"""Protection up to the picture: planted boxes whose inverter paints the vector back; and the command as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from fraudit.analyses.protection import Params, run
from fraudit.cli.main import app
from fraudit.faces.readers import LANDMARK_COLUMNS
from fraudit.types import ARCFACE_112, AnalysisResult, Metric
from tests.fixtures.boxes import identity_faces, luma_pattern
from tests.fixtures.contexts import planted_context, saved_pictures
from tests.fixtures.inverters import Painter

SCHEMES = ("projection", "iom:m=8:q=2", "identity")


def colours(images: np.ndarray) -> np.ndarray:
    """A judge u8[N,h,w,3] -> f32[N,64] that looks at colour alone, which the painter loses."""
    found = np.zeros((len(images), 64), np.float32)
    mean = images.reshape(len(images), -1, 3).mean(1)
    found[:, 0], found[:, 1], found[:, 2] = mean[:, 0] - mean[:, 1], mean[:, 1] - mean[:, 2], 1e-3
    return found


def context(**more: object):  # type: ignore[no-untyped-def]
    images, subjects = identity_faces(60, 2)
    return planted_context(images, subjects, judges=(colours,), inverter=Painter(), **more)  # type: ignore[arg-type]


def measured(
    faces: int, schemes: tuple[str, ...] = SCHEMES, **more: object
) -> tuple[AnalysisResult, set[str]]:
    given = context(**more)
    made = run(given, Params(schemes=schemes, faces=faces, learnt=300, mlp=False, fmr=0.02))
    return made, saved_pictures(given)


@pytest.fixture(scope="module")
def found() -> AnalysisResult:
    return measured(20, pictures="none")[0]


def metric(result: AnalysisResult, name: str) -> Metric:
    return next(m for m in result.metrics if m.name == f"protection.{name}")


def test_pictures_of_an_undone_rotation_are_the_person_to_the_audited_model(found: AnalysisResult) -> None:
    for scheme in ("projection", "identity"):
        shown = metric(found, f"{scheme}.picture_attack1_with_key.self")
        assert (shown.value, shown.n) == (1, 20)
        over = metric(found, f"{scheme}.picture_attack2_excess_with_key.self").interval
        assert over is not None
        assert over.low > 0.7


def test_a_judge_that_sees_what_the_pictures_lack_is_not_persuaded_and_is_the_one_that_counts(
    found: AnalysisResult,
) -> None:
    assert metric(found, "projection.picture_attack1_with_key.judge0").value == 0
    said = next(f.text for f in found.findings if f.rule == "protection.reversible")
    words = said.replace("\u202f", " ")
    assert "of 0 % of 20 pictures made of them judge0 says that it is the person" in words


def test_without_the_key_or_of_a_short_hash_no_picture_is_the_person(found: AnalysisResult) -> None:
    for name in (
        "projection.picture_attack1_excess_without_key.self",
        "iom_m_8_q_2.picture_attack1_excess_with_key.self",
    ):
        over = metric(found, name).interval
        assert over is not None
        assert over.low <= 0
    pictures = next(t for t in found.tables if t.name == "protection_pictures")
    assert len(pictures.rows) == 2 * (2 + 2 + 1)  # judges times attackers; identity has one


def test_pictures_are_shown_only_where_the_audit_may_show_them() -> None:
    hidden, files = measured(4, ("projection",), pictures="none")
    assert (hidden.galleries, files) == ((), set())
    shown, files = measured(4, ("projection",), pictures="all")
    assert shown.galleries[0].columns == ("source", "projection")
    assert len(files) == 8


def test_no_pictures_are_made_where_none_are_asked_for() -> None:
    result, _ = measured(0, ("projection",))
    assert not any("picture" in m.name for m in result.metrics)
    assert any("protection.faces is 0" in c for c in result.caveats)


# -- the command


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """60 people with two pictures each, and their vectors beside it, without any cache."""
    monkeypatch.setenv("FRAUDIT_CACHE", str(tmp_path / "cache"))
    images, subjects = identity_faces(60, 2)
    points = ",".join(f"{v:.3f}" for v in ARCFACE_112.ravel())
    folder, rows = tmp_path / "people", ["path,subject," + ",".join(LANDMARK_COLUMNS)]
    folder.mkdir()
    for i, (image, subject) in enumerate(zip(images, subjects, strict=True)):
        cv2.imwrite(str(folder / f"{i:03d}.png"), image[..., ::-1])
        rows.append(f"{i:03d}.png,p{subject},{points}")
    (folder / "manifest.csv").write_text("\n".join(rows))
    names = [f"{i:03d}.png" for i in range(len(images))]
    np.savez(tmp_path / "mine.npz", ids=np.array(names), vectors=luma_pattern(list(images)))
    return folder / "manifest.csv"


def command(*more: str):  # type: ignore[no-untyped-def]
    return CliRunner().invoke(app, ["protection", *more])


def results(out: Path) -> dict[str, float | None]:
    told = json.loads((out / "run.json").read_text(encoding="utf-8"))
    one = next(r for r in told["results"] if r["name"] == "protection")
    return {m["name"]: m["value"] for m in one["metrics"]}


def test_the_command_over_stored_vectors_and_over_the_model_says_the_same(
    manifest: Path, tmp_path: Path
) -> None:
    asked = ["--scheme", "projection,int8", "--fmr", "0.02", "--dataset", str(manifest)]
    vectors = ["--vectors", str(tmp_path / "mine.npz"), "--out", str(tmp_path / "one")]
    answer = command(*vectors, *asked)
    assert answer.exit_code == 0, answer.output
    assert "1 (projection) can be reversed with the key" in " ".join(answer.output.split())
    model = ["--embedder", "python:tests.fixtures.boxes:luma_pattern", "--faces", "0"]
    answer = command(*model, *asked, "--out", str(tmp_path / "two"))
    assert answer.exit_code == 0, answer.output
    one, two = results(tmp_path / "one"), results(tmp_path / "two")
    assert one.keys() == two.keys()
    assert one["protection.projection.vector_attack1_with_key"] == 1
    for name, value in one.items():
        assert two[name] == pytest.approx(value, abs=0.05), name


def test_another_key_gives_other_templates(manifest: Path, tmp_path: Path) -> None:
    asked = ["--vectors", str(tmp_path / "mine.npz"), "--dataset", str(manifest), "--fmr", "0.02"]
    for key in ("1", "2"):
        answer = command(*asked, "--scheme", "biohashing:bits=16", "--key", key, "--out", str(tmp_path / key))
        assert answer.exit_code == 0, answer.output
    name = "protection.biohashing_bits_16.eer_same_key"
    assert results(tmp_path / "1")[name] != results(tmp_path / "2")[name]
