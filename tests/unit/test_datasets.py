"""`fraudit datasets`."""

import json

import typer
from typer.testing import CliRunner

from fraudit.cli.datasets import register


def run(*options):
    app = typer.Typer()
    register(app)
    app.callback()(lambda: None)
    answer = CliRunner().invoke(app, ["datasets", *options])
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_absent_sets_say_how_to_get_them_and_under_which_terms(tmp_path, monkeypatch):
    monkeypatch.setenv("FRAUDIT_DATA", str(tmp_path))
    rows = {row["name"]: row for row in json.loads(run("--json"))}
    assert {"sample", "lfw", "celeba", "utkface"} <= rows.keys()
    for name in ("lfw", "celeba", "utkface"):
        assert rows[name]["present"] is False
        assert rows[name]["how"].startswith("http")
        assert rows[name]["terms"]
        assert rows[name]["pictures"] is None
    text = run()
    assert str(tmp_path) in text
    assert "vis-www.cs.umass.edu" in text


def test_the_bundled_set_is_listed_as_it_is_read(tmp_path, monkeypatch):
    from fraudit.faces.counted import counted

    monkeypatch.setenv("FRAUDIT_DATA", str(tmp_path))
    row = next(row for row in json.loads(run("--json")) if row["name"] == "sample")
    assert row.items() >= counted("sample").items()


def test_a_damaged_set_is_shown_as_such(tmp_path, monkeypatch):
    monkeypatch.setenv("FRAUDIT_DATA", str(tmp_path))
    (tmp_path / "lfw.zip").write_bytes(b"broken")
    row = next(row for row in json.loads(run("--json")) if row["name"] == "lfw")
    assert row["present"]
    assert "lfw.zip" in row["problem"]
    assert "damaged" in run()


def test_real_sets_are_counted(shared_data, monkeypatch):
    monkeypatch.setenv("FRAUDIT_DATA", str(shared_data))
    rows = {row["name"]: row for row in json.loads(run("--json"))}
    assert (rows["lfw"]["pictures"], rows["lfw"]["people"], rows["lfw"]["pairs"]) == (7701, 4281, 6000)
    assert (rows["celeba"]["pictures"], rows["celeba"]["people"]) == (10000, 5429)
    assert (rows["utkface"]["pictures"], rows["utkface"]["people"]) == (23702, None)
