"""Contact sheets say from which cosine on a picture is a match; their CSV tells near pictures apart."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fraudit.cli.invert import invert, refined_words
from fraudit.cli.sheet import Mark, mark, six
from fraudit.errors import UsageError
from fraudit.faces.sources import open_faces
from fraudit.inverters.inverting import invert_vectors
from tests.fixtures.boxes import box_of, luma_pattern


def test_a_picture_is_called_a_match_from_the_threshold_on() -> None:
    limit = Mark(0.5, "threshold 0.5, as given")
    assert limit.shown(0.5) == "0.50 match"
    assert limit.shown(0.499) == "0.50 no match"
    assert limit.shown(float("nan")) == "no vector"
    assert [limit.match(x) for x in (0.5, 0.499, float("nan"))] == ["yes", "no", ""]
    assert Mark(None, "").shown(0.5) == "0.50"
    assert Mark(None, "").match(0.5) == ""
    assert six(0.12345678) == "0.123457"
    assert six(float("nan")) == "no vector"


def test_a_threshold_is_a_number_a_set_or_none_and_a_service_is_not_asked_for_it() -> None:
    def refuses(*_: Any) -> Any:
        raise AssertionError("asked")

    service = SimpleNamespace(loaded=SimpleNamespace(meter=object(), forward=refuses))
    assert mark("auto", service).value is None  # type: ignore[arg-type]
    assert "--threshold sample" in mark("auto", service).words  # type: ignore[arg-type]
    assert mark("0.25", service).value == 0.25  # type: ignore[arg-type]
    assert mark("none", service).value is None  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="cosine"):
        mark("7", service)  # type: ignore[arg-type]


def test_the_threshold_of_the_sample_has_its_rate_in_words() -> None:
    from fraudit.embedding.loading import load_embedder
    from fraudit.embedding.runtime import EmbedderRuntime

    found = mark("auto", EmbedderRuntime(load_embedder("python:tests.fixtures.boxes:luma_pattern")))
    assert found.value is not None
    assert -1 < found.value <= 1
    assert found.words == f"threshold {found.value:.3f} for FMR 1e-3 on sample"


def test_the_command_writes_six_decimals_and_matches(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if importlib.util.find_spec("face_recognition_models") is None:
        pytest.skip("dlib's weights (package face_recognition_models) are not installed")
    (tmp_path / "face.webp").write_bytes(open_faces("sample").read_bytes(0))
    out = tmp_path / "out"
    invert(
        "dlib", out, inverter="linear", image=[tmp_path / "face.webp"], samples=2, refine=1, threshold="0.9"
    )
    rows = list(csv.DictReader((out / "similarities.csv").open()))
    assert [len(row["cosine"].partition(".")[2]) for row in rows] == [6, 6]
    assert [row["match"] for row in rows] == ["yes" if float(row["cosine"]) >= 0.9 else "no" for row in rows]
    shown = capsys.readouterr().err
    assert "threshold 0.9, as given" in shown
    assert "--refine 1" in shown


class Stubborn:
    """An inverter whose pictures do not depend on the vector: nothing can bring them nearer."""

    name, embedder_fingerprint, size_px = "stubborn", "", 64

    def invert(self, id_vectors: np.ndarray, seeds: np.ndarray, **_: Any) -> np.ndarray:
        return np.random.default_rng(1).integers(0, 255, (1, 64, 64, 3), np.uint8).repeat(len(seeds), axis=0)


def test_refinement_that_changes_nothing_says_so() -> None:
    vectors = np.random.default_rng(0).normal(size=(3, 64)).astype(np.float32)
    result = invert_vectors(Stubborn(), box_of(luma_pattern, 64), vectors, refine=2)
    assert result.improved == 0
    assert "--refine 2 changed nothing" in refined_words(2, result.improved, 3)
    assert refined_words(1, 2, 3) == "--refine 1 brought 2 of 3 pictures nearer to their vectors"
