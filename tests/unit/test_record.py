"""The run record: lossless, versioned, written in one step."""

from __future__ import annotations

import json
import typing

import numpy as np
import pytest

from fraudit.errors import DataError, UsageError
from fraudit.report import record as record_module
from fraudit.report.record import FILE_NAME, RunRecord, decode, encode, plain
from fraudit.types import AnalysisResult, Figure, Finding, Metric
from tests.fixtures.run_record import HOSTILE, build_record


def empty(**changes: typing.Any) -> RunRecord:
    return RunRecord(**{"plan": {}, "environment": {}, "inputs": {}, **changes})


def test_a_record_reads_back_as_it_was_written():
    record = build_record()
    again = RunRecord.from_json(record.to_json())
    assert again == record
    assert again.to_json() == record.to_json()
    assert again.results[0].metrics[0].interval == record.results[0].metrics[0].interval
    assert isinstance(again.results[0].tables[0].columns, tuple)


def test_arrays_and_numpy_scalars_become_plain_numbers():
    result = AnalysisResult(
        "a",
        "A",
        metrics=(Metric("a.x", np.float32(0.5), n=np.int64(7)),),
        figures=(Figure("f", "lines", "t", "c", "alt", {"y": np.array([1.0, 2.0]), "flag": np.bool_(True)}),),
        params={"sizes": (1, 2)},
    )
    kept = empty(results=(result,)).results[0]
    assert kept.figures[0].data == {"y": [1.0, 2.0], "flag": True}
    assert kept.params == {"sizes": [1, 2]}
    assert type(kept.metrics[0].n) is int
    assert type(kept.metrics[0].value) is float


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), np.float32("-inf"), np.array([0.0, np.nan])])
def test_a_number_that_is_not_finite_is_refused_with_its_path(bad):
    result = AnalysisResult(
        "a", "A", figures=(Figure("f", "lines", "t", "c", "alt", {"series": [{"y": bad}]}),)
    )
    with pytest.raises(DataError, match=r"a\.figures\[0\]\.data\.series\[0\]\.y.* is (nan|-?inf); expected"):
        empty(results=(result,))


def test_nan_written_by_another_hand_is_refused():
    text = build_record().to_json().replace('"value": 0.993', '"value": NaN')
    with pytest.raises(DataError, match="NaN"):
        RunRecord.from_json(text)


@pytest.mark.parametrize("value", [{1: 2}, {"a": {3}}, b"bytes", object()])
def test_what_json_cannot_carry_is_refused(value):
    with pytest.raises(DataError, match="expected"):
        plain(value, "plan")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "not a run record"),
        (b"\xff\xfe", "not a run record"),
        ("[1]", "expected the schema 'fraudit-run', found 'list'"),
        ('{"a": 1}', "expected the schema 'fraudit-run', found None"),
        ('{"schema": "mteb", "schema_version": 1}', "found 'mteb'"),
        ('{"schema": "fraudit-run"}', "expected a whole number as schema_version, found None"),
        (
            '{"schema": "fraudit-run", "schema_version": 999}',
            "schema version 999; this fraudit reads up to 3",
        ),
        ('{"schema": "fraudit-run", "schema_version": 0}', "no way to read schema version 0"),
    ],
)
def test_foreign_files_say_what_was_expected(text, expected):
    with pytest.raises(DataError, match=expected):
        RunRecord.from_json(text)


def test_an_old_version_is_brought_up_to_date(monkeypatch):
    document = json.loads(build_record().to_json())
    document["schema_version"] = 0
    document["made"] = document.pop("created")

    def to_one(old: dict) -> dict:
        old = dict(old)
        return (
            {**old, "created": old.pop("made")}
            if "made" not in old
            else {**{k: v for k, v in old.items() if k != "made"}, "created": old["made"]}
        )

    monkeypatch.setitem(record_module.MIGRATIONS, 0, to_one)
    assert RunRecord.from_json(json.dumps(document)) == build_record()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda d: d["results"][0].pop("title"),
            r"run\.results\[0\] lacks the field 'title' of AnalysisResult",
        ),
        (lambda d: d["results"][0].update(metrix=[]), "unknown field 'metrix'"),
        (lambda d: d["results"][0].update(status="ok"), "is 'ok'; expected one of done, not_run, failed"),
        (lambda d: d["results"][0].update(faces="many"), r"results\[0\]\.faces is 'many'; expected int"),
        (lambda d: d.update(results={}), r"run\.results is \{\}; expected"),
        (lambda d: d["results"][0]["metrics"][0].update(value=None), "exactly one of value and missing"),
        (lambda d: d["results"][0]["findings"][0].update(text=3), r"findings\[0\]\.text is 3; expected str"),
    ],
)
def test_a_field_that_does_not_fit_is_named(change, expected):
    document = json.loads(build_record().to_json())
    change(document)
    with pytest.raises(DataError, match=expected):
        RunRecord.from_json(json.dumps(document))


def test_true_is_no_number():
    with pytest.raises(DataError, match="expected float"):
        decode(float, True)
    assert decode(float, 1) == 1.0


def test_saving_leaves_one_whole_file(tmp_path):
    record = build_record()
    path = record.save(tmp_path / "runs" / "one")
    assert path.name == FILE_NAME
    assert [p.name for p in path.parent.iterdir()] == [FILE_NAME]
    assert RunRecord.load(path) == RunRecord.load(path.parent) == record


def test_a_failed_write_keeps_the_old_file_and_no_rest(tmp_path, monkeypatch):
    build_record().save(tmp_path)
    before = (tmp_path / FILE_NAME).read_bytes()

    def broken(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("fraudit.files.store.os.replace", broken)
    with pytest.raises(OSError, match="disk full"):
        empty(title="new").save(tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_loading_nothing_says_what_a_run_is(tmp_path):
    with pytest.raises(DataError, match=r"expected a folder with run\.json"):
        RunRecord.load(tmp_path)
    (tmp_path / FILE_NAME).write_text("{")
    with pytest.raises(DataError, match=r"run\.json: not a run record"):
        RunRecord.load(tmp_path)


def test_metrics_are_found_by_name_and_group():
    record = build_record()
    assert record.metric("verification.accuracy").value == 0.993
    assert record.metric("bias.hostile.fmr", HOSTILE).n == 88
    assert record.find("bias.hostile.fmr") is None
    with pytest.raises(UsageError, match=r"no metric 'verification\.acuracy'") as caught:
        record.metric("verification.acuracy")
    assert "verification.accuracy" in caught.value.hint


def test_findings_come_most_severe_first_and_stable():
    severities = [finding.severity for _, finding in build_record().findings()]
    assert severities == ["high", "high", "medium", "medium", "low", "info", "good", "good"]
    titles = [result.name for result, _ in build_record().findings()]
    assert titles[:4] == ["bias", "inversion", "robustness", "leakage"]


def test_the_table_of_metrics_has_a_row_each_and_keeps_reasons():
    record = build_record()
    frame = record.frame()
    assert len(frame) == len(record.metrics())
    row = frame[frame["name"] == "verification.fnmr@fmr=1e-4"].iloc[0]
    assert row["missing"] == "needs 30,000 impostor pairs; there are 3,000"
    assert np.isnan(row["value"])
    assert list(empty().frame().columns) == record_module.METRIC_COLUMNS


def test_encode_names_every_field():
    assert encode(Finding("low", "text", ("a",), "r")) == {
        "severity": "low",
        "text": "text",
        "evidence": ["a"],
        "rule": "r",
        "advice": "",
    }
