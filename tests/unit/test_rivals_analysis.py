"""The comparison of inversion methods over planted faces: who knows the faces wins, who shows strangers does not."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fraudit.analyses.rivals import ANALYSIS, Params, methods, run
from fraudit.analyses.rivals.methods import known_methods
from fraudit.audit.context import AnalysisContext
from fraudit.errors import UsageError
from fraudit.files.store import Store
from fraudit.inverters.rivals.attack import Setting
from fraudit.plugins import INVERTERS
from fraudit.report.record import normalise
from fraudit.types import AnalysisResult
from tests.fixtures.boxes import identity_faces, luma_pattern
from tests.fixtures.contexts import planted_context, saved_pictures
from tests.fixtures.inverters import Planted

QUICK = Params(people=20, samples=2, questions=48, pool=40, fmrs=(1e-2,), methods=("id3pm", "gaussian"))


def blurred(images: np.ndarray) -> np.ndarray:
    """A second embedder: the first one's cells, mixed."""
    mix = np.random.default_rng(5).normal(0, 1, (64, 64)).astype(np.float32)
    return np.asarray(luma_pattern(images) @ mix, np.float32)


def world(choose: object = None, pictures: str = "auto") -> AnalysisContext:
    images, subjects = identity_faces(48, 3)
    context = planted_context(images, subjects, judges=[blurred], pictures=pictures)
    planted = Planted(choose or (lambda index, seed: index), noise=2.0)  # type: ignore[arg-type]
    planted.name = "id3pm"
    return planted.learn(context)


def value(found: AnalysisResult, name: str) -> float:
    metric = next(m for m in found.metrics if m.name == name)
    assert metric.value is not None, metric.missing
    return metric.value


def test_the_method_that_knows_the_faces_succeeds_and_a_few_blobs_do_not() -> None:
    context = world()
    found = run(context, QUICK)
    normalise(found)
    assert found.answer.startswith("id3pm, of 2: another model (judge0) takes ")
    assert value(found, "rivals.id3pm.judge0.success1@fmr=1e-2") > 0.95
    assert value(found, "rivals.real.judge0.success1@fmr=1e-2") == 1
    assert value(found, "rivals.gaussian.judge0.success1@fmr=1e-2") < 0.5
    assert value(found, "rivals.gaussian.questions") == 48
    assert value(found, "rivals.id3pm.judge0.replacement") > 0.9
    assert value(found, "rivals.id3pm.structure") > value(found, "rivals.gaussian.structure")
    told = [f.text for f in found.findings]
    assert told[0].startswith("Of 2 inversion methods id3pm is accepted most often")
    assert any("gaussian succeeds less often than id3pm" in text for text in told)
    sheet = found.galleries[0]
    assert [row.label for row in sheet.rows] == ["source", "id3pm", "gaussian"]
    assert any(f.name == "rivals.curve_judge0" for f in found.figures)
    metric = next(m for m in found.metrics if m.name == "rivals.id3pm.judge0.success1@fmr=1e-2")
    assert metric.interval is not None
    assert metric.n == 2 * 20


def test_an_inverter_that_shows_strangers_succeeds_no_more_than_strangers_do() -> None:
    found = run(world(lambda index, seed: (index + 9) % 144), QUICK)
    assert value(found, "rivals.id3pm.judge0.success1@fmr=1e-2") < 0.15
    assert not any("less often than id3pm" in f.text for f in found.findings)


def test_nothing_is_shown_where_pictures_are_not_allowed() -> None:
    context = world(pictures="none")
    assert run(context, QUICK).galleries == ()
    assert saved_pictures(context) == set()


def test_unknown_methods_and_wrong_sizes_are_refused_in_one_line() -> None:
    with pytest.raises(UsageError, match="unknown method 'gausian'"):
        run(world(), Params(methods=("gausian",)))
    with pytest.raises(ValueError, match="samples: expected at least 2"):
        Params(samples=1)


def test_a_method_without_an_inverter_says_how_to_get_one() -> None:
    images, subjects = identity_faces(48, 3)
    context, said = planted_context(images, subjects), []
    context._say = said.append
    found = run(context, Params(people=10, questions=16, methods=("id3pm", "gaussian"), fmrs=(1e-2,)))
    assert any("id3pm was not run: none is bundled" in c and "fraudit train" in c for c in found.caveats)
    assert any(line.startswith("method id3pm is not run: none is bundled") for line in said)
    assert found.headline.startswith("Of 1 inversion method that ran (of 2) gaussian is")
    assert any("No independent judge" in c for c in found.caveats)


def test_it_is_no_part_of_an_audit_that_does_not_ask_for_it() -> None:
    assert ANALYSIS.on_request


def test_every_method_says_what_it_needs() -> None:
    for name, plugin in known_methods().items():
        card = plugin.method
        assert card is not None
        assert all((card.source, card.training, card.data, card.questions, card.scale)), name


def test_inverter_all_asks_for_the_comparison_and_leaves_the_audits_own_inverter_alone() -> None:
    from fraudit.audit.execute import choose_analyses
    from fraudit.audit.plan import plan_from_values
    from fraudit.cli.shortcuts import every_method

    params: dict[str, dict[str, object]] = {}
    assert every_method("all", (), params) == (None, ())
    plan = plan_from_values({"embedder": "dlib", "params": params})
    assert "rivals" in [a.name for a in choose_analyses(plan)]
    assert "rivals" not in [a.name for a in choose_analyses(plan_from_values({"embedder": "dlib"}))]
    assert every_method("all", ("inversion",), {}) == (None, ("inversion", "rivals"))
    assert every_method("linear", ("inversion",), {}) == ("linear", ("inversion",))


def test_a_judge_that_a_method_was_made_with_is_kin_and_not_independent() -> None:
    from fraudit.analyses.rivals.report import independent

    context = world()
    planted = context.inverter
    planted.card = {
        "embedder_fingerprint": "",
        "init": {"embedder_fingerprint": context.judges[0].fingerprint},
    }  # type: ignore[union-attr]
    from fraudit.analyses.rivals.measure import compare_methods

    found = compare_methods(context, QUICK)
    by_name = {m.made.name: m for m in found.methods}
    assert independent(by_name["id3pm"]) is None
    assert independent(by_name["gaussian"]) is not None


def test_an_attack_is_remembered_until_what_is_bundled_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = world()
    context.store = Store(tmp_path)
    gaussian, calls = INVERTERS.get("gaussian"), []
    assert gaussian.attack is not None

    def counted(*words: Any) -> Any:
        calls.append(1)
        assert gaussian.attack is not None
        return gaussian.attack(*words)

    plugin = dataclasses.replace(gaussian, attack=counted)
    setting = Setting(context.embedder, questions=16)
    vectors, seeds = context.embeddings().vectors[:2], np.arange(2)
    for _ in range(2):
        methods.by_attack(context, plugin, setting, vectors, seeds)
    assert len(calls) == 1
    before = methods.bundled_state()
    assert {"id3pm-dlib", "linear-dlib"} <= set(before)
    monkeypatch.setattr(methods, "bundled_state", lambda: {**before, "id3pm-dlib": "another"})
    methods.by_attack(context, plugin, setting, vectors, seeds)
    assert len(calls) == 2
