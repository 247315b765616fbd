"""The scheme of docs/protection.md works as it stands, as an installed package's plugin; so do its refusals."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

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


def install(site: Path, code: str) -> None:
    """The page's scheme as a package of somebody else's, with `code` in its file."""
    package = site / "my_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "signs.py").write_text(code)
    info = site / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[fraudit.protections]\n{example()[1]}\n")


def protect(tmp_path: Path, code: str) -> subprocess.CompletedProcess[str]:
    """`fraudit protection` over planted vectors of people p0 .. p59, two pictures each."""
    install(tmp_path / "site", code)
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
    command = [sys.executable, "-m", "fraudit.cli.main", "protection", "--scheme", "signs", "--fmr", "0.02"]
    command += ["--vectors", str(tmp_path / "v.npz"), "--dataset", str(faces / "manifest.csv")]
    command += ["--out", str(tmp_path / "run")]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)


def test_the_pages_scheme_runs(tmp_path: Path) -> None:
    answer = protect(tmp_path, example()[0])
    assert answer.returncode == 0, answer.stderr
    told = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    result = next(r for r in told["results"] if r["name"] == "protection")
    assert result["status"] == "done"
    values = {m["name"]: m["value"] for m in result["metrics"]}
    # Signs of a vector, whose order and flips the key's owner knows: near sqrt(2 / pi) of even vectors.
    assert 0.6 < values["protection.signs.cosine_with_key"] < 0.95
    assert values["protection.signs.d_sys"] < 0.2


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ("vectors * np.nan", "not all of it finite"),
        ("vectors[:1, :3]", "answered (1, 3) for "),
        ("vectors[:, 0]", "expected ["),
    ],
)
def test_a_scheme_that_answers_something_else_is_told_in_one_line(
    made: str, words: str, tmp_path: Path
) -> None:
    broken = f'SIGNS = ProtectionPlugin("signs", "broken", lambda vectors, key: {made}, equal_share)\n'
    said = protect(tmp_path, f"{example()[0]}\n\n{broken}")
    assert said.returncode not in (0, 70), said.stderr
    lines = [line for line in said.stderr.splitlines() if "the protection scheme 'signs'" in line]
    assert len(lines) == 1, said.stderr
    assert words in lines[0]
    assert "Traceback" not in said.stderr
