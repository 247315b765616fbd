"""The whole examples of docs/architecture.md work as they stand: an analysis package and a corruption."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from fraudit.perturb.base import Corruption

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```python\n# (fraudit/[\w/]+\.py)\n(.*?)```", PAGE, re.S))


def install_toy(site: Path) -> None:
    """The page's analysis as a package of somebody else's, `my_package.toy` for `fraudit.analyses.toy`."""
    package = site / "my_package" / "toy"
    package.mkdir(parents=True)
    (site / "my_package" / "__init__.py").write_text("")
    for path, text in FILES.items():
        if path.startswith("fraudit/analyses/toy/"):
            (package / Path(path).name).write_text(text.replace("fraudit.analyses.toy", "my_package.toy"))
    line = re.search(r'^toy = "(.*)"$', PAGE, re.M)
    assert line
    info = site / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    target = line[1].replace("fraudit.analyses.toy", "my_package.toy")
    (info / "entry_points.txt").write_text(f"[fraudit.analyses]\ntoy = {target}\n")


def test_the_analysis_package_runs_and_is_drawn(tmp_path: Path) -> None:
    install_toy(tmp_path / "site")
    path = os.pathsep.join(filter(None, [str(tmp_path / "site"), os.environ.get("PYTHONPATH")]))
    env = {**os.environ, "PYTHONPATH": path, "FRAUDIT_CACHE": str(tmp_path / "cache")}
    command = [
        sys.executable,
        "-m",
        "fraudit.cli.main",
        "analyze",
        "--embedder",
        "dlib",
        "--dataset",
        "sample",
    ]
    command += ["--only", "toy", "--out", str(tmp_path / "run"), "--json", "--quiet"]
    answer = subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)
    assert answer.returncode == 0, answer.stderr
    summary = json.loads(answer.stdout)
    assert summary["analyses"] == {"toy": "done"}
    said = summary["findings"][0]["text"]
    assert said.endswith("n = 900 pairs).")
    assert f"[info] {said[:47]}" in PAGE  # to the second decimal: another CPU may round the third otherwise
    assert "Pictures of one person" in (tmp_path / "run" / "report" / "index.html").read_text(
        encoding="utf-8"
    )


def test_the_corruption_does_more_at_each_severity() -> None:
    found: dict[str, object] = {}
    exec(FILES["fraudit/perturb/lines.py"], found)
    entry = re.search(r"    (Corruption\(\"dead_lines\".*?\)),\n```", PAGE, re.S)
    assert entry
    corruption = eval(entry[1].replace("lines.", ""), {"Corruption": Corruption, **found})
    face = np.full((112, 112, 3), 128, np.uint8)
    lost = [(corruption.apply(face, s, np.random.default_rng(0)) == 0).mean() for s in range(1, 6)]
    assert np.all(np.diff(lost) > 0)
    assert abs(lost[-1] - 0.30) < 0.15
