"""Robustness: a planted loss is found with its interval around the truth; where there is none, none is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from fraudit.analyses.robustness import ANALYSIS, Params
from fraudit.analyses.shared.attributes import group_masks
from fraudit.audit.corrupted import working_copy
from fraudit.errors import DataError, InsufficientData, UsageError
from fraudit.perturb.catalogue import CORRUPTIONS
from fraudit.stats.probe_pairs import probe_pairs, protocol_pairs
from fraudit.types import ARCFACE_112, AnalysisResult, PairList
from tests.fixtures.boxes import identity_faces, luma_pattern
from tests.fixtures.contexts import planted_context, saved_pictures, vectors_context

PLANTED = 0.30


def loses_grey(images: np.ndarray) -> np.ndarray:
    """Knows everybody, but of pictures without colour it answers at random for a share PLANTED of them."""
    vectors = luma_pattern(images)
    for i, image in enumerate(images):
        if np.ptp(image.astype(int), axis=2).max() == 0:
            draw = np.random.default_rng(int.from_bytes(hashlib.sha256(image.tobytes()).digest()[:8], "big"))
            if draw.random() < PLANTED:
                vectors[i] = draw.normal(size=vectors.shape[1])
    return vectors


@pytest.fixture(scope="module")
def crowd() -> tuple[np.ndarray, np.ndarray]:
    return identity_faces(240, 2, seed=5, within=0.3)


def metric(result: AnalysisResult, name: str, group: str = ""):
    return next(m for m in result.metrics if m.name == name and m.group == group)


@pytest.fixture(scope="module")
def planted(crowd) -> AnalysisResult:
    images, subjects = crowd
    context = planted_context(images, subjects, loses_grey)
    params = Params(corruptions=("grey", "colour_cast"), severities=(1, 5), probes=120, fmr=1e-2)
    return ANALYSIS.run(context, params)


def test_a_planted_loss_is_found_with_its_interval_around_the_truth(planted: AnalysisResult) -> None:
    found = metric(planted, "robustness.fnmr.grey.5")
    clean = metric(planted, "robustness.fnmr.clean").value
    truth = clean + PLANTED * (1 - clean)
    assert found.interval.low <= truth <= found.interval.high
    assert found.interval.high - found.interval.low < 0.25
    assert found.n == 120
    # Greyer, but not grey: nothing is planted there.
    assert metric(planted, "robustness.fnmr.grey.1").value == pytest.approx(clean, abs=0.02)


def test_the_finding_names_the_planted_corruption_and_its_numbers(planted: AnalysisResult) -> None:
    worst = planted.findings[0]
    assert worst.rule == "robustness.fnmr_increase"
    assert worst.text.startswith("Grey at severity 5")
    assert "120 genuine pairs of 120 people" in worst.text
    assert "robustness.fnmr.grey.5" in worst.evidence
    assert planted.headline.startswith("Grey does most harm")


def test_the_heat_map_is_ordered_by_harm_and_carries_the_intervals(planted: AnalysisResult) -> None:
    heat = next(f for f in planted.figures if f.name == "robustness_fnmr")
    assert heat.main
    assert heat.data["rows"] == ["Grey", "Colour cast"]
    assert heat.data["values"][0][1] == metric(planted, "robustness.fnmr.grey.5").value
    assert heat.data["low"][0][1] < heat.data["values"][0][1] < heat.data["high"][0][1]


def test_conditions_of_use_sum_their_corruptions_up_and_open_the_section(crowd) -> None:
    images, subjects = crowd
    names = ("grey", "colour_cast", "shift", "roll")
    context = planted_context(images, subjects, loses_grey, pictures="none")
    result = ANALYSIS.run(context, Params(corruptions=names, severities=(1, 5), probes=60))
    lead, grid = result.figures[:2]
    assert (lead.name, lead.main, grid.name, grid.main) == (
        "robustness_conditions",
        True,
        "robustness_fnmr",
        False,
    )
    colour = lead.data["rows"].index("Wrong or missing colour")
    means = [np.mean(row) for row in lead.data["values"]]
    assert means == sorted(means, reverse=True)
    found = metric(result, "robustness.condition.wrong_or_missing_colour.5")
    each = [metric(result, f"robustness.fnmr.{name}.5").value for name in ("grey", "colour_cast")]
    assert found.value == pytest.approx(np.mean(each))
    assert found.interval.low < found.value < found.interval.high
    assert lead.data["values"][colour][1] == found.value
    assert result.answer.startswith("No:")
    assert "severity" in result.findings[0].advice


def test_pictures_are_shown_only_where_allowed(planted: AnalysisResult, crowd) -> None:
    assert [g.name for g in planted.galleries] == ["robustness_strip"]
    assert len(planted.galleries[0].rows[0].items) == 3
    images, subjects = crowd
    context = planted_context(images, subjects, pictures="none")
    params = Params(corruptions=("grey",), severities=(1,), probes=8)
    assert ANALYSIS.run(context, params).galleries == ()
    assert not saved_pictures(context)


def test_an_embedder_blind_to_colour_is_cleared_of_harm_by_colour(crowd) -> None:
    images, subjects = crowd
    params = Params(corruptions=("grey", "colour_cast"), severities=(1, 3), probes=384, fmr=1e-2)
    result = ANALYSIS.run(planted_context(images, subjects), params)
    assert {f.severity for f in result.findings} <= {"good", "info"}


def test_every_corruption_runs_on_both_domains(crowd) -> None:
    images, subjects = crowd
    for where in ("picture", "aligned"):
        context = planted_context(images[:40], subjects[:40])
        result = ANALYSIS.run(context, Params(severities=(3,), probes=8, where=where))
        cells = [m for m in result.metrics if m.name.startswith("robustness.similarity.")]
        assert len(cells) == 28
        assert all(m.value is not None and m.n == 8 and m.interval for m in cells)
        assert context.embedder.queries == 40 + 28 * 8  # clean, cells
        json.dumps([f.data for f in result.figures])
        json.dumps([r for t in result.tables for r in t.rows])


def test_a_face_that_is_not_found_raises_fnmr_and_never_fmr(crowd) -> None:
    images, subjects = crowd

    def locate(picture: np.ndarray) -> np.ndarray | None:
        return None if picture.mean() < 40 else ARCFACE_112

    context = planted_context(images, subjects, locate=locate)
    params = Params(corruptions=("darkness",), severities=(1, 5), probes=64, fmr=1e-2)
    result = ANALYSIS.run(context, params)
    assert metric(result, "robustness.fta.darkness.5").value == 1.0
    assert metric(result, "robustness.fnmr.darkness.5").value == 1.0
    assert metric(result, "robustness.fmr.darkness.5").value == 0.0
    assert metric(result, "robustness.similarity.darkness.5").missing == "no corrupted face gave a vector"
    assert metric(result, "robustness.fta.darkness.1").value == 0.0
    lost = next(f for f in result.figures if f.name == "robustness_fta")
    assert lost.data["values"] == [[0.0, 1.0]]
    assert (
        metric(result, "robustness.fnmr_found.darkness.5").missing
        == "no genuine pair has a face that is found"
    )
    assert [f.rule for f in result.findings if f.severity != "good"] == ["robustness.not_found"]
    assert "no face is found any more in 100\u202f% of the 64 pictures" in result.findings[0].text
    assert any("robustness.where=aligned" in c for c in result.caveats)
    assert not any("not measured" in c for c in result.caveats)


def _half_blind(picture: np.ndarray) -> np.ndarray | None:
    """A detector that finds no face in half of the pictures that are dark."""
    return None if picture.mean() < 60 and int(picture[::7].sum()) % 2 else ARCFACE_112


def _grey_blind(batch: np.ndarray) -> np.ndarray:
    """An embedder that takes every second grey face for its opposite."""
    vectors = luma_pattern(batch)
    for i, image in enumerate(batch):
        if np.ptp(image.astype(int), axis=2).max() == 0 and int(image[::3].sum()) % 2:
            vectors[i] = -vectors[i]
    return vectors


def test_what_the_detector_loses_and_what_recognition_loses_are_two_findings(crowd) -> None:
    images, subjects = crowd
    context = planted_context(images, subjects, _grey_blind, locate=_half_blind)
    params = Params(corruptions=("darkness", "grey"), severities=(3, 5), probes=120, fmr=1e-2)
    result = ANALYSIS.run(context, params)
    at = {f.rule: f for f in result.findings}
    assert at["robustness.not_found"].text.startswith("Under-exposure at severity")
    assert at["robustness.not_recognised"].text.startswith("Grey at severity")
    assert "robustness.fnmr_increase" not in at
    assert 0.3 < metric(result, "robustness.fta.darkness.5").value < 0.7
    # of the faces that are found in the dark, none is lost; in grey all are found and half are not recognised
    clean = metric(result, "robustness.fnmr.clean").value
    assert metric(result, "robustness.fnmr_found.darkness.5").value <= clean + 0.02
    assert metric(result, "robustness.fta.grey.5").value == 0
    seen = metric(result, "robustness.fnmr_found.grey.5")
    assert 0.3 < seen.value < 0.7
    assert seen.value == metric(result, "robustness.fnmr.grey.5").value
    assert "points are faces not found" in result.headline
    figure = next(f for f in result.figures if f.name == "robustness_fnmr_found")
    assert len(figure.data["values"]) == 2
    row = next(r for r in result.tables[0].rows if r["corruption"] == "Under-exposure" and r["severity"] == 5)
    assert row["fnmr_found"] == metric(result, "robustness.fnmr_found.darkness.5").value


def test_the_two_losses_add_up_to_the_whole(crowd) -> None:
    images, subjects = crowd
    context = planted_context(images, subjects, _grey_blind, locate=_half_blind)
    params = Params(corruptions=("darkness", "grey", "gaussian_noise"), severities=(5,), probes=60, fmr=1e-2)
    result = ANALYSIS.run(context, params)
    whole, gone, unknown = (
        metric(result, f"robustness.{name}").value
        for name in ("mean_fnmr_increase", "mean_increase_not_found", "mean_increase_not_recognised")
    )
    assert gone > 0.1
    assert unknown > 0.1
    assert whole == pytest.approx(gone + unknown, abs=1e-12)


def test_declared_landmarks_say_that_failures_to_acquire_are_not_measured(planted: AnalysisResult) -> None:
    assert any("Failures to acquire are not measured" in c for c in planted.caveats)


def test_a_group_that_loses_more_is_named(crowd) -> None:
    images, subjects = crowd
    male = (subjects % 2).astype(float)
    marks = {hashlib.sha256(np.ascontiguousarray(luma_grey(i))).digest() for i in images[male == 1]}

    def loses_men(batch: np.ndarray) -> np.ndarray:
        vectors = luma_pattern(batch)
        for i, image in enumerate(batch):
            grey = np.ptp(image.astype(int), axis=2).max() == 0
            if grey and hashlib.sha256(np.ascontiguousarray(image[..., 0])).digest() in marks and i % 2:
                vectors[i] = -vectors[i]
        return vectors

    context = planted_context(images, subjects, loses_men, attributes={"male": male})
    params = Params(corruptions=("grey",), severities=(5,), probes=120, fmr=1e-2)
    result = ANALYSIS.run(context, params)
    gap = next(f for f in result.findings if f.rule == "robustness.group_gap")
    assert "more for 'male' than for 'not male'" in gap.text
    more = metric(result, "robustness.fnmr_increase.grey", "male=1")
    less = metric(result, "robustness.fnmr_increase.grey", "male=0")
    assert more.value > 0.3
    assert less.value == pytest.approx(0.0, abs=0.05)
    assert more.interval.low <= 0.5 <= more.interval.high


def luma_grey(image: np.ndarray) -> np.ndarray:

    return CORRUPTIONS["grey"].apply(image, 5, np.random.default_rng(0))[..., 0]


def test_nothing_is_concluded_of_a_small_group(crowd) -> None:
    images, subjects = crowd
    rare = (subjects < 4).astype(float)
    context = planted_context(images, subjects, attributes={"rare": rare})
    params = Params(corruptions=("grey",), severities=(5,), probes=384, by="rare")
    result = ANALYSIS.run(context, params)
    small = metric(result, "robustness.fnmr_increase.grey", "rare=1")
    assert small.value is None
    assert "fewer than the floor of 10" in small.missing


def test_without_identities_fnmr_is_missing_with_the_reason() -> None:
    images, _ = identity_faces(40, 1, seed=2)
    params = Params(corruptions=("fog",), severities=(3,), probes=12)
    with pytest.raises(InsufficientData, match="state it with --distinct"):
        ANALYSIS.run(planted_context(images, np.arange(40), identified=False), params)
    context = planted_context(images, np.arange(40), identified=False, distinct=True)
    result = ANALYSIS.run(context, params)
    assert metric(result, "robustness.fnmr.fog.3").missing == "the set has no genuine pairs"
    assert any(c.startswith("Stated, not checked") for c in result.caveats)
    assert metric(result, "robustness.mean_fnmr").missing == "the set has no genuine pairs"
    assert metric(result, "robustness.mce").missing == "the set has no genuine pairs"
    assert metric(result, "robustness.fmr.fog.3").value is not None
    assert metric(result, "robustness.similarity.fog.3").interval is not None


def test_a_run_is_its_own_reference_at_corruption_error_one(crowd, tmp_path: Path) -> None:
    images, subjects = crowd
    params = {"corruptions": ("grey", "low_resolution"), "severities": (5,), "probes": 120, "fmr": 1e-2}
    context = planted_context(images, subjects, loses_grey)
    first = ANALYSIS.run(context, Params(**params))
    assert "no reference run was given" in metric(first, "robustness.mce").missing
    record = {
        "inputs": {"dataset": {"digest": context.faces.digest}},
        "results": [
            {
                "name": "robustness",
                "metrics": [{"name": m.name, "value": m.value, "group": m.group} for m in first.metrics],
            }
        ],
    }
    (tmp_path / "run.json").write_text(json.dumps(record))
    again = ANALYSIS.run(context, Params(**params, reference=str(tmp_path)))
    found = metric(again, "robustness.mce")
    assert found.value == pytest.approx(1.0)
    assert found.interval.low < 1 < found.interval.high
    assert metric(again, "robustness.ce.grey").value == pytest.approx(1.0)
    with pytest.raises(DataError, match="lacks 1 cells"):
        ANALYSIS.run(context, Params(**{**params, "corruptions": ("fog",)}, reference=str(tmp_path)))
    record["inputs"]["dataset"]["digest"] = "other"
    (tmp_path / "run.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match="another face set"):
        ANALYSIS.run(context, Params(**params, reference=str(tmp_path)))
    with pytest.raises(DataError, match="No such file"):
        ANALYSIS.run(context, Params(**params, reference=str(tmp_path / "nowhere")))


def test_reconstructions_of_corrupted_vectors_are_judged_by_the_models_own_threshold(crowd) -> None:
    images, subjects = crowd

    class Remembers:
        """Gives back the training picture whose vector is nearest: a perfect inverter of clean vectors."""

        name, embedder_fingerprint, size_px = "remembers", "", 64

        def __init__(self) -> None:
            self.known = luma_pattern(images)
            self.known /= np.linalg.norm(self.known, axis=1, keepdims=True)

        def invert(self, id_vectors, seeds, *, guidance=2.0, steps=10):
            import cv2

            nearest = (id_vectors @ self.known.T).argmax(axis=1)
            out = []
            for image in images[nearest]:
                framed = cv2.copyMakeBorder(image, 16, 16, 16, 16, cv2.BORDER_REFLECT_101)
                out.append(cv2.resize(framed, (64, 64), interpolation=cv2.INTER_AREA))
            return np.stack(out)

    context = planted_context(images, subjects, inverter=Remembers())
    params = Params(corruptions=("grey", "jpeg"), severities=(1, 3), probes=8)
    result = ANALYSIS.run(context, params)
    assert metric(result, "robustness.reconstruction_match_clean").value == 1.0
    assert metric(result, "robustness.reconstruction_match").n == 4
    sheet = next(g for g in result.galleries if g.name == "robustness_reconstructions")
    assert [len(row.items) for row in sheet.rows] == [3, 3, 3, 3]
    assert all(float(item.lines[0].split()[0]) < 0.5 for item in sheet.rows[1].items)


def test_probes_spread_over_people_and_never_meet_themselves() -> None:
    subjects = np.repeat(np.arange(30), 4)
    subjects = np.append(subjects, 99)  # has no mate: never a probe while others have
    usable = np.ones(len(subjects), bool)
    usable[:4] = False
    pairs = probe_pairs(subjects, usable, 29, np.random.default_rng(0), strangers=10)
    assert sorted(subjects[pairs.probes]) == list(range(1, 30))
    assert not np.any(pairs.probes[pairs.row] == pairs.enrolled)
    assert np.array_equal(pairs.same, subjects[pairs.probes[pairs.row]] == subjects[pairs.enrolled])
    assert np.bincount(pairs.row[pairs.same]).tolist() == [3] * 29
    assert np.bincount(pairs.row[~pairs.same]).tolist() == [10] * 29
    assert usable[pairs.enrolled].all()
    more = probe_pairs(subjects, usable, 40, np.random.default_rng(0))
    assert np.bincount(subjects[more.probes]).max() == 2
    with pytest.raises(InsufficientData, match="at least 2 people"):
        probe_pairs(np.zeros(5, np.int64), np.ones(5, bool), 5, np.random.default_rng(0))


def test_a_protocol_without_identities_gives_its_own_pairs() -> None:
    left, right = np.arange(0, 40, 2), np.arange(1, 40, 2)
    protocol = PairList(left, right, np.arange(20) < 10, np.zeros(20, np.int64))
    pairs = protocol_pairs(protocol, np.arange(40), np.ones(40, bool), 12, np.random.default_rng(0))
    assert len(pairs.probes) == 12
    assert pairs.same.sum() == 6
    assert np.array_equal(pairs.enrolled, pairs.probes[pairs.row] + 1)
    assert np.array_equal(pairs.left == pairs.right, pairs.same)


def test_a_handful_of_genuine_pairs_gives_no_headline(crowd) -> None:
    images, subjects = crowd
    context = planted_context(images[:12], subjects[:12], loses_grey)
    result = ANALYSIS.run(context, Params(corruptions=("grey", "fog"), severities=(5,), probes=12))
    assert result.headline.startswith(
        "No corruption can be called harmful or harmless: too few people carry the pairs"
    )
    assert {f.severity for f in result.findings} == {"info"}
    clean = metric(result, "robustness.fnmr.clean")
    assert clean.interval is None
    assert "too few people" in clean.interval_missing


def test_every_metric_has_an_interval_or_says_why_not(crowd, planted: AnalysisResult) -> None:
    images, subjects = crowd
    few = ANALYSIS.run(
        planted_context(images[:12], subjects[:12]), Params(corruptions=("grey",), severities=(5,), probes=8)
    )
    for m in (*planted.metrics, *few.metrics):
        if m.value is None:
            assert m.missing
            continue
        assert (m.interval is None) == bool(m.interval_missing), m.name
        if m.interval is not None:
            assert m.interval.low - 1e-9 <= m.value <= m.interval.high + 1e-9, m.name


def test_a_large_face_is_reduced_and_its_landmarks_follow() -> None:
    import cv2

    picture = np.zeros((1200, 1600, 3), np.uint8)
    points = ((ARCFACE_112 - 56) * 6 + np.array([900, 500])).astype(np.float32)
    for x, y in points:
        cv2.circle(picture, (round(float(x)), round(float(y))), 8, (255, 255, 255), -1)
    small, moved = working_copy(picture, points, False)
    assert np.linalg.norm(moved[1] - moved[0]) == pytest.approx(120, rel=0.01)
    assert small.shape[0] < 900
    for x, y in np.rint(moved).astype(int):
        assert small[y, x].min() > 200
    same, kept = working_copy(picture[:300, :300], ARCFACE_112, True)
    assert same.shape == (300, 300, 3)
    np.testing.assert_array_equal(kept, ARCFACE_112)


def test_groups_need_a_few_values() -> None:
    masks = group_masks(np.array(["a", "b", "", "a"]))
    assert {k: v.tolist() for k, v in masks.items()} == {
        "a": [True, False, False, True],
        "b": [False, True, False, False],
    }
    assert group_masks(np.array([0.1, 0.2, np.nan])).keys() == {"0.1", "0.2"}
    assert group_masks(np.linspace(0, 1, 30)) == {}


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ValueError, match="severities"):
        Params(severities=(0, 6))
    with pytest.raises(ValueError, match="probes"):
        Params(probes=1)
    with pytest.raises(ValueError, match="fmr"):
        Params(fmr=2.0)
    images, subjects = identity_faces(6, 2)
    with pytest.raises(UsageError, match="unknown corruption 'foo'"):
        ANALYSIS.run(planted_context(images, subjects), Params(corruptions=("foo",)))
    with pytest.raises(DataError, match="no attribute 'shoe'"):
        ANALYSIS.run(planted_context(images, subjects), Params(corruptions=("grey",), probes=8, by="shoe"))


def test_out_of_distribution_faces_are_compared_with_what_the_set_itself_does(crowd) -> None:
    """The bundled sample as strangers to a crowd of patterns: found by declaration, near to nobody in particular."""
    images, subjects = crowd
    context = planted_context(images, subjects)
    params = Params(corruptions=("grey",), severities=(1,), probes=8, ood="sample")
    result = ANALYSIS.run(context, params)
    assert metric(result, "robustness.ood.detected").value == 1.0
    nearest = metric(result, "robustness.ood.nearest")
    assert nearest.interval.low < nearest.value < nearest.interval.high
    assert any(f.name == "robustness_ood" for f in result.figures)
    with pytest.raises(DataError):
        ANALYSIS.run(context, Params(corruptions=("grey",), severities=(1,), probes=8, ood="/nowhere/at/all"))


def test_vectors_that_crowd_together_show_it() -> None:
    from fraudit.analyses.robustness.ood import nearest_parts

    rng = np.random.default_rng(0)
    known = rng.normal(size=(60, 16))
    context = vectors_context(known, np.arange(60))
    centre = rng.normal(size=16)
    strange = centre + 0.2 * rng.normal(size=(30, 16))
    strange = (strange / np.linalg.norm(strange, axis=1, keepdims=True)).astype(np.float32)
    parts = nearest_parts(context, strange, context.threshold(1e-2))
    within = next(m for m in parts.metrics if m.name == "robustness.ood.within")
    expected = (strange @ strange.T)[np.triu_indices(30, 1)].mean()
    assert within.value == pytest.approx(expected, abs=1e-6)
    assert within.interval.low < within.value < within.interval.high
    assert within.value > 0.9
    assert parts.tables[0].rows[0]["known"] < 0.1
    with pytest.raises(InsufficientData, match="at least 2 vectors"):
        nearest_parts(context, strange[:1], context.threshold(1e-2))
