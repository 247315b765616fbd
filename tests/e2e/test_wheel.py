"""What a user installs: a wheel that brings `fraudit` alone and works from any folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = "import sys; from setuptools.build_meta import build_wheel; print(build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built from a copy of its sources without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    left_out = shutil.ignore_patterns(
        ".*", "__pycache__", "build", "runs", "*.egg-info", "tests", "benchmarks"
    )
    shutil.copytree(ROOT, source, symlinks=True, ignore=left_out)
    run = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)], cwd=source, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return folder / run.stdout.strip().splitlines()[-1]


def test_a_wheel_puts_nothing_but_fraudit_into_site_packages(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"fraudit"}
    wanted = ("embedders/dlib.py", "embedders/networks/build.py", "data/sample/sample.zip")
    for needed in (f"fraudit/{name}" for name in wanted):
        assert needed in names
    assert any(n.startswith("fraudit/report/templates/") and n.endswith("report.html.j2") for n in names)
    assert not [n for n in names if n.startswith(("tests/", "benchmarks/", "embedders/", "reports/"))]


def test_an_installed_wheel_audits_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    pytest.importorskip("dlib")
    home = tmp_path / "environment"
    venv.create(home, with_pip=False)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)
    # The dependencies are those of this environment; its own fraudit lies later on the path.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(home / "bin" / "python"), "-c", code, *arguments]
        return subprocess.run(command, cwd=tmp_path, env=alone, capture_output=True, text=True)

    where = python("import fraudit; print(fraudit.__file__)")
    assert str(site) in where.stdout, where.stderr
    arguments = [
        "analyze",
        "--embedder",
        "dlib",
        "--dataset",
        "sample",
        "--only",
        "verification",
        "--out",
        "audit",
    ]
    run = python("from fraudit.cli.main import main; main()", *arguments)
    assert run.returncode == 0, run.stderr[-2000:]
    assert (tmp_path / "audit" / "run.json").is_file()
    assert (tmp_path / "audit" / "report" / "index.html").is_file()
