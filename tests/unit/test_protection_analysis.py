"""Protection: planted truths on people whose vectors are known, and what cannot be measured."""

from __future__ import annotations

import re

import numpy as np
import pytest

from fraudit.analyses.protection import ANALYSIS, Params, run
from fraudit.analyses.protection.attacks import Success, success
from fraudit.analyses.protection.measure import chosen_schemes, finding_level
from fraudit.analyses.protection.report import recovered_words
from fraudit.cli.main import run as command
from fraudit.errors import InsufficientData, PluginError
from fraudit.formatting import percent, points
from fraudit.stats.estimates import Estimate
from fraudit.stats.template_recovery import Prior, least_squares, linear_map, to_others
from fraudit.types import AnalysisResult, Interval, Metric, unit_rows
from tests.fixtures.contexts import vectors_context


def people(count: int = 160, each: int = 3, dim: int = 48, seed: int = 0, noise: float = 0.6):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((count, 1, dim))
    vectors = (centres + noise * rng.standard_normal((count, each, dim))).reshape(-1, dim)
    return vectors.astype(np.float32), np.repeat(np.arange(count), each)


def measured(schemes: tuple[str, ...], **more: object) -> AnalysisResult:
    options = {"learnt": 1000, "mlp": False, **more}
    return run(vectors_context(*people()), Params(schemes=schemes, **options))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def found() -> AnalysisResult:
    return measured(("identity", "int8", "projection", "iom:m=16:q=2", "biohashing"), mlp=True)


def metric(result: AnalysisResult, name: str) -> Metric:
    return next(m for m in result.metrics if m.name == f"protection.{name}")


def rules(result: AnalysisResult, scheme: str) -> dict[str, str]:
    return {f.rule: f.severity for f in result.findings if f.text.startswith(f"{scheme}:")}


def test_a_rotation_is_reversed_with_the_key_and_is_not_linked(found: AnalysisResult) -> None:
    assert metric(found, "projection.cosine_with_key").value == pytest.approx(1, abs=1e-4)
    assert "projection" in found.answer.split(" can be turned back into a face vector by who has the key")[0]
    assert metric(found, "projection.vector_attack1_with_key").value == 1
    linked = metric(found, "projection.d_sys")
    assert linked.interval is not None
    assert linked.interval.low == 0
    assert linked.interval.high < 0.2
    over = metric(found, "projection.vector_attack2_excess_without_key")
    assert over.interval is not None
    assert over.interval.low <= 0
    assert metric(found, "projection.eer_change_same_key").value == pytest.approx(0, abs=1e-3)
    assert rules(found, "projection") == {"protection.reversible": "medium"}
    (said,) = [f.text for f in found.findings if f.text.startswith("projection:")]
    assert "someone with the key recovers a vector" in said.partition(" Also: ")[0]
    rest = said.partition(" Also: ")[2]
    assert re.search(
        r"recovered without the key \(above chance by .*, so that chance is not ruled out\)", rest
    )
    assert "no link across keys was found (D_sys 0." in said


def test_a_scheme_has_one_finding_and_the_severest_scheme_is_first(found: AnalysisResult) -> None:
    named = [f.text.split(": ")[0] for f in found.findings[:-1]]
    assert sorted(named) == sorted(["projection", "iom:m=16:q=2", "biohashing"])
    order = [("high", "medium", "low", "info").index(f.severity) for f in found.findings]
    assert order == sorted(order)
    for finding in found.findings[:-1]:
        assert len(finding.text) < 750
        assert finding.text.count("FNMR with one key") == 1
        assert len(set(finding.evidence)) == len(finding.evidence) >= 4


def test_schemes_that_claim_nothing_share_one_finding_with_the_figures_of_each(found: AnalysisResult) -> None:
    plain = found.findings[-1]
    assert (plain.severity, plain.rule) == ("info", "protection.plain")
    assert plain.text.startswith("identity, int8 are not meant to protect")
    recovered, linked, lost = re.findall(r"(?<=: )identity .*?(?=\.(?: |$))", plain.text)
    for name in ("identity", "int8"):
        two = metric(found, f"{name}.vector_attack2_with_key")
        assert f"{name} {percent(two.value)} (above chance by " in recovered
        link = metric(found, f"{name}.d_sys")
        assert link.interval is not None
        assert f"{name} {link.value:.2f} ({link.interval.low:.2f} to {link.interval.high:.2f})" in linked
        assert f"{name} {points(metric(found, f'{name}.fnmr_change_same_key').value, 2)} (" in lost
        named = {e for e in plain.evidence if e.startswith(f"protection.{name}.")}
        assert {two.name, link.name, f"protection.{name}.fnmr_change_same_key"} <= named
    assert f" of {metric(found, 'identity.vector_attack2_with_key').n} people" in plain.text
    assert len(plain.text) < 750


def test_one_that_claims_nothing_alone_speaks_for_itself() -> None:
    (told,) = measured(("identity",)).findings
    assert told.text.startswith("identity: of ")
    assert "linked across databases" in told.text  # it has no key
    assert told.rule == "protection.plain"


@pytest.mark.parametrize(
    ("usual", "sure", "words"),
    [
        ((0.2, 0.5), (0.1, 0.6), "(above chance by 20 to 50 points)"),
        (
            (0.2, 0.5),
            (-0.1, 0.6),
            "(above chance by 20 to 50 points at 95 %, less sure than a finding takes)",
        ),
        ((-0.2, 0.1), (-0.3, 0.2), "points, so that chance is not ruled out)"),
    ],
)
def test_words_of_an_attack_agree_with_its_interval(
    usual: tuple[float, float], sure: tuple[float, float], words: str
) -> None:
    def estimate(ends: tuple[float, float]) -> Estimate:
        return Estimate(0.3, Interval(*ends), 30, 30)

    two = Success(*[estimate(ends) for ends in ((0.1, 0.9), (0.1, 0.9), usual, sure)])
    assert words in recovered_words(two, "without the key").replace("\u202f", " ")


def test_polyprotect_is_linked_by_who_knows_it_and_strangers_are_not() -> None:
    """Moved templates are nearly the vectors; where vectors say nothing of people nothing is linked."""
    near = measured(("polyprotect",))
    own, knowing = metric(near, "polyprotect.d_sys"), metric(near, "polyprotect.d_sys_knowing")
    assert own.value is not None
    assert knowing.value is not None
    assert knowing.value > own.value + 0.2
    (told,) = near.findings
    assert "by someone who knows the scheme" in told.text
    assert "protection.polyprotect.d_sys_knowing" in told.evidence
    vectors, subjects = people(noise=50.0)
    rng = np.random.default_rng(5)
    again = run(
        vectors_context(rng.permutation(vectors), subjects),
        Params(schemes=("polyprotect",), mlp=False, learnt=1000),
    )
    assert metric(again, "polyprotect.d_sys_knowing").interval.low == 0  # type: ignore[union-attr]


def test_iom_has_no_better_score_than_its_own(found: AnalysisResult) -> None:
    assert not [m for m in found.metrics if m.name.endswith("d_sys_knowing")]


def test_identity_is_linked_and_reversed_and_nothing_follows_as_it_claims_nothing(
    found: AnalysisResult,
) -> None:
    linked = metric(found, "identity.d_sys")
    assert linked.interval is not None
    assert linked.interval.low > 0.8
    assert metric(found, "identity.cosine_with_key").value == pytest.approx(1, abs=1e-5)
    assert {f.severity for f in found.findings if "protection.identity.d_sys" in f.evidence} == {"info"}
    assert not any(
        m.name.startswith("protection.identity.") and "without_key" in m.name for m in found.metrics
    )


def test_int8_is_no_protection(found: AnalysisResult) -> None:
    assert metric(found, "int8.cosine_with_key").value > 0.99  # type: ignore[operator]
    assert metric(found, "int8.d_sys").value > 0.8  # type: ignore[operator]


def test_a_short_hash_is_much_less_reversible_than_a_rotation(found: AnalysisResult) -> None:
    short, signs = (metric(found, f"{s}.cosine_with_key") for s in ("iom_m_16_q_2", "biohashing"))
    assert short.interval is not None
    assert short.interval.high < 0.6
    # Signs on D orthonormal axes: at best sqrt(2 / pi) = 0.80 for isotropic vectors.
    assert signs.value == pytest.approx(np.sqrt(2 / np.pi), abs=0.06)


def test_keys_of_their_own_hide_what_one_key_for_all_costs(found: AnalysisResult) -> None:
    """Strangers' templates are told apart by their keys: the reason why both are measured."""
    assert metric(found, "biohashing.eer_own_key").value <= metric(found, "biohashing.eer_same_key").value  # type: ignore[operator]
    assert metric(found, "biohashing.fnmr_change_same_key").value >= 0  # type: ignore[operator]


def test_every_figure_has_its_interval_or_the_reason(found: AnalysisResult) -> None:
    for m in found.metrics:
        assert m.label
        if m.value is None:
            assert m.missing
            continue
        assert m.n
        if m.interval is None:
            assert m.interval_missing
        else:
            assert m.interval.low - 1e-9 <= m.value <= m.interval.high + 1e-9, m.name
    assert {t.name for t in found.tables} == {"protection_schemes", "protection_attacks"}
    assert any("No pictures were made" in c for c in found.caveats)


def test_a_scheme_that_cannot_take_the_vectors_is_named_and_the_others_go_on() -> None:
    result = measured(("projection:dims=300", "projection"))
    missing = metric(result, "projection_dims_300.d_sys").missing
    assert missing is not None
    assert "found 48" in missing
    assert metric(result, "projection.d_sys").value is not None
    with pytest.raises(InsufficientData, match="300 orthogonal axes"):
        measured(("projection:dims=300",))


def test_too_few_people_and_unknown_schemes_have_a_clear_line() -> None:
    vectors, subjects = people(40)
    with pytest.raises(
        InsufficientData, match="needs 50 people with two pictures that have a vector; found 40"
    ):
        run(vectors_context(vectors, subjects), Params())
    with pytest.raises(PluginError, match="unknown protection scheme 'biohash'"):
        chosen_schemes(Params(schemes=("biohash",)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"key": -1}, "key: expected"),
        ({"key": 2**63}, "key: expected"),
        ({"schemes": ()}, "schemes: expected"),
        ({"fmr": 1.0}, "fmr: expected"),
        ({"most": 1}, "most: expected"),
        ({"faces": -1}, "faces: expected"),
    ],
)
def test_parameters_out_of_range_are_refused(options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Params(**options)


def test_the_command_refuses_before_it_embeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["protection", "--embedder", "dlib", "--scheme", "biohashin"]) == 4
    assert "did you mean 'biohashing'" in capsys.readouterr().err
    assert command(["protection", "--dataset", "sample"]) == 2
    assert "expected --embedder or --vectors" in capsys.readouterr().err
    assert command(["protection", "--embedder", "dlib", "--key", "-3"]) == 2
    assert "key: expected a whole number" in capsys.readouterr().err


def test_it_is_part_of_an_audit_only_where_it_is_asked_for() -> None:
    assert ANALYSIS.on_request


def test_the_level_of_findings_is_shared_by_the_schemes_that_claim_to_protect() -> None:
    one = finding_level(chosen_schemes(Params(schemes=("projection", "identity"))))
    two = finding_level(chosen_schemes(Params(schemes=("projection", "iom"))))
    assert (1 - one) * 3 / 2 == pytest.approx(0.001)
    assert (1 - two) == pytest.approx((1 - one) / 2)


# -- the statistics below


def test_least_squares_gives_a_seen_vector_back_and_the_likeliest_of_one_half_seen() -> None:
    rng = np.random.default_rng(0)
    unit = unit_rows(rng.standard_normal((400, 10)).astype(np.float32))
    prior = Prior.of(unit)
    turn = np.linalg.qr(rng.standard_normal((10, 10)))[0]
    np.testing.assert_allclose(least_squares(unit @ turn, turn, prior), unit, atol=1e-4)
    # Entries 0 and 1 are the same number in everybody: who sees one knows the other.
    twins = unit.copy()
    twins[:, 1] = twins[:, 0]
    seen = np.eye(10)[:, :1]
    guess = least_squares(twins @ seen, seen, Prior.of(twins))
    assert np.corrcoef(guess[:, 1], twins[:, 1])[0, 1] > 0.999
    assert abs(np.polyfit(twins[:, 1], guess[:, 1], 1)[0] - 0.9) < 0.03  # drawn towards the even one by 0.1


def test_linear_schemes_are_told_from_others() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((6, 4))
    found = linear_map(lambda v: v @ matrix, 6, rng)
    assert found is not None
    np.testing.assert_allclose(found, matrix, atol=1e-6)
    assert linear_map(lambda v: (v @ matrix) ** 3, 6, rng) is None
    assert linear_map(np.sign, 6, rng) is None


def test_likeness_to_others_leaves_the_own_person_out() -> None:
    unit = np.eye(3, dtype=np.float32)
    recovered = np.array([[0, 1, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    rows, parts = to_others(recovered, unit, np.array([0, 1, 2]))
    np.testing.assert_allclose(rows, [0.5, 0, 0])
    # Columns: nobody else's recovered vector is like person 0's or 2's, one of two is like person 1's.
    np.testing.assert_allclose(parts, [0.5 - 0.5 / 3, 0.5 - 0.5 / 3, -0.5 / 3])
    assert parts.mean() == pytest.approx(rows.mean())


def test_chance_of_vectors_that_are_all_one_is_of_the_people_shown_alone() -> None:
    unit, people, every = np.eye(25, dtype=np.float32), np.arange(25), np.ones(25, bool)
    guess = np.tile(unit[:1] + unit[1:2], (25, 1)) / np.float32(np.sqrt(2))
    for at, alike, least in ((0.9, True, 0.12), (0.9, False, 0.0), (0.6, True, 0.2)):
        found = success(guess, every, unit, every, people, at, 0.95, 0, alike)
        assert found is not None
        assert found.chance.interval is not None
        assert found.chance.interval.low <= found.chance.value <= found.chance.interval.high
        assert found.chance.interval.high > least
        if not alike:
            assert found.chance.interval.high < 0.05
