"""The wiring test: a planted better model is found, equal ones are not, and a card is changed line by line."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import numpy as np
import pytest

from fraudit.analyses.doctor.card_lines import changed_card
from fraudit.analyses.doctor.hypotheses import OWN, STATED, Hypothesis, answered, options, template_points
from fraudit.analyses.doctor.judging import Wiring, compared
from fraudit.analyses.doctor.measure import Sanity
from fraudit.analyses.doctor.report import answer, card_findings, headline
from fraudit.analyses.doctor.screening import chosen_faces
from fraudit.analyses.doctor.wiring_report import maybe_better, weighed, wiring_parts
from fraudit.errors import InsufficientData
from fraudit.stats.separations import Gain, gains, separation
from fraudit.stats.verification import split
from fraudit.types import ARCFACE_112, EmbedderSpec, LoadedEmbedder, Network, Preprocess, unit_rows

PEOPLE = 120


def vectors_of(noise: float, seed: int, people: int = PEOPLE) -> np.ndarray:
    """f32[2 people,32]: two noisy pictures of each person; the same people whatever the noise and seed."""
    who = np.random.default_rng(0).normal(size=(people, 32)).repeat(2, axis=0)
    return (who + noise * np.random.default_rng(seed).normal(size=who.shape)).astype(np.float32)


SUBJECTS = np.arange(PEOPLE).repeat(2)


def box(network: bool = True) -> LoadedEmbedder:
    """A box whose input is described and never used."""
    spec = EmbedderSpec("toy", 32, Preprocess((112, 112), ARCFACE_112, channels="BGR"), "", "")
    asked = Network(lambda x, output, layout: x.mean(axis=(2, 3)), ("y", "z"), ("NCHW",)) if network else None
    return LoadedEmbedder(
        spec, lambda faces: faces.mean(axis=(1, 2)).astype(np.float32), "0" * 64, network=asked
    )


def world(right: Hypothesis, seed: int):
    """Answers of a model for which `right` is better than all else."""
    made = {True: vectors_of(0.5, 100 + seed), False: vectors_of(0.62, 200 + seed)}
    return lambda rows, h: made[h == right or (h.template == "mirrored" and right == Hypothesis())][rows]


def judged(right: Hypothesis, seed: int):
    rng = np.random.default_rng(seed)
    screen, test, _ = chosen_faces(SUBJECTS, 60, 180, rng)
    return compared(box(), SUBJECTS, screen, test, world(right, seed), rng)


def test_d_is_that_of_all_pairs() -> None:
    unit = unit_rows(vectors_of(0.5, 1))
    left, right = np.triu_indices(len(unit), 1)
    genuine, impostor = split((unit @ unit.T)[left, right], SUBJECTS[left] == SUBJECTS[right])
    expected = (genuine.mean() - impostor.mean()) / impostor.std()
    found = separation(unit, SUBJECTS)
    assert found.value == pytest.approx(expected, rel=1e-4)
    one = separation(unit[2:], SUBJECTS[2:])  # without the first person
    assert found.people[0] == pytest.approx(PEOPLE * found.value - (PEOPLE - 1) * one.value, rel=1e-3)


def test_equal_models_are_rarely_told_apart() -> None:
    smallest = []
    for seed in range(60):
        three = [separation(unit_rows(vectors_of(0.5, 10 * seed + k)), SUBJECTS) for k in range(4)]
        smallest.append(min(g.p for g in gains(three[0], three[1:], np.random.default_rng(seed), draws=999)))
    assert np.mean(np.array(smallest) <= 0.05) <= 0.15


@pytest.mark.parametrize("seed", range(3))
def test_a_planted_wiring_is_named_with_its_line(seed: int) -> None:
    found = judged(Hypothesis(channels="RGB"), seed)
    assert found.best is not None
    assert found.best.hypothesis == Hypothesis(channels="RGB")
    (finding,) = wiring_parts(found)[2]
    assert finding.severity == "high"
    assert 'with channels = "RGB" in the place of channels = "BGR" in the card' in finding.text


@pytest.mark.parametrize("seed", range(3))
def test_a_rightly_wired_model_is_left_alone(seed: int) -> None:
    found = judged(Hypothesis(), seed)
    assert found.best is None
    assert [f.severity for f in wiring_parts(found)[2]] == ["info"]


def wide_world(noise: float, other: str, seed: int):
    """800 people, of whom the wiring `other` has less noise: (subjects, screen, test, wider, answers)."""
    subjects = np.arange(800).repeat(2)
    stated, better = vectors_of(0.6, 300 + seed, 800), vectors_of(noise, 400 + seed, 800)
    better = (0.98 * stated + 0.02 * better if noise == 0.6 else better).astype(np.float32)
    rng = np.random.default_rng(seed)
    screen, test, wider = chosen_faces(subjects, 60, 200, rng, 1400)
    worse = vectors_of(0.8, 500 + seed, 800)
    made = {Hypothesis(): stated, Hypothesis(channels=other): better, Hypothesis(template="mirrored"): stated}
    return subjects, screen, test, wider, lambda rows, h: made.get(h, worse)[rows]


def test_what_the_first_faces_leave_open_is_judged_on_more() -> None:
    alone, widened = 0, 0
    for seed in range(4):
        subjects, screen, test, wider, answers = wide_world(0.565, "RGB", seed)
        one = compared(box(), subjects, screen, test, answers, np.random.default_rng(seed))
        two = compared(
            box(), subjects, screen, test, answers, np.random.default_rng(seed), more=lambda w=wider: w
        )
        alone += one.best is not None
        if two.best is not None:
            widened += 1
            assert two.best.hypothesis == Hypothesis(channels="RGB")
            assert f"{two.best.people} people" in wiring_parts(two)[2][0].text
    assert alone <= 1
    assert widened == 4


def test_more_faces_are_not_asked_where_the_first_ones_decide() -> None:
    subjects, screen, test, _, answers = wide_world(0.4, "RGB", 0)

    def more() -> np.ndarray:
        raise AssertionError("decided already")

    found = compared(box(), subjects, screen, test, answers, np.random.default_rng(0), more=more)
    assert found.best is not None
    assert found.best.people == 100


def test_the_second_stage_corrects_for_all_that_the_first_one_judged() -> None:
    subjects, screen, test, wider, answers = wide_world(0.565, "RGB", 0)
    only = ("channels", "template")
    found = compared(
        box(), subjects, screen, test, answers, np.random.default_rng(0), only, more=lambda: wider
    )
    (wide,) = [t for t in found.tried if t.people > 100]
    assert wide.gain.p == pytest.approx(len(found.tried) / 30_000)  # the smallest p of 29,999 draws


def test_what_cannot_be_told_apart_is_said_in_one_line() -> None:
    subjects, screen, test, _, answers = wide_world(0.6, "RGB", 2)
    found = compared(box(), subjects, screen, test, answers, np.random.default_rng(2), ("channels",))
    none, equal = wiring_parts(found)[2]
    assert none.rule == "doctor.wiring_none"
    assert equal.severity == "info"
    assert equal.text.startswith(
        "These faces cannot tell from the stated wiring, d' within 5\u202f% (1.5\u202f% where"
    )
    assert "channels RGB (+1.0\u202f%, " in equal.text
    assert equal.text.endswith("Better, but by less than that: channels RGB.")
    assert wiring_parts(found)[1][0].rows[1]["verdict"] == "as good"


@pytest.mark.parametrize("wrong", [False, True], ids=["stated rightly", "stated wrongly"])
def test_scales_that_a_network_hardly_notices_are_as_good_as_each_other(wrong: bool) -> None:
    """The other of -1..1 (the toy's) and 127.5/128 is no finding; where both are better, one is the other's double."""
    rng = np.random.default_rng(0)
    screen, test, _ = chosen_faces(SUBJECTS, 60, 180, rng)
    trained, worse = vectors_of(0.5, 1), vectors_of(0.8, 2)
    near = trained * np.float32(127.5 / 128) + 1e-3 * vectors_of(0.5, 3)
    stated, named = Hypothesis(), "normalisation 127.5/128"
    made = {Hypothesis(normalisation="ImageNet"): near, Hypothesis(normalisation="127.5/128"): trained}
    if not wrong:
        made = {stated: near, Hypothesis(normalisation="127.5/128"): trained}
    found = compared(box(), SUBJECTS, screen, test, lambda rows, h: made.get(h, worse)[rows], rng)
    findings = wiring_parts(found)[2]
    verdicts = {row["wiring"]: row["verdict"] for row in wiring_parts(found)[1][0].rows}
    if not wrong:
        assert [f.rule for f in findings] == ["doctor.wiring_none", "doctor.wiring_equivalent"]
        assert f"at both bounds: {named} (" in findings[1].text
        assert verdicts[named] == "as good"
        return
    (finding,) = findings
    best, double = found.best, found.equal[0]
    assert best is not None
    assert {best.hypothesis, double.hypothesis} == set(made)
    assert abs(double.gain.low) < 0.05
    assert (
        "As good as that, d' within 5\u202f% (1.5\u202f% where the channels alone differ) at both bounds: "
        in finding.text
    )
    assert f"{double.hypothesis.words} (" in finding.text
    assert verdicts[best.hypothesis.words] == "better: the one to use"
    assert verdicts[double.hypothesis.words] == "as good as the one to use"


def test_too_few_people_to_tell_is_said() -> None:
    found = judged(Hypothesis(), 1)
    few = replace(found.tried[0], gain=Gain(0.01, -0.1, 0.12, 0.4))
    texts = [f.text for f in wiring_parts(replace(found, tried=(few,)))[2]]
    assert texts[1].startswith(
        f"Too few people to tell whether it is better: {few.hypothesis.words} (+1.0\u202f%"
    )


@pytest.mark.parametrize(
    ("gain", "begins", "verdict"),
    [
        (
            Gain(0.05, 0.004, 0.096, 0.004),
            "Better, with too few people to tell beyond doubt",
            "better; too few people",
        ),
        (
            Gain(0.09, 0.06, 0.12, 0.004),
            "Better, with too few people to tell beyond doubt",
            "better by 5\u202f% at 95",
        ),
        (
            Gain(0.05, -0.004, 0.104, 0.2),
            "Too few people to tell whether it is better",
            "too few people to tell",
        ),
    ],
)
def test_words_of_an_open_wiring_agree_with_its_interval(gain: Gain, begins: str, verdict: str) -> None:
    """An interval without 0 says better; open is then only by how much, or whether beyond doubt."""
    found = judged(Hypothesis(), 1)
    one = replace(found.tried[0], hypothesis=Hypothesis(normalisation="0..1"), gain=gain)
    _, (table, *_), findings, _ = wiring_parts(replace(found, tried=(one,)))
    assert findings[1].text.startswith(begins)
    assert table.rows[1]["verdict"].startswith(verdict)
    assert answer(findings, wiring=True).endswith("other wirings, named below, do clearly better.")
    may = maybe_better(replace(found, tried=(one,)))
    assert bool(may) == (gain.low > 0)
    if may:
        expected = (
            "Nothing wrong was shown; one wiring may be better: normalisation 0..1; more people would tell."
        )
        assert headline(Sanity(), findings, may) == expected
        assert answer(findings, True, may) == expected
    else:
        assert headline(Sanity(), findings, may).startswith("Nothing wrong was seen")


UNIT = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
HALVES = {"mean": (0.6, 0.6, 0.6), "std": (0.3, 0.3, 0.3)}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("numbers", "own"), [(UNIT, "ImageNet"), (HALVES, OWN)], ids=["ImageNet", "none of the named"]
)
def test_a_cards_own_numbers_times_255_are_the_cure_where_others_are_as_good(
    numbers: dict[str, tuple[float, float, float]], own: str, seed: int
) -> None:
    """127.5/128 is a little better here, as chance may have it; the note about the card names the other cure."""
    plain, trained = box(), vectors_of(0.5, 1)
    loaded = replace(plain, spec=replace(plain.spec, preprocess=replace(plain.spec.preprocess, **numbers)))
    mine, other = Hypothesis(normalisation=own), Hypothesis(normalisation="127.5/128")
    made = {mine: trained + 1e-2 * vectors_of(0.5, 3), other: trained}
    rng = np.random.default_rng(seed)
    screen, test, _ = chosen_faces(SUBJECTS, 60, 180, rng)

    def told(made: dict[Hypothesis, np.ndarray]) -> tuple[Wiring, str]:
        worse = vectors_of(0.8, 2)
        found = compared(loaded, SUBJECTS, screen, test, lambda rows, h: made.get(h, worse)[rows], rng)
        (finding,) = wiring_parts(found)[2]
        return found, finding.text

    found, text = told(made)
    assert found.best is not None
    assert found.best.hypothesis == mine
    assert "These are the card's own numbers times 255" in text
    assert "As good as that, " in text
    mean = ", ".join(f"{255 * v:g}" for v in numbers["mean"])
    assert f"with mean = {'153' if own == OWN else f'[{mean}]'} and std = " in text

    found, text = told({other: trained, mine: vectors_of(0.75, 4)})  # not near: then how it relates
    assert found.best is not None
    assert found.best.hypothesis == other
    assert f"The card's own numbers times 255 (normalisation {own}) change d' by +" in text


def test_a_card_that_looks_wrong_and_is_right_is_no_finding() -> None:
    plain, trained, worse = box(), vectors_of(0.5, 1), vectors_of(0.8, 2)
    loaded = replace(plain, spec=replace(plain.spec, preprocess=replace(plain.spec.preprocess, **UNIT)))
    rng = np.random.default_rng(0)
    screen, test, _ = chosen_faces(SUBJECTS, 60, 180, rng)
    found = compared(
        loaded, SUBJECTS, screen, test, lambda rows, h: (worse if h.changes else trained)[rows], rng
    )
    (finding,) = weighed(card_findings(("mean and std look wrong.",)), found)
    assert finding.severity == "info"
    assert "Here it is right as it stands: with its numbers times 255 d' changes by \u2212" in finding.text
    better = replace(found, best=found.tried[0])
    assert weighed(card_findings(("mean and std look wrong.",)), better)[0].severity == "medium"


def test_the_wider_faces_hold_those_of_the_test_and_nobody_who_screened() -> None:
    counts = np.random.default_rng(3).integers(1, 7, 150)
    subjects = np.arange(150).repeat(counts)
    screen, test, wider = chosen_faces(subjects, 60, 200, np.random.default_rng(0), 350)
    assert set(test) < set(wider)
    assert len(set(wider)) == len(wider)
    assert not set(subjects[screen]) & set(subjects[wider])


def test_screened_and_judged_people_are_not_the_same() -> None:
    screen, test, _ = chosen_faces(SUBJECTS, 60, 100, np.random.default_rng(0))
    assert not set(SUBJECTS[screen]) & set(SUBJECTS[test])
    assert len(screen) == 60
    assert len(test) == 100
    assert np.unique(SUBJECTS[test], return_counts=True)[1].min() == 2


def test_what_lies_inside_the_box_is_not_tried_and_said() -> None:
    values, missing = options(box(network=False))
    assert "normalisation" not in values
    assert dict(missing)["normalisation"] == "it is done inside the box"
    assert values["output" if "output" in values else "channels"]
    assert "arcface-112" not in values["template"]


def test_channels_and_normalisation_reach_the_network() -> None:
    faces = np.zeros((2, 112, 112, 3), np.uint8)
    faces[..., 0] = 200
    as_stated = answered(box(), faces, Hypothesis())
    swapped = answered(box(), faces, Hypothesis(channels="RGB", normalisation="0..1"))
    assert as_stated[0].argmax() == 2
    assert swapped[0].argmax() == 0
    assert swapped[0] == pytest.approx([200 / 255, 0, 0], abs=1e-5)
    assert Hypothesis().channels == STATED


def test_too_few_people_are_a_clear_line() -> None:
    with pytest.raises(InsufficientData, match="10 people with two pictures"):
        separation(unit_rows(vectors_of(0.5, 1, 10)), SUBJECTS[:20])


def test_a_card_is_changed_line_by_line_and_keeps_its_comments() -> None:
    card = '# mine\nname = "a"  # kept\nmean = [\n  1,\n  2, 3]\nchannels = "BGR"\n[inputs]\nmean = 3\n'
    changed = changed_card(card, {"channels": '"RGB"', "mean": "127.5", "output": '"z"'})
    assert "# mine" in changed
    assert "# kept" in changed
    expected = {"output": "z", "name": "a", "mean": 127.5, "channels": "RGB", "inputs": {"mean": 3}}
    assert tomllib.loads(changed) == expected


def test_templates_of_another_size_keep_their_middle() -> None:
    for name in ("arcface-112", "dlib-150", "tight crop"):
        square, tall = template_points(name, (112, 112)), template_points(name, (112, 96))
        assert np.allclose(square - [8, 0], tall, atol=1e-4)
    assert replace(box(), batch_size=4).batch_size == 4


PIXELS = vectors_of(1.4, 9)  # d' of about 1.9


def beside_pixels(noise: float, less: float, only: tuple[str, ...] = (), people: int = PEOPLE) -> Wiring:
    """A model with this noise as stated, and less of it with RGB, beside pixels that have more of it."""
    chosen = np.arange(people).repeat(2)
    rng = np.random.default_rng(1)
    screen, test, _ = chosen_faces(chosen, 30, 2 * people, rng)
    stated, better = vectors_of(noise, 11, people), vectors_of(less, 12, people)
    made = {Hypothesis(): stated, Hypothesis(channels="RGB"): better}
    worse = vectors_of(2.0, 13, people)
    return compared(
        box(),
        chosen,
        screen,
        test,
        lambda rows, h: made.get(h, worse)[rows],
        rng,
        only,
        plain=lambda r: PIXELS[r],
    )


def test_of_a_model_that_does_not_tell_people_apart_no_wiring_is_blamed() -> None:
    found = beside_pixels(2.2, 1.65)
    assert found.pixels is not None
    assert found.pixels.told == "no"
    assert any(t.better for t in found.tried)  # a finding of before
    (finding,) = wiring_parts(found)[2]
    assert (finding.rule, finding.severity) == ("doctor.unseparated", "high")
    assert finding.text.startswith("This model does not tell people apart, in none of ")
    assert "How it is wired can therefore not be judged" in finding.text


def test_of_what_was_named_a_finding_stands_with_that_remark() -> None:
    (finding,) = wiring_parts(beside_pixels(2.2, 1.65, ("channels",)))[2]
    assert finding.rule == "doctor.wiring"
    assert "Even so it does not tell people apart: at best (channels RGB) d' is " in finding.text


def test_a_model_beyond_the_pixels_is_judged_and_too_few_people_are_said() -> None:
    (finding,) = wiring_parts(beside_pixels(0.9, 0.7))[2]
    assert finding.rule == "doctor.wiring"
    (finding,) = wiring_parts(beside_pixels(1.4, 1.35, people=34))[2]
    assert (finding.rule, finding.severity) == ("doctor.unseparated_open", "info")
