"""What is said of tables and folders that hold nothing that can be used: the cause, and not a symptom of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fraudit.cli.main import run

PRINTED = "Bild A;Bild B;gleich;Wert\na.jpg;b.jpg;1;0,53\nc.jpg;d.jpg;0;0,21\n"


def _said(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert run([str(word) for word in words]) == 5
    return capsys.readouterr().err


def test_a_header_of_unknown_names_is_told_from_no_header(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "s.csv"
    table.write_text(PRINTED)
    said = _said(capsys, "scores", table)
    assert "none of the header's names is known: Bild A, Bild B, gleich, Wert" in said
    assert "left,right,same,score" in said
    assert "docs/formats.md" in said
    table.write_text("Secret;name;7;x\nother;name;8;y\n")  # a row of data stays untold
    said = _said(capsys, "scores", table)
    assert "no header, and 4 fields, 1 of them numbers" in said
    assert "Secret" not in said


@pytest.mark.parametrize("header", ["path,subject\n", "path;subject\n", "image,person,age\n"])
def test_a_manifest_without_rows_is_told_so(
    header: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "manifest.csv").write_text(header)
    for place in (tmp_path, tmp_path / "manifest.csv"):
        said = _said(capsys, "analyze", "--embedder", "dlib", "--dataset", place, "--out", tmp_path / "run")
        assert "and no row" in said
        assert ".jpg" not in said


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_empty_table_is_an_empty_file_to_every_command(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "m.csv"
    table.write_text(text)
    assert "the file is empty" in _said(
        capsys, "analyze", "--embedder", "dlib", "--dataset", table, "--out", tmp_path / "run"
    )
    assert "the file is empty" in _said(capsys, "scores", table)


def test_files_that_are_no_pictures_are_not_the_detectors_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for person in ("ann", "ben"):
        (tmp_path / "set" / person).mkdir(parents=True)
        for at in range(2):
            (tmp_path / "set" / person / f"{at}.jpg").write_text("these are words")
    place = tmp_path / "set"
    for words in (
        ("analyze", "--embedder", "dlib", "--dataset", place, "--out", tmp_path / "run"),
        ("embed", "--embedder", "dlib", "--images", place, "--out", tmp_path / "v.npz"),
        ("threshold", "--embedder", "dlib", "--dataset", place, "--fmr", "0.1", "--out", tmp_path / "p.json"),
    ):
        said = _said(capsys, *words)
        assert "not an image" in said
        assert "most do not open as pictures" in said
        assert "detector" not in said
        assert "aligned" not in said
