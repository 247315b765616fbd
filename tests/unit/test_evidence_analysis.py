"""The evidence analysis over stored vectors: planted wrong labels, copies, split people, null worlds."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from benchmarks.worlds import World, make
from benchmarks.worlds_evidence import audited, replaced_person, rules
from benchmarks.worlds_quality import split_people, swapped_labels
from fraudit.analyses.evidence import Params, run
from fraudit.analyses.evidence.names import person_names
from fraudit.analyses.evidence.rates import decimal_years
from fraudit.audit.context import AnalysisContext
from fraudit.audit.plan import AuditPlan
from fraudit.audit.stored_vectors import StoredVectors, faces_of, run_vectors
from fraudit.errors import UsageError
from fraudit.files.store import Store
from fraudit.stats.label_errors import Misplaced, least_true
from fraudit.types import I64, AnalysisResult, FaceSet, Table


def clean(seed: int = 0, people: int = 200, noise: float = 0.7) -> World:
    return make(people, "mild", seed, noise=noise, dim=128)


def faces_like(world: World, subjects: I64 | None = None, **more: object) -> FaceSet:
    who = world.subjects if subjects is None else subjects
    return replace(faces_of("world", [f"p{s}/{i}.png" for i, s in enumerate(who)], who), **more)  # type: ignore[arg-type]


def in_context(
    world: World, faces: FaceSet, folder: Path, judges: Sequence[np.ndarray] = (), pictures: str = "none"
) -> AnalysisContext:
    boxes = [
        StoredVectors(name, rows.astype(np.float32), np.ones(len(faces), bool))
        for name, rows in zip(("world", "judge"), (world.unit, *judges), strict=False)
    ]
    plan = AuditPlan("world", faces.name, pictures=pictures)  # type: ignore[arg-type]
    return AnalysisContext(
        plan,
        faces,
        boxes[0],
        store=Store(folder / "store"),
        run_dir=folder,
        judges=boxes[1:],  # type: ignore[arg-type]
    )


def value(result: AnalysisResult, name: str) -> float:
    found = next(m for m in result.metrics if m.name == name)
    assert found.value is not None, found.missing
    return found.value


def table(result: AnalysisResult, name: str) -> Table:
    return next(t for t in result.tables if t.name == f"evidence_{name}")


def test_wrong_labels_are_counted_listed_and_severe_where_many_are_beyond_doubt(tmp_path: Path) -> None:
    world = clean()
    said, wrong = swapped_labels(world, 0.04, 0)
    result = audited(world.unit, said, tmp_path / "run")
    told = next(f for f in result.findings if f.rule == "evidence.labels")
    assert told.severity == "medium"
    assert value(result, "evidence.labels.least") <= wrong.mean()
    rows = table(result, "labels").rows
    hits = [wrong[int(r["picture"].split("/")[1][:-4])] for r in rows]
    assert len(rows) == 20
    assert np.mean(hits) > 0.9
    true = [r["like"] == f"p{world.subjects[int(r['picture'].split('/')[1][:-4])]}" for r in rows]
    assert np.mean(true) > 0.9


def test_figures_stand_side_by_side_with_and_without_what_is_flagged(tmp_path: Path) -> None:
    world = clean(1)
    said, _ = swapped_labels(world, 0.04, 1)
    result = audited(world.unit, said, tmp_path / "run")
    rows = {r["rate"]: r for r in table(result, "without").rows if r["without"] == "likely wrong labels"}
    assert rows["FNMR"]["part"] < rows["FNMR"]["all"]
    assert rows["FNMR"]["left"] < rows["FNMR"]["pairs"]
    assert "is no test" in table(result, "without").caption
    told = [f for f in result.findings if f.rule == "evidence.without"]
    assert [f.severity for f in told] == ["info"]
    assert "far from their person" not in told[0].text  # hard pictures may be right ones


@pytest.mark.parametrize("kind", ["equal", "mild", "skew"])
def test_clean_sets_with_families_raise_nothing(tmp_path: Path, kind: str) -> None:
    for seed in range(3):
        world = make(120, kind, seed, dim=128, noise=1.0)  # type: ignore[arg-type]
        result = audited(world.unit, world.subjects, tmp_path / "run")
        assert not rules(result, "low", "medium", "high")


def test_least_true_takes_the_negative_binomial_quantile_of_what_a_clean_set_flags() -> None:
    """One picture a person; 40 flags of 60 far ones, expected by 3 of 199 people near another."""
    n = 260
    subjects, nearest = np.arange(n), np.full(n, -1)
    far, flagged = np.zeros(n, bool), np.zeros(n, bool)
    far[:60], flagged[:10] = True, True
    nearest[:10] = 255
    expected = 60 * (3 + 1) / (200 + 1)
    nan = np.full(n, np.nan)
    found = Misplaced(nan, nan, nearest, 0.1, 0.5, np.ones(n, bool), far, flagged, expected)
    most = int(stats.nbinom.ppf(0.999, 4, 4 / (4 + expected)))
    assert least_true(found, subjects, 0.001) == max(0, 10 - most)
    assert least_true(found, subjects, 0.2) > least_true(found, subjects, 0.001)
    together = replace(found, nearest=np.where(flagged, 0, -1))  # all between the same few people
    one = np.where(flagged, 1, subjects)
    assert least_true(together, one, 0.2) == 0


def test_a_person_under_two_names_is_told_where_few_are_expected_to_be_false(tmp_path: Path) -> None:
    world = clean(2)
    said, names = split_people(world, 6, 2)
    result = audited(world.unit, said, tmp_path / "run")
    assert "evidence.names" in rules(result, "info")
    listed = {frozenset((r["first"], r["second"])) for r in table(result, "names").rows}
    assert len(listed & {frozenset((f"p{a}", f"p{b}")) for a, b in names}) >= 4
    assert any(r["without"] == "people likely named twice" for r in table(result, "without").rows)


def test_one_person_with_most_of_the_errors_is_named(tmp_path: Path) -> None:
    world = make(100, "mild", 3, noise=0.35, dim=128)
    rows, person = replaced_person(world, 3)
    result = audited(rows, world.subjects, tmp_path / "run")
    told = next(f for f in result.findings if f.rule == "evidence.erring")
    words = re.match(
        r"(\d+) of (\d+) errors are pairs of one person \((\w+)\); chance reaches at most (\d+)", told.text
    )
    assert words
    assert words[3] == f"p{person}"
    assert int(words[1]) > 3 * int(words[4])
    assert table(result, "erring").rows[0]["person"] == f"p{person}"
    assert table(result, "far").rows


def test_copies_under_two_people_are_found_by_vectors(tmp_path: Path) -> None:
    world = clean(4)
    rows, other = world.unit.copy(), np.flatnonzero(world.subjects != world.subjects[0])[:5]
    rows[other] = rows[[0, 1, 0, 1, 0]]
    result = audited(rows, world.subjects, tmp_path / "run")
    listed = {r["right"] for r in table(result, "near_across").rows} | {
        r["left"] for r in table(result, "near_across").rows
    }
    assert {f"p{world.subjects[i]}/{i}.png" for i in other} <= listed
    assert value(result, "evidence.near_copies.across.false_share") < 0.2
    assert any(f.rule == "evidence.near_copies" and "two people" in f.text for f in result.findings)


def test_equal_files_under_two_people_are_low_and_of_one_person_info(tmp_path: Path) -> None:
    world = clean(5, 80)
    twin = int(np.flatnonzero(world.subjects != world.subjects[0])[0])
    again = int(np.flatnonzero(world.subjects == world.subjects[0])[1])
    found = {}
    for name, copy in (("across", twin), ("within", again)):
        files = {copy: b"0"}
        faces = faces_like(world, read_bytes=lambda i, files=files: files.get(i, str(i).encode()))
        model = StoredVectors("world", world.unit, np.ones(len(faces), bool))
        record = run_vectors(faces, model, tmp_path / name, only=("evidence",))
        result = record.result("evidence")
        assert result is not None
        found[name] = {f.rule: f.severity for f in result.findings}
        assert value(result, "evidence.equal_files.spare") == 1
        assert value(result, "evidence.equal_files.across") == (name == "across")
        assert f"{copy}.png" in table(result, "files").rows[0]["pictures"]
    assert found["across"]["evidence.duplicates"] == "low"
    assert "evidence.duplicates" not in found["within"]
    assert found["within"]["evidence.copies"] == "info"


def test_stored_vectors_say_that_there_are_no_files(tmp_path: Path) -> None:
    world = clean(6, 80)
    result = audited(world.unit, world.subjects, tmp_path / "run")
    missing = next(m.missing for m in result.metrics if m.name == "evidence.equal_files.spare")
    assert missing
    assert "no pictures" in missing
    assert any(c.startswith("Not run: Files of equal bytes") for c in result.caveats)


def test_a_set_without_identities_says_what_cannot_run_and_runs_the_rest(tmp_path: Path) -> None:
    world = clean(7, 80)
    rows = world.unit.copy()
    rows[9] = rows[2]
    ids = [f"{i}.png" for i in range(len(rows))]
    faces = faces_of("flat", ids, np.arange(len(rows)), identified=False)
    faces = replace(faces, read_bytes=lambda i: b"2" if i == 9 else str(i).encode())
    model = StoredVectors("world", rows, np.ones(len(rows), bool))
    record = run_vectors(faces, model, tmp_path / "run", only=("evidence",))
    result = record.result("evidence")
    assert result is not None
    assert result.status == "done"
    assert value(result, "evidence.equal_files.spare") == 1
    pairs = [(r["left"], r["right"]) for r in table(result, "near_across").rows]
    assert ("2.png", "9.png") in pairs
    assert any(
        "Wrong labels, people under two names" in c and "names no identities" in c for c in result.caveats
    )
    assert not rules(result, "low", "medium", "high")


def test_the_hardest_strangers_match_more_often_and_need_a_judge(tmp_path: Path) -> None:
    world = make(160, "equal", 8, noise=0.7, dim=128)
    rng = np.random.default_rng(8)
    other = world.unit + 0.6 * rng.normal(size=world.unit.shape) / np.sqrt(128)
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    said, _ = swapped_labels(world, 0.05, 8)
    faces = faces_like(world, said)
    result = run(in_context(world, faces, tmp_path, [other]), Params(fmrs=(1e-2,)))
    hard = next(m for m in result.metrics if m.name == "evidence.hard_fmr@fmr=1e-2")
    assert hard.value is not None
    assert hard.interval is not None
    assert hard.interval.low > 0.03
    assert value(result, "evidence.labels.judge_agrees") > 0.5
    assert {"yes"} <= {r["judge"] for r in table(result, "labels").rows}
    without = run(in_context(world, faces, tmp_path / "two"), Params(fmrs=(1e-2,)))
    missing = next(m.missing for m in without.metrics if m.name == "evidence.hard_fmr@fmr=1e-2")
    assert missing
    assert "--judge" in missing


def test_pictures_years_apart_are_rejected_more_often(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    people, pictures, dim = 200, 5, 64
    subjects = np.repeat(np.arange(people), pictures)
    since = rng.uniform(0, 30, len(subjects))
    age = rng.integers(20, 60, people)[subjects] + since
    drift = rng.normal(size=(people, dim))[subjects] * ((since - 15) / 12)[:, None]
    rows = rng.normal(size=(people, dim))[subjects] + drift + 0.9 * rng.normal(size=(len(subjects), dim))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    result = audited(rows, subjects, tmp_path / "run", age=age)
    flat = audited(rows, subjects, tmp_path / "null", age=rng.permutation(age))
    assert table(result, "years").rows[0]["years"] == "0 to 1"
    assert "evidence.years" in rules(result)
    assert "evidence.years" not in rules(flat)


def test_dates_years_and_ages_become_decimal_years() -> None:
    found = decimal_years(np.array(["1999-01-01", "2004-07", "2010", "", "twenties"]))
    assert found[:3] == pytest.approx([1999, 2004.5, 2010], abs=0.01)
    assert np.isnan(found[3:]).all()
    assert decimal_years(np.array([3, 4])).tolist() == [3.0, 4.0]


def test_people_are_named_by_their_folder_or_by_a_picture() -> None:
    faces = faces_of("world", ["a/1", "a/2", "all/3", "all/4", "all/5"], np.array([0, 0, 1, 2, 1]))
    assert person_names(faces) == {0: "a", 1: "person of all/3", 2: "person of all/4"}


def test_pictures_are_shown_only_where_they_may_be(tmp_path: Path) -> None:
    world = clean(10, 80)
    said, _ = swapped_labels(world, 0.04, 10)
    tone = np.array([hashlib.sha256(bytes([s % 256])).digest()[0] for s in said], np.uint8)
    faces = faces_like(
        world,
        said,
        read_bytes=lambda i: str(i).encode(),
        decode=lambda data: np.full((40, 30, 3), tone[int(data)], np.uint8),
    )
    shown = run(in_context(world, faces, tmp_path, pictures="all"), Params(shown=3))
    names = {g.name: g for g in shown.galleries}
    assert {"evidence_worst", "evidence_strangers", "evidence_labels", "evidence_erring"} <= set(names)
    assert len(names["evidence_worst"].rows) == 3
    for gallery in shown.galleries:
        for item in (i for row in gallery.rows for i in row.items):
            assert (tmp_path / "artifacts" / item.artifact).is_file()
    assert not run(in_context(world, faces, tmp_path / "two"), Params()).galleries


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"fmrs": (1.5,)}, "between 0 and 1"),
        ({"near": 0.5}, "between 0.9 and 1"),
        ({"nearest": 0.0}, "between 0 and 1"),
        ({"listed": 0}, "at least 1"),
        ({"when": "datum"}, "no attribute 'datum'"),
    ],
)
def test_parameters_out_of_range_are_refused_in_one_line(tmp_path: Path, params: dict, words: str) -> None:
    world = clean(11, 60)
    with pytest.raises((UsageError, ValueError), match=words):
        run(in_context(world, faces_like(world), tmp_path), Params(**params))
