"""`fraudit doctor` and `fraudit card`: exit codes, the card that is written, and what a paid service is asked."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from fraudit.audit.plan import AuditPlan
from fraudit.audit.runner import run_plan
from fraudit.cli.main import run
from fraudit.embedding.loading import load_embedder
from fraudit.report.executive import answers
from tests.fixtures.http_server import Server, http_card, server, waits  # noqa: F401
from tests.fixtures.onnx_models import FLOAT, SIDE, graph_value, onnx, onnx_card, onnx_model

DIM = 3 * 16


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is remembered from one test to the next."""
    monkeypatch.setenv("FRAUDIT_CACHE", str(tmp_path / "cache"))


def clipping(side: int | str = SIDE) -> object:
    """4x4 means of pixels that are clipped at -1 and 1 first: of pixels from 0 to 255 nothing is left."""
    made = onnx.helper.make_node
    nodes = [
        made("Clip", ["x", "low", "high"], ["c"]),
        made("AveragePool", ["c"], ["p"], kernel_shape=[4, 4], strides=[4, 4]),
        made("Flatten", ["p"], ["y"]),
    ]
    fixed = [
        onnx.helper.make_tensor("low", FLOAT, [], [-1.0]),
        onnx.helper.make_tensor("high", FLOAT, [], [1.0]),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "g",
        [graph_value("x", ["N", 3, side, side])],
        [graph_value("y", ["N", DIM])],
        fixed,
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)


def wrong_card(folder: Path, **changes: str) -> str:
    return onnx_card(folder, clipping(), mean="0  # as read", std="1", dim=str(DIM), **changes)


def test_a_card_that_looks_wrong_is_not_cleared_by_an_audit(tmp_path: Path) -> None:
    card = onnx_card(tmp_path, clipping(), mean="0.5", std="0.25", dim=str(DIM))
    assert load_embedder(card).card_notes
    plan = AuditPlan(card, "sample", limit=60, only=("verification", "doctor"), pictures="none")
    record = run_plan(plan, tmp_path / "run")
    (finding,) = [f for _, f in record.findings() if f.rule == "doctor.card"]
    assert finding.severity == "medium"
    assert "Did you mean mean = [127.5, 127.5, 127.5] and std = [63.75, 63.75, 63.75]?" in finding.text
    (said,) = [a for a in answers(record) if a.question == "Is it wired right?"]
    assert said.concern not in ("None shown", "Good")
    assert said.text.startswith("No: ")


def test_a_wrong_card_is_named_line_by_line_and_the_card_that_is_written_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card, fixed = wrong_card(tmp_path), tmp_path / "other" / "fixed.toml"
    fixed.parent.mkdir()
    one = ["--quiet", "--try", "normalisation"]  # a toy was trained with no template
    assert run(["doctor", "--embedder", card, *one, "--fix", str(fixed)]) == 1
    told = capsys.readouterr().out
    assert "[high] The model is wired otherwise" in told
    assert "in the place of mean = 0 and std = 1 in the card" in told
    assert (
        "As good as that, d' within 5\u202f% (1.5\u202f% where the channels alone differ) at both bounds: normalisation"
        in told
    )
    assert f"card: {fixed}" in told
    changed, old = tomllib.loads(fixed.read_text()), tomllib.loads(Path(card).read_text())
    assert {key for key in old if changed[key] != old[key]} == {"mean", "std", "model"}
    assert run(["doctor", "--embedder", str(fixed), *one]) == 0
    told = capsys.readouterr().out
    assert "note: On synthetic faces some wrong wirings cost too little to be found" in told
    for plant in ("swapped channels", "0..1 for ImageNet's", "whole pictures in the place of a template"):
        assert plant in told
    assert "note: No wiring that was tried tells people apart: at best (" in told  # it looks at plain pixels


@pytest.mark.parametrize(("std", "other"), [("128", "-1..1"), ("127.5", "127.5/128")])
def test_a_scale_beside_the_trained_one_is_named_as_equal_and_no_card_is_written(
    std: str, other: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Clipped at -1 and 1, both scales lose nothing: whichever it was made for, the other one is as good."""
    card, fixed = (
        onnx_card(tmp_path, clipping(), mean="127.5", std=std, dim=str(DIM)),
        tmp_path / "fixed.toml",
    )
    one = ["--quiet", "--try", "normalisation", "--faces", "120", "--fix", str(fixed)]
    assert run(["doctor", "--embedder", card, *one]) == 0
    told = capsys.readouterr().out
    (line,) = [row for row in told.splitlines() if "cannot tell from the stated wiring" in row]
    assert line.startswith("[info] ")
    assert f"normalisation {other} (" in line
    assert "[high]" not in told
    assert "no card was written" in told
    assert not fixed.exists()


def test_a_card_is_not_replaced_and_a_model_without_one_has_none_to_fix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = wrong_card(tmp_path)
    assert run(["doctor", "--embedder", card, "--quiet", "--fix", card]) == 2
    assert "is there already" in capsys.readouterr().err
    assert run(["doctor", "--embedder", card, "--quiet", "--sanity-only", "--fix", "x.toml"]) == 2
    assert "--fix needs the wirings" in capsys.readouterr().err
    assert run(["doctor", "--embedder", card, "--quiet", "--try", "colours"]) == 2
    assert "unknown 'colours'" in capsys.readouterr().err


def test_a_mistyped_axis_is_named_with_its_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--embedder", "dlib", "--try", "size,chanels"]) == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert error == "error: --try: unknown 'chanels'"
    assert hint == (
        "hint: did you mean 'channels'? known: channels, normalisation, template, size, output, layout"
    )
    assert run(["analyze", "--embedder", "dlib", "--param", "doctor.wiring_axes=chanels"]) == 2
    assert "doctor: wiring_axes: unknown 'chanels'\nhint: did you mean 'channels'?" in capsys.readouterr().err


def test_a_bad_card_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = wrong_card(tmp_path, channels='"GBR"')
    assert run(["doctor", "--embedder", card, "--quiet"]) == 2
    assert "channels must be RGB or BGR" in capsys.readouterr().err


def test_a_card_is_drafted_beside_its_model_and_never_over_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = tmp_path / "m.onnx", tmp_path / "cards" / "card.toml"
    out.parent.mkdir()
    onnx.save(onnx_model(), str(model))
    run(["card", str(model), "--out", str(out), "--no-doctor", "--quiet"])
    assert "m.onnx" in out.read_text()
    assert run(["card", str(model), "--out", str(out), "--no-doctor"]) == 2
    assert "is there already" in capsys.readouterr().err


def test_the_way_of_somebody_who_has_a_file_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`analyze` says what is missing, `card` drafts it, `doctor` checks by it."""
    model, card = tmp_path / "m.onnx", tmp_path / "card.toml"
    made = onnx.helper.make_node
    nodes = [
        made("AveragePool", ["x"], ["p"], kernel_shape=[28, 28], strides=[28, 28]),
        made("Flatten", ["p"], ["y"]),
    ]
    values = [graph_value("x", ["N", 3, 112, 112])], [graph_value("y", ["N", DIM])]
    graph = onnx.helper.make_graph(nodes, "g", *values)
    opset = [onnx.helper.make_opsetid("", 13)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), str(model))
    assert run(["analyze", "--embedder", str(model), "--dataset", "sample"]) == 2
    assert "fraudit card" in capsys.readouterr().err
    assert run(["card", str(model), "--out", str(card), "--no-doctor", "--quiet"]) == 0
    assert "template" in card.read_text()
    capsys.readouterr()
    assert run(["doctor", "--embedder", str(card), "--sanity-only", "--limit", "60", "--quiet"]) in (0, 1)
    assert "[high] The model fails" not in capsys.readouterr().out
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    run(["card", str(model), "--quiet"])
    told = capsys.readouterr()
    (elsewhere / "printed.toml").write_text(told.out)  # the card alone: what the check says went to stderr
    assert load_embedder(str(elsewhere / "printed.toml")).spec.dim == DIM
    assert "1 thing to mend" in told.err


def test_what_a_file_does_not_tell_is_left_to_the_person(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "m.onnx"
    onnx.save(clipping("S"), str(model))
    assert run(["card", str(model), "--quiet"]) == 1
    told = capsys.readouterr()
    assert "size" in told.err
    assert "..." in told.out


def test_a_paid_service_is_asked_seven_faces_and_no_wirings_unless_named(
    tmp_path: Path,
    server: Server,  # noqa: F811
    waits: list[float],  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    card, out = http_card(tmp_path, server.url), tmp_path / "run"
    run(["doctor", "--embedder", card, "--quiet", "--out", str(out)])
    told = capsys.readouterr().out
    assert "Other wirings were not tried: every face shown to this service may cost something" in told
    assert "Not checked: another order" in told
    (record,) = [json.loads(path.read_text()) for path in out.rglob("run.json")]
    asked = sum(len(json.loads(seen["body"])["images"]) for seen in server.seen)
    assert asked == 360 + 7  # every face of the set once
    assert "doctor.wiring.d_prime" not in json.dumps(record)


def test_a_paid_service_is_asked_the_wirings_that_are_named_and_equal_ones_are_told(
    tmp_path: Path,
    server: Server,  # noqa: F811
    waits: list[float],  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its vector is the mean colour, whose cosines do not change where the channels change places."""
    card, out = http_card(tmp_path, server.url), tmp_path / "run"
    assert run(["doctor", "--embedder", card, "--quiet", "--try", "channels", "--out", str(out)]) in (0, 1)
    told = capsys.readouterr().out
    assert "Other wirings were not tried" not in told
    assert (
        "[info] These faces cannot tell from the stated wiring, d' within 5\u202f% (1.5\u202f% where" in told
    )
    assert "at both bounds: channels BGR (" in told
    (record,) = [json.loads(path.read_text()) for path in out.rglob("run.json")]
    (result,) = [r for r in record["results"] if r["name"] == "doctor"]
    asked = sum(len(json.loads(seen["body"])["images"]) for seen in server.seen)
    screened_and_judged = result["queries"] - 7
    assert asked == 360 + 7 + screened_and_judged  # every face of the set once, the checks, the named wiring
    assert 2 * (60 + 100) < screened_and_judged <= 2 * (60 + 360)


def test_what_the_wirings_ask_is_counted_before_and_after(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card, out = wrong_card(tmp_path), tmp_path / "run"
    base = ["--embedder", card, "--dataset", "sample", "--only", "doctor", "--dry-run"]
    assert run(["analyze", *base]) == 0
    without = capsys.readouterr().out
    assert run(["analyze", *base, "--param", "doctor.wiring=true"]) == 0
    assert capsys.readouterr().out != without
    run(["doctor", "--embedder", card, "--quiet", "--try", "channels", "--out", str(out)])
    (record,) = [json.loads(path.read_text()) for path in out.rglob("run.json")]
    (result,) = [r for r in record["results"] if r["name"] == "doctor"]
    assert 93 + 2 * 200 < result["queries"] <= 93 + 60 * 4 + 360 * 8
