"""The one-file examples of CONTRIBUTING.md work as they stand, as an installed package's plugins."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def install_examples(target: Path) -> None:
    """Write the example files and the metadata that pip would write for their entry points."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    package = target / "my_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    for block in re.findall(r"```python\n(.*?)```", text, re.S):
        name = re.match(r"# my_package/(\w+\.py)\n", block)
        assert name
        (package / name[1]).write_text(block)
    points = "\n".join(
        f"[{group}]\n{line}\n"
        for group, line in re.findall(r'entry-points\."([\w.]+)"\]\n(\w+ = "[\w.:]+")', text)
    ).replace('"', "")
    info = target / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(points)


def test_the_examples_run_in_one_audit(tmp_path: Path) -> None:
    install_examples(tmp_path / "site")
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "FRAUDIT_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "fraudit.cli.main", "analyze", "--embedder", "grey"]
    command += ["--dataset", "sample", "--only", "norms", "--out", str(tmp_path / "run"), "--json", "--quiet"]
    answer = subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)
    assert answer.returncode == 0, answer.stderr
    summary = json.loads(answer.stdout)
    assert summary["analyses"] == {"norms": "done"}
    assert summary["findings"][0]["text"].startswith("ID vectors have mean length")
    assert "60 people" in summary["findings"][0]["text"]
    page = (tmp_path / "run" / "report" / "index.html").read_text(encoding="utf-8")
    assert "ID vectors have mean length" in page
