"""Comparisons of runs made of planted vectors: pairing, refusals, outputs, and the page."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from fraudit.audit.stored_vectors import StoredVectors, faces_of, run_vectors
from fraudit.cli.main import run
from fraudit.compare import compare, run_side, write
from fraudit.compare.deltas import deltas, verdict_of
from fraudit.compare.figures import figure_of
from fraudit.compare.outputs import LISTED, as_dict, cards, html_text, markdown_text
from fraudit.compare.sides import differences
from fraudit.compare.values import Side
from fraudit.compare.words import difference_words, is_share, value_alone, value_words
from fraudit.errors import DataError, UsageError
from fraudit.types import Gallery, GalleryItem, GalleryRow, Interval
from tests.fixtures.derived_run import derived_run
from tests.fixtures.planted import people_vectors, unit

PEOPLE, EACH = 120, 4


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    true, nuisance, _ = people_vectors(np.random.default_rng(7), PEOPLE, EACH, within=0.6)
    return (true + nuisance).astype(np.float32)


def _faces(name: str = "planted") -> object:
    subjects = np.repeat(np.arange(PEOPLE), EACH)
    attributes = {"gender": np.where(subjects % 2, "woman", "man")}
    ids = [f"{s:04d}/{i:05d}.png" for i, s in enumerate(subjects)]
    return faces_of(name, ids, subjects, attributes)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, vectors: np.ndarray) -> dict[str, Path]:
    """base; noisy: more noise everywhere; group: more noise for women; int8: rounded; turned: a rotation."""
    folder = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(8)
    noise = rng.normal(size=vectors.shape).astype(np.float32)
    women = (np.repeat(np.arange(PEOPLE), EACH) % 2 == 1)[:, None]
    scale = np.abs(unit(vectors)).max(1, keepdims=True) / 127
    rotation = np.linalg.qr(rng.normal(size=(vectors.shape[1],) * 2))[0]
    variants = {
        "noisy": vectors + 0.5 * noise,
        "group": vectors + 0.7 * noise * women,
        "int8": np.rint(unit(vectors) / scale) * scale,
        "turned": (vectors @ rotation)[:, :12],
        "rotated": vectors @ rotation,
    }
    params = {"bias": {"by": ("gender",), "fmr": 1e-2}}
    made = {"base": folder / "base"}
    run_vectors(
        _faces(), StoredVectors("base", vectors, np.ones(len(vectors), bool)), made["base"], params=params
    )
    for name, changed in variants.items():
        made[name] = folder / name
        derived_run(made["base"], name, changed, made[name])
    return made


@functools.cache
def _by_name(base: Path, new: Path) -> dict:
    """Differences of two runs; no test writes into the runs."""
    return {(d.name, d.group): d for d in deltas(run_side(base), run_side(new))}


def test_every_rate_of_verification_and_groups_is_paired(runs: dict[str, Path]) -> None:
    found = _by_name(runs["base"], runs["noisy"])
    rates = [
        d
        for (name, _), d in found.items()
        if d.value is not None
        and name.split(".")[-1].split("@")[0]
        in ("fnmr", "fmr", "tar", "eer", "auc", "accuracy", "d_prime", "fta")
    ]
    # A run stores the pairs of its folds; they cannot resolve every FAR that all pairs can.
    rare = [d for d in rates if d.name.endswith(("tar@far=1e-4", "tar@far=1e-5"))]
    assert {d.how for d in rare} == {"independent"}
    assert len(rates) - len(rare) >= 12
    assert {d.how for d in rates if d not in rare} == {"paired"}
    assert run_side(runs["base"]).evidence.notes == ()


def test_the_difference_is_that_of_the_records_and_lies_in_its_interval(runs: dict[str, Path]) -> None:
    base, new = run_side(runs["base"]), run_side(runs["noisy"])
    for key, d in _by_name(runs["base"], runs["noisy"]).items():
        if d.value is not None:
            assert d.value == pytest.approx(new.metrics[key].value - base.metrics[key].value)
        if d.interval is not None:
            assert d.interval.low <= d.value <= d.interval.high


def test_a_rotation_changes_nothing_and_is_found_to(runs: dict[str, Path]) -> None:
    for d in _by_name(runs["base"], runs["rotated"]).values():
        assert d.verdict in ("unclear", "unknown")


def test_planted_losses_are_found_where_they_were_planted(runs: dict[str, Path]) -> None:
    noisy, group = (_by_name(runs["base"], runs[name]) for name in ("noisy", "group"))
    assert noisy["verification.fnmr@fmr=1e-2", ""].verdict == "worse"
    assert noisy["verification.auc", ""].verdict == "worse"
    assert group["bias.gender.fnmr", "woman"].verdict == "worse"
    assert group["bias.gender.fnmr", "man"].verdict != "worse"
    turned = _by_name(runs["base"], runs["turned"])
    assert turned["verification.fnmr@fmr=1e-2", ""].verdict == "worse"


def test_pairing_is_sharper_than_the_two_intervals(runs: dict[str, Path]) -> None:
    from fraudit.stats.paired import independent_difference

    d = _by_name(runs["base"], runs["int8"])["verification.d_prime", ""]
    both = independent_difference(d.base.value, d.base.interval, d.new.value, d.new.interval).interval
    assert d.interval.high - d.interval.low < 0.2 * (both.high - both.low)


def test_without_evidence_the_intervals_are_taken_and_it_is_said(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    import shutil

    bare = tmp_path / "bare"
    shutil.copytree(runs["base"], bare)
    (bare / "vectors.npz").unlink()
    (bare / "scores.csv").unlink()
    side = run_side(bare)
    assert len(side.evidence.notes) == 2
    found = {d.name: d for d in deltas(side, run_side(runs["noisy"]))}
    assert found["verification.accuracy"].how == "independent"


def test_evidence_that_does_not_give_the_records_figure_is_dropped(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    import shutil

    odd = tmp_path / "odd"
    shutil.copytree(runs["base"], odd)
    shutil.copy(runs["noisy"] / "vectors.npz", odd / "vectors.npz")
    side = run_side(odd)
    assert ("verification.fnmr@fmr=1e-2", "") not in side.evidence.events
    assert any("fnmr@fmr=1e-2" in note for note in side.evidence.notes)


def test_what_was_measured_otherwise_is_refused_by_name(runs: dict[str, Path]) -> None:
    base, new = run_side(runs["base"]), run_side(runs["noisy"])
    data = new.inputs["dataset"]
    cases = {
        "data: 'planted'": replace(new, inputs={**new.inputs, "dataset": {**data, "digest": "x"}}),
        "alignment, detector": replace(new, inputs={**new.inputs, "dataset": {**data, "detector": "other"}}),
        "protocol, pairs": replace(new, inputs={**new.inputs, "dataset": {**data, "protocol_pairs": 7}}),
        "seed: 0 against 1": replace(new, plan={**new.plan, "seed": 1}),
        "parameter bias.fmr: 0.01 against 0.1": replace(
            new, params={**new.params, "bias": {**new.params["bias"], "fmr": 0.1}}
        ),
        "pairs: digest": replace(new, evidence=replace(new.evidence, pairs_digest="x")),
    }
    assert differences(base, new) == []
    for expected, other in cases.items():
        assert any(expected in line for line in differences(base, other)), expected
        with pytest.raises(UsageError, match="cannot be compared"):
            compare([base, other])
    assert differences(base, cases["parameter bias.fmr: 0.01 against 0.1"], ["verification"]) == []


@pytest.mark.parametrize(
    ("low", "high", "better", "verdict"),
    [
        (0.1, 0.2, "lower", "worse"),
        (0.1, 0.2, "higher", "better"),
        (-0.2, -0.1, "lower", "better"),
        (-0.2, -0.1, "higher", "worse"),
        (-0.1, 0.2, "lower", "unclear"),
        (0.0, 0.2, "lower", "unclear"),
        (0.1, 0.2, "none", "changed"),
    ],
)
def test_the_reading_follows_the_interval_and_the_direction(
    low: float, high: float, better: str, verdict: str
) -> None:
    assert verdict_of(Interval(low, high), better) == verdict


def test_a_comparison_of_three_writes_every_form(runs: dict[str, Path], tmp_path: Path) -> None:
    found = compare([run_side(runs[name]) for name in ("base", "noisy", "group")])
    page = write(found, tmp_path / "out")
    text = page.read_text()
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "").replace(
        "http://www.w3.org/1999/xlink", ""
    )
    assert text.count("<svg") >= 8
    assert "Error rates by group, group against base" in text
    stored = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert [n["label"] for n in stored["new"]] == ["noisy", "group"]
    suites = ElementTree.parse(tmp_path / "out" / "junit.xml").getroot()
    assert len(suites) == 2
    worse = [d for d in found.changes[0].deltas if d.verdict == "worse"]
    assert len(suites[0].findall(".//failure")) == len(worse) > 0
    assert markdown_text(found).startswith("# noisy, group against base")


def test_hostile_names_are_escaped(runs: dict[str, Path]) -> None:
    base, new = run_side(runs["base"]), run_side(runs["noisy"])
    found = compare([base, replace(new, label="<script>alert(1)</script>")])
    assert "<script>alert" not in html_text(found)
    assert "<script>" not in markdown_text(found)


def test_two_runs_of_one_model_are_told_apart(runs: dict[str, Path]) -> None:
    base = run_side(runs["base"])
    found = compare([base, replace(base, path=runs["noisy"])])
    assert found.title == "base (noisy) against base (base)"
    assert as_dict(found)["new"][0]["metrics"][0]["difference"] == 0


def test_the_command_compares_refuses_and_explains(runs: dict[str, Path], tmp_path: Path, capsys) -> None:
    out = tmp_path / "comparison"
    assert run(["compare", str(runs["base"]), str(runs["noisy"]), "--out", str(out)]) == 0
    assert f"comparison: {out / 'index.html'}" in capsys.readouterr().out
    assert run(["compare", str(runs["base"])]) == 2
    assert run(["compare", str(runs["base"]), str(tmp_path / "none")]) == 5
    assert "found nothing there" in capsys.readouterr().err
    assert run(["compare", "--help"]) == 0
    assert "Example: fraudit compare" in capsys.readouterr().out


def test_an_incomplete_run_is_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    import shutil

    half = tmp_path / "half"
    shutil.copytree(runs["base"], half)
    document = json.loads((half / "run.json").read_text())
    document["status"] = "incomplete"
    (half / "run.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match="incomplete"):
        run_side(half)


def test_one_and_the_same_model_has_no_difference_and_a_changed_service_behind_one_card_has(
    runs: dict[str, Path],
) -> None:
    base = run_side(runs["base"])
    again = {d.name: d for d in deltas(base, base)}
    assert again["verification.accuracy"].how == "same model"
    interval = again["verification.accuracy"].interval
    assert (interval.low, interval.high) == (0.0, 0.0)
    assert interval.method.startswith("numerically the same model")
    new = run_side(runs["noisy"])
    changed = replace(new, inputs={**new.inputs, "embedder": base.inputs["embedder"]})
    assert {d.how for d in deltas(base, changed)} == {"paired", "independent", "none"}


def test_without_a_discordant_pair_the_interval_is_that_of_half_a_pair_each_way() -> None:
    from fraudit.stats.intervals import paired_difference

    people = np.repeat(np.arange(50), 6)
    errors = np.zeros(300, bool)
    errors[::30] = True
    found = paired_difference(errors, errors, people, people)
    more = errors.copy()
    more[1] = True
    # Six pairs a person count as a stated design effect of 1 + 0.3 (sqrt(6) - 1); t of 49 degrees.
    assert found.interval.high == pytest.approx(2.01 / (300 / 1.435 + 2), rel=0.02)
    assert paired_difference(errors, more, people, people).interval.high > found.interval.high


def test_two_equal_models_differ_in_at_most_one_comparison_of_twenty() -> None:
    # Forty figures each; by themselves 5 % of them would differ, and 87 % of the comparisons have such a one.
    from fraudit.compare.deltas import Pairing, delta, judged_together
    from fraudit.compare.values import Evidence
    from fraudit.types import Metric

    base, new, names = run_like(), run_like(), [f"leakage.t{k}.r2" for k in range(40)]
    rng, shown, alone = np.random.default_rng(3), 0, 0
    for _ in range(200):
        sides = []
        for side in (base, new):
            values = rng.normal(0.5, 0.01, len(names))
            metrics = {
                (n, ""): Metric(n, v, interval=Interval(v - 0.0196, v + 0.0196), better="lower")
                for n, v in zip(names, values, strict=True)
            }
            sides.append(replace(side, metrics=metrics))
        pairing = Pairing(Evidence(), Evidence())
        found = [delta((n, ""), *sides, pairing) for n in names]
        alone += any(d.verdict != "unclear" for d in found)
        shown += any(d.verdict != "unclear" for d in judged_together(found, *sides, pairing))
    assert alone > 140
    assert shown <= 20  # Binomial(200, 0.05) exceeds 20 with a probability of 0.2 %


def run_like() -> object:
    from fraudit.compare.values import Evidence, Side

    return Side("x", "x", Path("x"), {}, {}, {}, {}, {}, Evidence())


def test_the_first_figures_are_error_rates_and_the_same_face_is_shown(runs: dict[str, Path]) -> None:
    found = compare([run_side(runs["base"]), run_side(runs["noisy"])])
    change = found.changes[0]
    assert [d.name.split("@")[0] for d in change.deltas[:2]] == ["verification.fnmr"] * 2
    assert cards(change)[0].name.startswith("verification.fnmr@")
    assert "Holm" in change.chance
    for words in (html_text(found), markdown_text(found), json.dumps(as_dict(found))):
        assert "The same face has a mean cosine of 0.9" in words
    shown = {d.name: d for d in change.deltas if d.verdict != "unknown"}
    forest = next(f for f in found.figures["verification"] if f.name.startswith("differences_"))
    labels = [row["label"] for row in forest.data["rows"]]
    assert "Equal error rate" in labels
    assert not any("hreshold" in label for label in labels)  # a threshold is a score: no percentage points
    assert any(d.verdict == "unclear" and not d.interval.low <= 0 <= d.interval.high for d in shown.values())


def test_half_precision_of_the_same_model_differs_in_nothing(runs: dict[str, Path], tmp_path: Path) -> None:
    base = run_side(runs["base"])
    half = base.evidence.vectors.unit.astype(np.float16).astype(np.float32)
    derived_run(runs["base"], "fp16", half, tmp_path / "fp16")
    change = compare([base, run_side(tmp_path / "fp16")]).changes[0]
    assert change.count("better") == change.count("worse") == 0
    assert "numerically the same model" in change.verdict
    assert {d.how for d in change.deltas if d.interval is not None} == {"same model"}


def test_curves_end_where_their_own_pairs_resolve_no_lower_rate(runs: dict[str, Path]) -> None:
    found = compare([run_side(runs["base"]), run_side(runs["noisy"])])
    chart = next(f for f in found.figures["verification"] if f.name == "det")
    own = figure_of(found.base, "verification_det")
    assert own is not None
    assert [m["value"] for m in chart.data["marks"]] == [own.data["marks"][0]["value"]]
    limit = chart.data["marks"][0]["value"]
    assert min(own.data["series"][0]["x"]) < limit  # there was something to cut
    assert all(min(one["x"]) >= limit * (1 - 1e-9) for one in chart.data["series"])
    assert "end at the rule of three" in chart.caption


def test_the_chart_of_differences_says_the_rule_that_was_used(runs: dict[str, Path]) -> None:
    for name, words in (("noisy", "tested together (Holm)"), ("rotated", "numerically the same model")):
        found = compare([run_side(runs["base"]), run_side(runs[name])])
        chart = next(f for f in found.figures["verification"] if f.name.startswith("differences_"))
        assert words in chart.caption
        assert "crosses 0 shows no difference" not in chart.caption


def test_shares_are_percent_and_points_with_one_minus_sign(runs: dict[str, Path]) -> None:
    found = compare([run_side(runs["noisy"]), run_side(runs["base"])])
    by_name = {d.name: d for d in found.changes[0].deltas if not d.group}
    shares = {name for name, d in by_name.items() if is_share(d)}
    assert {"verification.eer", "verification.fnmr@fmr=1e-2", "verification.accuracy"} <= shares
    plain = (
        "verification.eer_threshold",
        "verification.auc",
        "verification.d_prime",
        "verification.threshold@fmr=1e-2",
    )
    assert not shares & {*plain}
    eer = by_name["verification.eer"]
    assert "\u202f% (" in value_words(eer, "base")
    assert difference_words(eer).startswith("−")
    assert "\u202fpoints (" in difference_words(eer)
    body = html_text(found).partition("<body>")[2].partition("<script>")[0]
    assert value_alone(eer, "base") in body
    shown = re.sub(r"<svg.*?</svg>|<[^>]*>", " ", body, flags=re.DOTALL)
    assert not re.search(r"(?<![\w-])-\d", shown)


def test_figures_that_changed_are_named_in_the_terminal(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compare", str(runs["base"]), str(runs["turned"]), "--out", str(tmp_path / "c")]) == 0
    lines = capsys.readouterr().out.splitlines()
    counted = re.search(r"(\d+) changed", lines[0])
    assert counted is not None
    named = [line for line in lines if line.startswith("changed  ")]
    assert len(named) == min(int(counted[1]), LISTED)
    assert any("hreshold" in line for line in named)


def test_pictures_that_all_runs_have_stand_one_below_the_other(runs: dict[str, Path]) -> None:
    def with_pictures(name: str) -> Side:
        side = run_side(runs[name])
        assert side.record is not None
        first, *others = side.record.results
        rows = (GalleryRow("0001", (GalleryItem("gallery/none", f"a face by {name}"),)),)
        shown = replace(
            first, galleries=(Gallery("sheet", "Faces", "", rows), Gallery("more", "More", "", rows))
        )
        return replace(side, record=replace(side.record, results=(shown, *others)))

    page = html_text(compare([with_pictures("base"), with_pictures("noisy")]))
    assert page.count("a face by base") == page.count("a face by noisy") == 2
    assert '<figure id="pictures-1"' in page
    assert '<figure id="pictures-2"' in page
