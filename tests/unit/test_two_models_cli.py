"""`fraudit upgrade` and `fraudit linkability` over stored vectors, from the command line to the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fraudit.cli.main import run
from fraudit.faces.readers import LANDMARK_COLUMNS
from fraudit.report.record import RunRecord
from fraudit.types import ARCFACE_112
from tests.fixtures.boxes import identity_faces, luma_pattern
from tests.fixtures.http_server import Server, server  # noqa: F401

PEOPLE, EACH, DIM = 90, 3, 16
POINT = {"upgrade": "fmr=0.1", "linkability": "fpir=0.3"}


def picture_set(folder: Path, people: int) -> tuple[Path, list[str]]:
    """(manifest, ids) of grey pictures that show nobody."""
    points = ",".join(f"{v:.3f}" for v in ARCFACE_112.ravel())
    lines, ids = ["path,subject," + ",".join(LANDMARK_COLUMNS)], []
    folder.mkdir(parents=True)
    for i in range(people * EACH):
        ids.append(f"p{i // EACH:02d}_{i:03d}.png")
        Image.fromarray(np.full((16, 16, 3), i % 250, np.uint8)).save(folder / ids[-1])
        lines.append(f"{ids[-1]},{i // EACH},{points}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return folder / "manifest.csv", ids


def save(path: Path, ids: list[str], vectors: np.ndarray) -> str:
    np.savez(path, ids=np.array(ids), vectors=vectors.astype(np.float32))
    return str(path)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    """(manifest, vectors, the same ones turned and without those of the last two pictures)."""
    folder = tmp_path_factory.mktemp("two")
    manifest, ids = picture_set(folder / "faces", PEOPLE)
    rng = np.random.default_rng(4)
    first = rng.normal(size=(PEOPLE, DIM))[np.arange(len(ids)) // EACH] + 0.3 * rng.normal(
        size=(len(ids), DIM)
    )
    turn = np.linalg.qr(rng.normal(size=(DIM, DIM)))[0]
    return (
        str(manifest),
        save(folder / "first.npz", ids, first),
        save(folder / "second.npz", ids[:-2], (first @ turn)[:-2]),
    )


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FRAUDIT_CACHE", str(tmp_path / "cache"))


def command(name: str, first: str, second: str, manifest: str, out: Path, *more: str) -> int:
    models = ["--old", first, "--new", second] if name == "upgrade" else [first, second]
    return run([name, *models, "--dataset", manifest, "--out", str(out), *more])


def test_an_upgrade_by_a_rotation_loses_nothing_and_says_what_was_left_out(
    planted: Any, tmp_path: Path, capsys: Any
) -> None:
    manifest, first, second = planted
    more = ["--param", "upgrade.pairs=50", "--param", "upgrade.fmr=0.1", "--json"]
    assert command("upgrade", first, second, manifest, tmp_path / "run", *more) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["analyses"] == {"upgrade": "done"}
    assert "Old enrolments translated by" in told["findings"][0]["text"]
    record = RunRecord.load(tmp_path / "run")
    (result,) = record.results
    assert "2 of 270 faces have no vector" in result.caveats[0]
    assert "second (second): the file has no vector of this picture (2)" in result.caveats[0]
    loss = next(
        m for m in record.metrics() if m.name.startswith("upgrade.translated.n=") and ".loss@" in m.name
    )
    assert loss.value == pytest.approx(0, abs=0.05)
    page = Path(told["report"]).read_text()
    assert "for this draw of known pictures" in page


def test_two_databases_of_runs_are_linked(planted: Any, tmp_path: Path, capsys: Any) -> None:
    manifest, *files = planted
    runs = []
    for i, file in enumerate(files):
        runs.append(str(tmp_path / f"run{i}"))
        given = ["--vectors", file, "--dataset", manifest, "--out", runs[-1], "--quiet"]
        assert run(["analyze", *given, "--only", "verification"]) == 0
    assert command("linkability", *runs, manifest, tmp_path / "run", "--param", "linkability.pairs=50") == 0
    assert (
        "[high] Who is in leaked databases of both first and second can be linked" in capsys.readouterr().out
    )
    record = RunRecord.load(tmp_path / "run")
    assert [r.status for r in record.results] == ["done"]
    assert record.inputs["embedder"]["name"] == "first"
    assert (tmp_path / "run" / "report" / "index.html").is_file()


@pytest.mark.parametrize("name", ["upgrade", "linkability"])
def test_stored_vectors_go_with_a_model_that_is_asked_on_either_side(
    name: str, tmp_path: Path, capsys: Any
) -> None:
    images, subjects = identity_faces(60, EACH, seed=3, within=0.6)
    points = ",".join(f"{v:.3f}" for v in ARCFACE_112.ravel())
    lines, ids = ["path,subject," + ",".join(LANDMARK_COLUMNS)], []
    for i, (image, s) in enumerate(zip(images, subjects, strict=True)):
        ids.append(f"{i:03d}.png")
        Image.fromarray(image).save(tmp_path / ids[-1])
        lines.append(f"{ids[-1]},{s},{points}")
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("\n".join(lines) + "\n")
    vectors = luma_pattern(list(images))
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(vectors.shape[1],) * 2))[0]
    stored, model = (
        save(tmp_path / "stored.npz", ids, vectors @ turn),
        "python:tests.fixtures.boxes:luma_pattern",
    )
    more = ["--param", f"{name}.pairs=50", "--param", f"{name}.{POINT[name]}", "--quiet"]
    for at, models in enumerate(((stored, model), (model, stored))):
        out = tmp_path / f"run{at}"
        assert command(name, *models, str(manifest), out, *more) == 0, capsys.readouterr().err
        record = RunRecord.load(out)
        assert [r.status for r in record.results] == ["done"], record.results[0].reason
        sides = [record.inputs[side] for side in ("embedder", "other")]
        asked = sides[1 - at]
        assert (sides[at]["name"], sides[at]["queries"]) == ("stored", 0)
        assert "luma_pattern" in asked["name"]
        assert asked["queries"] == len(ids)


def test_a_service_that_fails_as_second_model_is_said_before_the_first_is_asked(
    planted: Any,
    tmp_path: Path,
    capsys: Any,
    server: Server,  # noqa: F811
) -> None:
    manifest, _, _ = planted
    server.script = [(400, {}, b"closed for today")]
    card = tmp_path / "card.toml"
    card.write_text(
        f'kind = "http"\nname = "remote"\nurl = "{server.url}"\nsize = [16, 16]\ntemplate = "arcface-112"\n'
        'dim = 3\nresponse = "embeddings"\nretries = 0\n'
    )
    model = "python:tests.fixtures.boxes:luma_pattern"
    assert command("upgrade", model, str(card), manifest, tmp_path / "run") == 5
    said = capsys.readouterr().err
    assert "error: remote: it answers 400: " in said
    assert "embedding with" not in said
    assert len(server.seen) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["upgrade", "linkability"])
def test_bad_input_is_one_clear_line(name: str, planted: Any, tmp_path: Path, capsys: Any) -> None:
    manifest, first, second = planted
    ids = [f"x{i}.png" for i in range(6)]
    foreign = save(tmp_path / "foreign.npz", ids, np.ones((6, DIM)))
    (tmp_path / "empty").mkdir()
    for models, expected in (
        ((first, first), f"expected two models, found '{first}' twice"),
        ((first, str(tmp_path / "absent.npz")), "absent.npz"),
        ((str(tmp_path / "absent.npz"), second), "absent.npz"),
        ((first, str(tmp_path / "empty")), "the folder holds no vectors.npz"),
        ((first, foreign), "none of its 6 ids names a picture"),
        ((foreign, first), "none of its 6 ids names a picture"),
        ((first, "nosuchmodel"), "nosuchmodel"),
        (("dlib", "dlib"), "expected two models, found 'dlib' twice"),
        (("nosuchmodel", first), "nosuchmodel"),
    ):
        assert command(name, *models, manifest, tmp_path / "run") != 0
        said = capsys.readouterr().err
        assert expected in said, said
        assert "Traceback" not in said
        assert len([line for line in said.splitlines() if line.startswith("error")]) == 1, said
        assert not (tmp_path / "run" / "run.json").exists()


@pytest.mark.parametrize("name", ["upgrade", "linkability"])
def test_few_people_are_refused_in_one_line(name: str, tmp_path: Path, capsys: Any) -> None:
    manifest, ids = picture_set(tmp_path / "faces", 49)
    rng = np.random.default_rng(5)
    files = [save(tmp_path / f"{i}.npz", ids, rng.normal(size=(len(ids), DIM))) for i in range(2)]
    assert command(name, *files, str(manifest), tmp_path / "run", "--quiet") == 5
    said = capsys.readouterr().err.splitlines()
    assert "50 people with two pictures that both models give a vector for; found 49" in said[-2]
    assert said[-2].startswith(f"error: {name} was not run: ")
    assert said[-1].startswith("hint: ")
    assert len(said) == 2


def test_copied_vectors_are_no_second_model(planted: Any, tmp_path: Path, capsys: Any) -> None:
    manifest, first, _ = planted
    copy = tmp_path / "copy.npz"
    copy.write_bytes(Path(first).read_bytes())
    assert command("upgrade", first, str(copy), manifest, tmp_path / "up", "--quiet") == 5
    assert "same vectors of every face: there is nothing to upgrade" in capsys.readouterr().err
    quick = ["--param", "linkability.pairs=0,50", "--quiet"]
    assert command("linkability", first, str(copy), manifest, tmp_path / "link", *quick) == 0
    assert "two databases of one model" in RunRecord.load(tmp_path / "link").results[0].caveats[0]


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("card", "{}"), "expected an ONNX file, found a folder", "name the model's .onnx file"),
        (("card", "{}/none.onnx"), "error: no model file {}/none.onnx", "check the path"),
        (
            ("gate", "--rules", "{}/none.toml", "--new", "x"),
            "none.toml: No such file",
            "--rules names a TOML",
        ),
        (("protection", "--embedder", "dlib", "--key", "-1"), "error: --key: expected", "protection --help"),
        (("protection", "--embedder", "dlib", "--fmr", "2"), "error: --fmr: expected", "protection --help"),
        (
            ("protection", "--embedder", "dlib", "--faces", "-1"),
            "error: --faces: expected",
            "protection --help",
        ),
    ],
)
def test_a_wrong_path_or_option_is_named_once_with_a_hint_that_fits(
    arguments: tuple[str, ...], message: str, hint: str, tmp_path: Path, capsys: Any
) -> None:
    assert run([part.format(tmp_path) for part in arguments]) in (2, 6)
    first, second = capsys.readouterr().err.splitlines()
    assert message.format(tmp_path) in first
    assert hint in second
    assert first.count("none.onnx") <= 1
