"""Whatever is wrong with a file, the answer is an error of a kind (exit 2 to 7), never `a bug`."""

from __future__ import annotations

import contextlib
import copy
import json
import random
import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fraudit.audit.stored_vectors import StoredVectors, faces_of, run_vectors
from fraudit.cli.main import run
from fraudit.embedding.loading import load_embedder
from fraudit.errors import FrauditError
from fraudit.inverters.loading import load_inverter
from fraudit.types import LoadedEmbedder
from tests.fixtures.planted import people_vectors

ODD = ["x", 1.5, None, [1, "a", None], {"a": 1}, True, -1, 10**400, "", [[]], {}, "\x1b[0m", 1e308]


def places(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a JSON document can be changed."""
    if here:
        yield here
    children = (
        value.items() if isinstance(value, dict) else enumerate(value[:6]) if isinstance(value, list) else ()
    )
    for key, child in children:
        yield from places(child, (*here, key))


def changed(document: Any, rng: random.Random) -> Any:
    """A copy with a value or two of another type, or missing."""
    found = copy.deepcopy(document)
    for place in rng.sample(list(places(found)), rng.choice([1, 1, 2])):
        node = found
        for key in place[:-1]:
            node = node[key] if isinstance(node, dict | list) else {}
        if isinstance(node, dict) and place[-1] in node and rng.random() < 0.25:
            del node[place[-1]]
        elif isinstance(node, dict) or (isinstance(node, list) and place[-1] < len(node)):
            node[place[-1]] = rng.choice(ODD)
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of planted vectors and its baseline beside it."""
    folder = tmp_path_factory.mktemp("fuzz")
    true, nuisance, subjects = people_vectors(np.random.default_rng(3), 60, 3, within=0.45)
    vectors = (true + nuisance).astype(np.float32)
    ids = [f"{s:04d}/{i:05d}.png" for i, s in enumerate(subjects)]
    faces = faces_of("planted", ids, subjects, {"gender": np.where(subjects % 2, "woman", "man")})
    run_vectors(
        faces,
        StoredVectors("box", vectors, np.ones(len(vectors), bool)),
        folder / "run",
        params={"bias": {"by": ("gender",), "fmr": 1e-2}},
    )
    assert run(["baseline", str(folder / "run"), "--out", str(folder / "b.json")]) == 0
    (folder / "gate.toml").write_text('[rules]\n"accuracy" = { max_decrease = 0.02 }\n')
    return folder


def no_bug(capsys: pytest.CaptureFixture[str], *arguments: object) -> None:
    """Runs a command; it may refuse, and must not call its input a bug of ours."""
    code = run([str(one) for one in arguments])
    err = capsys.readouterr().err
    assert code in (0, 1, 2, 3, 4, 5, 6, 7), err
    assert err.count("error: ") == (1 if code in (2, 4, 5, 6) else 0), err


@pytest.mark.parametrize("seed", range(12))
def test_a_fuzzed_record_and_a_fuzzed_baseline(finished: Path, tmp_path: Path, capsys, seed: int) -> None:
    rng, good = random.Random(seed), finished / "run"
    bad, frozen = tmp_path / "runs" / "bad", tmp_path / "b.json"
    shutil.copytree(good, bad)
    (bad / "run.json").write_text(json.dumps(changed(json.loads((good / "run.json").read_text()), rng)))
    frozen.write_text(json.dumps(changed(json.loads((finished / "b.json").read_text()), rng)))
    for arguments in (
        ("render", bad),
        ("show", bad, "--all"),
        ("runs", bad.parent),
        ("baseline", bad),
        ("compare", good, bad, "--out", tmp_path / "one"),
        ("compare", frozen, good, "--out", tmp_path / "two"),
        ("gate", "--base", frozen, "--new", good, "--rules", finished / "gate.toml"),
    ):
        no_bug(capsys, *arguments)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", ["scores.csv", "vectors.npz", "run.json"])
def test_a_run_with_damaged_bytes(finished: Path, tmp_path: Path, capsys, seed: int, name: str) -> None:
    rng, bad = random.Random(seed), tmp_path / "bad"
    shutil.copytree(finished / "run", bad)
    data = bytearray((bad / name).read_bytes())
    for _ in range(rng.choice([1, 3, 30])):
        data[rng.randrange(len(data))] = rng.randrange(256)
    (bad / name).write_bytes(data[: rng.choice([len(data), rng.randrange(len(data))])])
    no_bug(capsys, "baseline", bad)
    no_bug(capsys, "scores", bad / "scores.csv")


@pytest.fixture(scope="module")
def dlib() -> LoadedEmbedder:
    pytest.importorskip("torch")
    return load_embedder("dlib")


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kind", ["linear-dlib", "id3pm-dlib", "nbnet-dlib"])
def test_an_inverters_fuzzed_card(tmp_path: Path, seed: int, kind: str, dlib: LoadedEmbedder) -> None:
    source = Path(str(files("fraudit") / "data" / "inverters" / kind))
    card = json.loads((source / "card.json").read_text())
    folder = tmp_path / "inverter"
    folder.mkdir()
    for path in source.iterdir():
        (folder / path.name).symlink_to(path)
    (folder / "card.json").unlink()
    (folder / "card.json").write_text(json.dumps(changed(card, random.Random(seed))))
    with contextlib.suppress(FrauditError):
        load_inverter(folder, dlib)
