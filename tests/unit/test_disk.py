"""Full and read-only disks, damaged caches, interruptions and a person's own code that fails: said as what they are."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fraudit.cli.main import run
from fraudit.errors import ArtifactError
from fraudit.files.store import Store
from fraudit.files.tables import VectorCache
from fraudit.scorers.loading import ScoreCache

ROOT = Path(__file__).resolve().parents[2]
VECTOR = np.arange(3, dtype=np.float32)


def command(*arguments: str, shell: str = "exec", **more: str) -> subprocess.CompletedProcess[str]:
    """fraudit in a process of its own, started by a shell line that may limit it first."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **more}
    line = f'{shell} "$0" -m fraudit.cli.main "$@"'
    return subprocess.run(
        ["sh", "-c", line, sys.executable, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )


def one_error(found: subprocess.CompletedProcess[str], code: int) -> str:
    """Its one line of error, where it ended with `code` and called nothing a bug."""
    assert found.returncode == code, found.stderr
    lines = [line for line in found.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, found.stderr
    assert "a bug" not in lines[0]
    return lines[0]


def test_a_limit_on_file_sizes_is_no_bug(tmp_path: Path) -> None:
    arguments = [
        "embed",
        "--embedder",
        "dlib",
        "--images",
        "sample",
        "--out",
        str(tmp_path / "o.npz"),
        "--quiet",
    ]
    found = command(*arguments, shell="ulimit -f 8; exec", FRAUDIT_CACHE=str(tmp_path / "cache"))
    said = one_error(found, 6)
    assert "cannot be written" in said or "no space left" in said
    assert not list(tmp_path.glob("*.npz"))


def read_only(folder: Path) -> bool:
    """Whether a folder could be made read-only for this person (root writes everywhere)."""
    folder.chmod(0o500)
    try:
        (folder / "probe").write_text("x")
    except OSError:
        return True
    (folder / "probe").unlink()
    return False


def test_a_filled_cache_on_a_read_only_disk_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    VectorCache(folder / "v.sqlite", "me").put({"a": VECTOR})
    scores = ScoreCache(folder / "s.sqlite")
    scores.put({"a": 0.5})
    scores.close()
    with sqlite3.connect(folder / "v.sqlite") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for path in folder.iterdir():
        path.chmod(0o400)
    if not read_only(folder):
        pytest.skip("root writes to every folder")
    cache = VectorCache(folder / "v.sqlite", "me")
    assert cache.get(["a"])["a"].tolist() == [0, 1, 2]
    cache.put({"b": VECTOR})
    assert list(cache.get(["a", "b"])) == ["a"]
    assert ScoreCache(folder / "s.sqlite").get(["a"]) == {"a": 0.5}


def test_where_no_cache_can_be_made_everything_goes_on_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file where the folder should be")
    cache = VectorCache(tmp_path / "file" / "v.sqlite", "me")
    cache.put({"a": VECTOR})
    assert cache.get(["a"]) == {}
    assert len(cache) == 0
    store = Store(tmp_path / "file")
    assert store.arrays("k", {}, lambda: {"x": VECTOR})["x"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("damage", ["text", "schema", "cell", "pages", "folder"])
def test_a_damaged_cache_is_an_error_that_says_what_to_delete(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "v.sqlite"
    if damage == "text":
        path.write_text("no database at all, but long enough to look at" * 20)
    elif damage == "folder":
        path.mkdir()
    else:
        cache = VectorCache(path, "me")
        cache.put({str(i): np.ones(200, np.float32) for i in range(300)})
        cache.close()
        db = sqlite3.connect(path)
        if damage == "schema":
            db.execute("DROP TABLE vectors")
            db.execute("CREATE TABLE vectors (other TEXT)")
        if damage == "cell":
            db.execute("UPDATE vectors SET vector = 'text'")
        db.commit()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        if damage == "pages":
            blob = bytearray(path.read_bytes())
            blob[5000:] = os.urandom(len(blob) - 5000)
            path.write_bytes(blob)

    def use() -> None:
        cache = VectorCache(path, "me")
        cache.get(["0", "7"])
        cache.put({"new": VECTOR})

    with pytest.raises(ArtifactError, match=r"v\.sqlite") as failed:
        use()
    assert failed.value.hint


OWN = """
import numpy as np


def helper(x):
    return 1 / x


def divides(images):
    return helper(0)


def leaves(images):
    raise SystemExit(3)


def odd(images):
    class Odd(Exception):
        pass
    raise Odd("strange\\nthing")


def score(lefts, rights):
    raise KeyError("weights")


def endless(lefts, rights):
    return [10 ** 400] * len(lefts)
"""


@pytest.mark.parametrize(
    ("target", "said", "line"),
    [
        ("own_code:divides", "ZeroDivisionError: division by zero", "line 6: return 1 / x"),
        ("own_code:leaves", "SystemExit: 3", "line 14: raise SystemExit(3)"),
        ("own_code:odd", "Odd: strange thing", 'line 20: raise Odd("strange'),
        ("broken_code:any", "SyntaxError", "line 1: def"),
        ("raising_code:any", "ValueError: at import", "line 2: raise ValueError"),
    ],
)
def test_an_error_in_a_persons_own_code_is_named_with_its_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    target: str,
    said: str,
    line: str,
) -> None:
    (tmp_path / "own_code.py").write_text(OWN)
    (tmp_path / "broken_code.py").write_text("def (:\n")
    (tmp_path / "raising_code.py").write_text("\nraise ValueError('at import')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run(["embed", "--embedder", f"python:{target}", "--images", "sample", "--out", "o.npz"]) == 4
    err = capsys.readouterr().err
    assert said in err
    assert f"{target.partition(':')[0]}.py, {line}" in err
    sys.modules.pop("own_code", None)


def test_a_persons_own_scorer_that_fails_is_named_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own_scorer.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, code, said in (
        ("score", 4, "own_scorer.py, line 24"),
        ("endless", 5, "expected a list of numbers"),
    ):
        arguments = [
            "analyze",
            "--scorer",
            f"python:own_scorer:{name}",
            "--limit",
            "120",
            "--only",
            "verification",
        ]
        assert run([*arguments, "--out", f"run-{name}"]) == code
        assert said in capsys.readouterr().err
    sys.modules.pop("own_scorer", None)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_says_in_one_line_what_is_kept_and_how_to_go_on(tmp_path: Path, number: int) -> None:
    (tmp_path / "slow_box.py").write_text(
        "import time, pathlib\n\n\ndef embed(images):\n    pathlib.Path('asked').touch()\n    time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    arguments = ["embed", "--embedder", "python:slow_box:embed", "--images", "sample", "--out", "o.npz"]
    process = subprocess.Popen(
        [sys.executable, "-m", "fraudit.cli.main", *arguments],
        cwd=tmp_path,
        env=environment,
        text=True,
        stderr=subprocess.PIPE,
    )
    until = time.monotonic() + 60
    while not (tmp_path / "asked").exists() and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(number)
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + number
    assert len(err.strip().splitlines()) == 1
    assert "what the black box answered is kept" in err
    assert "the same command goes on from there" in err
