"""The scheme of docs/protection.md works as it stands, as an installed package's plugin; so do its refusals."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from fraudit.types import unit_rows
from tests.fixtures.boxes import identity_faces, luma_pattern

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "protection.md").read_text(encoding="utf-8")


def example() -> tuple[str, str]:
    """(the page's file, its line of entry points)."""
    file = re.search(r"```python\n# my_package/signs\.py\n(.*?)```", PAGE, re.S)
    line = re.search(r'entry-points\."fraudit\.protections"\]\n(signs = "my_package\.signs:SIGNS")', PAGE)
    assert file
    assert line
    return file[1], line[1].replace('"', "")


def install(site: Path, code: str, lines: tuple[str, ...]) -> None:
    """The page's scheme as a package of somebody else's, with `code` in its file and these entry points."""
    package = site / "my_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "signs.py").write_text(code)
    info = site / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join(["[fraudit.protections]", *lines, ""]))


def fraudit(tmp_path: Path, *commands: list[str]) -> list[tuple[int, str]]:
    """(exit code, its errors) of each command over planted vectors of people p0 .. p59, two pictures each."""
    images, subjects = identity_faces(60, 2, side=16)
    faces, rows = tmp_path / "faces", ["path,subject"]
    faces.mkdir()
    for i, subject in enumerate(subjects):
        (faces / f"{i:03d}.png").write_bytes(b"")
        rows.append(f"{i:03d}.png,p{subject}")
    (faces / "manifest.csv").write_text("\n".join(rows))
    names = [f"{i:03d}.png" for i in range(len(images))]
    np.savez(tmp_path / "v.npz", ids=np.array(names), vectors=unit_rows(luma_pattern(images)))
    path = os.pathsep.join(filter(None, [str(tmp_path / "site"), os.environ.get("PYTHONPATH")]))
    env = {**os.environ, "PYTHONPATH": path, "FRAUDIT_CACHE": str(tmp_path / "cache")}
    data = ["--vectors", str(tmp_path / "v.npz"), "--dataset", str(faces / "manifest.csv")]
    said = []
    code = (
        "import json, sys\nfrom fraudit.cli.main import run\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    print('exit', run(words), file=sys.stderr)\n"
    )
    words = [[*command, *data] for command in commands]
    command = [sys.executable, "-c", code, json.dumps(words)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)
    rest = done.stderr
    for part in re.finditer(r"(.*?)^exit (\d+)$", rest, re.S | re.M):
        said.append((int(part[2]), part[1]))
    assert len(said) == len(commands), rest
    return said


def test_the_pages_scheme_runs(tmp_path: Path) -> None:
    code, line = example()
    install(tmp_path / "site", code, (line,))
    fast = ["--param", "protection.mlp=false", "--param", "protection.learnt=1000"]
    ask = ["--only", "protection", "--param", "protection.schemes=signs", "--param", "protection.fmr=0.02"]
    ((answer, errors),) = fraudit(tmp_path, ["analyze", *ask, *fast, "--out", str(tmp_path / "run")])
    assert answer == 0, errors
    told = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    result = next(r for r in told["results"] if r["name"] == "protection")
    assert result["status"] == "done"
    values = {m["name"]: m["value"] for m in result["metrics"]}
    # Signs of a vector, whose order and flips the key's owner knows: near sqrt(2 / pi) of even vectors.
    assert 0.6 < values["protection.signs.cosine_with_key"] < 0.95
    assert values["protection.signs.d_sys"] < 0.2


def test_schemes_that_answer_something_else_are_told_in_one_line_each(tmp_path: Path) -> None:
    broken = (
        ("nans", "vectors * np.nan", "not all of it finite"),
        ("short", "vectors[:1, :3]", "answered (1, 3) for "),
        ("flat", "vectors[:, 0]", "expected ["),
    )
    made = [
        f'{name.upper()} = ProtectionPlugin("{name}", "broken", lambda vectors, key: {answer}, equal_share)'
        for name, answer, _ in broken
    ]
    lines = tuple(f"{name} = my_package.signs:{name.upper()}" for name, _, _ in broken)
    install(tmp_path / "site", "\n".join([example()[0], "", *made, ""]), lines)
    asked = [
        ["protection", "--scheme", name, "--fmr", "0.02", "--out", str(tmp_path / name)]
        for name, _, _ in broken
    ]
    for (name, _, words), (code, errors) in zip(broken, fraudit(tmp_path, *asked), strict=True):
        assert code not in (0, 70), errors
        told = [line for line in errors.splitlines() if f"the protection scheme '{name}'" in line]
        assert len(told) == 1, errors
        assert words in told[0]
        assert "Traceback" not in errors
