"""Robustness and compression through the public commands, on the bundled sample, with a tiny embedder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fraudit.api import audit
from fraudit.cli.main import run

EMBEDDER = "python:tests.fixtures.boxes:luma_pattern"


def test_both_run_in_the_real_context_and_render(tmp_path: Path) -> None:
    params = {"robustness": {"severities": "3", "probes": 12, "corruptions": "light,occlusion"}}
    done = audit(EMBEDDER, "sample", only=("robustness", "compression"), params=params, out=tmp_path / "run")
    assert done.failures == ()
    robust, small = done.results["robustness"], done.results["compression"]
    assert robust.params["probes"] == 12
    assert len(robust.tables[0].rows) == 7 + 5
    assert robust.galleries[0].name == "robustness_strip"  # the sample shows nobody
    assert {f.name for f in small.figures} == {"compression_sweep", "compression_bytes", "compression_scree"}
    page = done.render().read_text(encoding="utf-8")
    assert "Every corruption and severity" in page
    assert "Every way to store a template" in page


def test_the_pca_command_gives_its_report_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "pca"
    words = ["pca", "--embedder", EMBEDDER, "--margin", "0.05", "--out", str(out), "--json", "--quiet"]
    assert run(words) == 0
    answer = json.loads(capsys.readouterr().out)
    assert Path(answer["report"]).is_file()
    assert 1 < answer["metrics"]["compression.effective_rank"]["value"] <= 64
    record = json.loads((out / "run.json").read_text())
    assert [result["name"] for result in record["results"]] == ["compression"]
    assert record["results"][0]["params"]["margin"] == 0.05
    assert run(["pca", "--embedder", EMBEDDER, "--margin", "7", "--out", str(tmp_path / "no")]) == 2
    assert "margin: expected a share in (0, 1), found 7" in capsys.readouterr().err
