"""`fraudit analyze --vectors`: vectors that somebody has already, matched to the pictures of a set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fraudit.api import audit_vectors
from fraudit.audit.given_vectors import NO_INVERTER, NO_MODEL
from fraudit.audit.matching import ABSENT, match
from fraudit.cli.main import run
from fraudit.errors import DataError
from fraudit.faces.readers import LANDMARK_COLUMNS
from fraudit.files.vectors import read_given
from fraudit.report.record import RunRecord
from fraudit.types import ARCFACE_112
from tests.fixtures.boxes import face_set, identity_faces, luma_pattern

PEOPLE, EACH = 40, 4


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], np.ndarray]:
    """(manifest, ids, f32[N,64] vectors) of planted people in folders of their own."""
    folder = tmp_path_factory.mktemp("faces")
    images, subjects = identity_faces(PEOPLE, EACH, seed=3, within=0.6)
    points = ",".join(f"{v:.3f}" for v in ARCFACE_112.ravel())
    lines, ids = ["path,subject,gender," + ",".join(LANDMARK_COLUMNS)], []
    for i, (image, s) in enumerate(zip(images, subjects, strict=True)):
        ids.append(f"p{s:02d}/{i:03d}.png")
        (folder / f"p{s:02d}").mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / ids[-1])
        lines.append(f"{ids[-1]},{s},{'woman' if s % 2 else 'man'},{points}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return folder / "manifest.csv", ids, luma_pattern(list(images))


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FRAUDIT_CACHE", str(tmp_path / "cache"))


def save(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def analyze(manifest: Path, file: Path, out: Path, *more: str) -> int:
    return run(
        ["analyze", "--vectors", str(file), "--dataset", str(manifest), "--out", str(out), "--quiet", *more]
    )


def test_the_figures_are_those_of_the_model_that_made_the_vectors(people: Any, tmp_path: Path) -> None:
    manifest, _, _ = people
    model = ["--embedder", "python:tests.fixtures.boxes:luma_pattern", "--pictures", "none"]
    only = ["--only", "verification,bias,directions", "--param", "bias.fmr=0.01"]
    first, second = tmp_path / "first", tmp_path / "second"
    assert run(["analyze", *model, "--dataset", str(manifest), "--out", str(first), "--quiet", *only]) == 0
    assert analyze(manifest, first / "vectors.npz", second, *only) == 0
    one, other = RunRecord.load(first), RunRecord.load(second)
    assert [r.status for r in other.results] == ["done"] * 3
    figures = [
        {(m.name, m.group): (m.value, m.interval) for m in record.metrics()} for record in (one, other)
    ]
    assert figures[0] == figures[1]
    assert (first / "scores.csv").read_text() == (second / "scores.csv").read_text()
    assert other.inputs["embedder"]["name"] == one.inputs["embedder"]["name"]
    assert "--vectors" in other.environment["command"]


def test_what_needs_no_model_runs_and_the_rest_says_why_not(people: Any, tmp_path: Path) -> None:
    manifest, ids, vectors = people
    file = save(tmp_path / "mine.npz", ids=np.array(ids), vectors=vectors.astype(np.float64))
    quick = [
        "--param",
        "leakage.mlp=false",
        "--param",
        "leakage.targets=gender,blur",
        "--param",
        "leakage.folds=5",
    ]
    assert (
        analyze(manifest, file, tmp_path / "run", *quick, "--skip", "compression,conditions,identification")
        == 0
    )
    record = RunRecord.load(tmp_path / "run")
    why = {r.name: r.reason for r in record.results if r.status != "done"}
    assert why == {"doctor": NO_MODEL, "robustness": NO_MODEL, "inversion": NO_INVERTER}
    assert {r.name for r in record.results if r.status == "done"} == {
        "verification",
        "bias",
        "evidence",
        "quality",
        "leakage",
        "directions",
    }
    assert record.inputs["embedder"]["name"] == "mine"
    assert record.plan["vectors"] == str(file)
    assert not record.failures


def test_missing_and_unknown_ids_are_counted(people: Any, tmp_path: Path, capsys: Any) -> None:
    manifest, ids, vectors = people
    kept = [i for i in range(len(ids)) if i % 20]
    wrong = vectors[kept].copy()
    wrong[0], wrong[1, 3], wrong[2, 0] = 0, np.nan, np.inf
    names = [f"/somewhere/faces/{ids[i]}" for i in kept] + ["q/999.png", "p00/991.png"]
    # Longer paths and other endings are the same pictures; a picture of another person's folder is not.
    names[5] = names[5].replace(".png", ".jpg")
    names[-1] = "other/001.png"
    file = save(tmp_path / "v.npz", ids=np.array(names), vectors=np.vstack([wrong, vectors[:2]]))
    assert analyze(manifest, file, tmp_path / "run", "--only", "verification", "--dry-run") == 0
    found = json.loads(capsys.readouterr().out)["found"]
    assert (found["pictures"], found["with_vector"], found["unknown_ids"]) == (160, 149, 2)
    assert analyze(manifest, file, tmp_path / "run", "--only", "verification") == 0
    record = RunRecord.load(tmp_path / "run")
    assert record.inputs["dataset"]["fta"] == {ABSENT: 8, "the stored vector is zero or not finite": 3}
    assert record.inputs["dataset"]["left_out"] == {"vectors whose id names no picture of the set": 2}
    assert record.metric("verification.fta").value == pytest.approx(11 / 160)


def test_pairs_limit_and_parameters_work(people: Any, tmp_path: Path) -> None:
    manifest, ids, vectors = people
    rows = [f"{ids[4 * s]},{ids[4 * s + 1]},1" for s in range(40)]
    rows += [f"{ids[4 * s]},{ids[4 * s + 5]},0" for s in range(39)]
    (tmp_path / "pairs.csv").write_text("left,right,same\n" + "\n".join(rows) + "\n")
    file = save(tmp_path / "v.npz", ids=np.array(ids), vectors=vectors)
    more = [
        "--pairs",
        str(tmp_path / "pairs.csv"),
        "--only",
        "verification",
        "--param",
        "verification.fmrs=0.1",
    ]
    assert analyze(manifest, file, tmp_path / "run", *more) == 0
    record = RunRecord.load(tmp_path / "run")
    assert record.inputs["dataset"]["protocol_pairs"] == 79
    assert record.find("verification.fnmr@fmr=1e-1") is not None
    assert record.find("verification.fnmr@fmr=1e-2") is None
    assert analyze(manifest, file, tmp_path / "part", "--only", "verification", "--limit", "80") == 0
    part = RunRecord.load(tmp_path / "part")
    assert part.inputs["dataset"]["n_faces"] == 80
    assert part.inputs["dataset"]["left_out"] == {"pictures beyond --limit": 80}


def test_options_of_a_model_do_not_go_with_vectors(people: Any, tmp_path: Path, capsys: Any) -> None:
    manifest, ids, vectors = people
    file = save(tmp_path / "v.npz", ids=np.array(ids), vectors=vectors)
    for more in (
        ["--embedder", "dlib"],
        ["--judge", "dlib"],
        ["--weights", "w"],
        ["--scorer", "a.toml"],
        ["--max-queries", "3"],
        ["--pictures", "all"],
    ):
        assert analyze(manifest, file, tmp_path / "run", *more) == 2
        assert "--" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


IDS = np.array(["a.png", "b.png"])


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"vectors": np.ones((2, 4))}, "it has no `ids`, found vectors"),
        ({"ids": IDS}, "it has no `vectors`, found ids"),
        (
            {"ids": IDS, "vectors": np.ones((3, 4))},
            r"vectors of 2 ids, numbers \[N, D\], found float64\[3, 4\]",
        ),
        ({"ids": IDS, "vectors": np.ones(2)}, r"found float64\[2\]"),
        ({"ids": IDS, "vectors": np.array([["a"] * 3] * 2)}, r"found <U1\[2, 3\]"),
        ({"ids": IDS[[0, 0]], "vectors": np.ones((2, 4))}, "1 ids stand twice, the first is 'a.png'"),
        ({"ids": IDS[:0], "vectors": np.ones((0, 4))}, "expected ids as text"),
        ({"ids": np.array([1.5, 2.5]), "vectors": np.ones((2, 4))}, "expected ids as text"),
        ({"ids": IDS.astype(object), "vectors": np.ones((2, 4))}, "is no file of ID vectors"),
        ({"ids": IDS, "vectors": np.ones((2, 4)), "ok": np.ones(3, bool)}, "`ok` and `reasons` of 2 ids"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(arrays: dict[str, Any], expected: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=expected):
        read_given(save(tmp_path / "v.npz", **arrays))


def test_a_file_of_something_else_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "v.npz").write_text("no zip")
    with pytest.raises(DataError, match="is no file of ID vectors"):
        read_given(tmp_path / "v.npz")
    np.save(tmp_path / "v.npy", np.ones(3))
    with pytest.raises(DataError, match="is no file of ID vectors"):
        read_given(tmp_path / "v.npy")
    with pytest.raises(DataError):
        read_given(tmp_path / "absent.npz")
    with pytest.raises(DataError, match="is a folder"):
        read_given(tmp_path)


def test_ids_of_another_set_meet_nothing(tmp_path: Path) -> None:
    faces = face_set([np.zeros((8, 8, 3), np.uint8)] * 2, np.array([0, 1]))
    given = read_given(save(tmp_path / "v.npz", ids=IDS, vectors=np.ones((2, 4))))
    with pytest.raises(
        DataError, match=r"none of its 2 ids names a picture of 'planted': its first is 'a.png'"
    ):
        match(given, faces, tmp_path / "v.npz")
    both = np.array(["0/00000.png", "x/0/00000.png"])
    given = read_given(save(tmp_path / "w.npz", ids=both, vectors=np.ones((2, 4))))
    with pytest.raises(DataError, match="both name the picture"):
        match(given, faces, tmp_path / "w.npz")


def test_vectors_that_say_nothing_stop_with_one_line(people: Any, tmp_path: Path, capsys: Any) -> None:
    manifest, ids, vectors = people
    file = save(tmp_path / "v.npz", ids=np.array(ids), vectors=np.full_like(vectors, np.nan))
    assert analyze(manifest, file, tmp_path / "run") != 0
    assert "none of the 160 faces gave a vector" in capsys.readouterr().err


def test_vectors_in_memory_are_audited_as_those_of_a_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    people = np.repeat([f"p{i:02d}" for i in range(40)], 3)
    vectors = (
        rng.normal(size=(40, 16))[np.repeat(np.arange(40), 3)] + 0.4 * rng.normal(size=(120, 16))
    ).astype("f4")
    vectors[7] = 0
    run = audit_vectors(vectors, people, name="mine", only=["verification"], out=tmp_path / "run")
    assert run.record.inputs["embedder"]["name"] == "mine"
    assert run.record.inputs["dataset"]["n_subjects"] == 40
    eer = run.metrics.set_index("name").loc["verification.eer"]
    assert 0 <= eer["value"] < 0.1
    with pytest.raises(DataError, match=r"expected f32\[N,D\] of 119"):
        audit_vectors(vectors, people[:-1])
    with pytest.raises(DataError, match="'group' has 2 values, expected 120"):
        audit_vectors(vectors, people, attributes={"group": ["a", "b"]})
    vectors[3, 0] = np.nan
    with pytest.raises(DataError, match="row 3 is not finite"):
        audit_vectors(vectors, people)


def test_a_second_model_is_asked_and_a_plan_for_it_asks_nothing(
    people: Any, tmp_path: Path, capsys: Any
) -> None:
    manifest, ids, vectors = people
    file = save(tmp_path / "v.npz", ids=np.array(ids), vectors=vectors)
    other = ["--other", "python:tests.fixtures.boxes:luma_pattern", "--only", "twins,upgrade"]
    assert analyze(manifest, file, tmp_path / "run", *other, "--dry-run") == 0
    assert json.loads(capsys.readouterr().out)["found"]["not_run"] == {}
    assert (
        analyze(manifest, file, tmp_path / "run", "--other-weights", "w.onnx", "--only", "verification") == 2
    )
    assert "--other-weights goes with a second model" in capsys.readouterr().err
