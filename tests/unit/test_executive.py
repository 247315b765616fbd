"""The page one hands over: questions with answers, what to do next, cards, limits; nothing guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from fraudit.plugins import ANALYSES
from fraudit.report import cards, executive, standards, summary
from fraudit.report.marking import ticked
from fraudit.report.paper.files import caption
from fraudit.report.record import MIGRATIONS, SCHEMA_VERSION, RunRecord
from fraudit.report.render import context, html_text, render
from fraudit.types import AnalysisResult, Figure, Finding
from tests.fixtures.run_record import build_record


def record_of(*results: AnalysisResult, **inputs: object) -> RunRecord:
    """A record of these results with little else known."""
    return RunRecord({}, {}, {"embedder": {"name": "m"}, "dataset": {"name": "d"}, **inputs}, results)


def test_every_analysis_here_says_which_question_it_answers() -> None:
    assert all(analysis.question.endswith("?") for analysis in ANALYSES.usable())


def test_an_answer_is_the_analysis_own_and_the_gravest_comes_first() -> None:
    open_ = AnalysisResult(
        "bias", "Bias", answer="Not shown.", findings=(Finding("info", "t", (), "bias.unresolved"),)
    )
    grave = AnalysisResult(
        "leakage", "Leakage", headline="h", findings=(Finding("info", "a"), Finding("high", "b"))
    )
    off = AnalysisResult("inversion", "Inversion", "not_run", reason="no inverter")
    foreign = AnalysisResult("toy", "Toy", headline="counted")
    found = executive.answers(record_of(off, open_, grave, foreign))
    assert [(a.question, a.concern, a.text) for a in found] == [
        ("Does it give away more than who it is?", "High", "h"),
        ("Is it fair?", "Open", "Not shown."),
        ("Toy", "None shown", "counted"),
        ("Can a face be rebuilt from a template?", "Not tested", "Not known: no inverter"),
    ]


def test_directions_that_were_found_are_a_note_and_none_is_none_shown() -> None:
    for rule, word in (("directions.found", "Note"), ("directions.none", "None shown")):
        result = AnalysisResult("directions", "Directions", findings=(Finding("info", "t", (), rule),))
        assert [a.concern for a in executive.answers(record_of(result))] == [word]


def test_a_finding_with_the_same_advice_waits_for_the_others() -> None:
    findings = tuple(
        Finding(level, text, advice=advice)  # type: ignore[arg-type]
        for level, text, advice in (
            ("high", "1", "x"), ("high", "2", "x"), ("medium", "3", "y"), ("medium", "4", "y"), ("medium", "5", ""),
            ("low", "6", "z"), ("info", "7", ""),
        )
    )  # fmt: skip
    shown, more = summary.cards(record_of(AnalysisResult("a", "A", findings=findings)))
    assert [finding.text for _, finding in shown] == ["1", "2", "3", "5", "6"]
    assert more == 2


def test_what_was_not_recorded_is_named_and_nothing_is_filled_in() -> None:
    bare = record_of(dataset={}, embedder={"licence": "not stated in the card"})
    model = {entry.heading: entry for entry in cards.model_card(bare)}
    assert list(model) == [
        "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data",
        "Quantitative analyses", "Ethical considerations", "Caveats and recommendations",
    ]  # fmt: skip
    assert model["Model details"].lines == []
    assert "licence" in model["Model details"].missing
    assert "not known" in model["Training data"].missing
    data = {entry.heading: entry for entry in cards.data_card(bare)}
    assert data["Licence"].missing == "terms of use"
    assert "agreed" in data["Not recorded"].missing


def test_the_list_of_what_no_run_records_is_no_heading_that_lacks_something(tmp_path: Path) -> None:
    page = html_text(record_of(dataset={}), tmp_path)
    lacking = [e.heading for e in cards.data_card(record_of(dataset={})) if e.missing]
    assert lacking.pop() == cards.NEVER_RECORDED
    assert f"{len(lacking)} of 4 headings lack something that nobody recorded: {', '.join(lacking)}." in page
    assert f"listed under “{cards.NEVER_RECORDED}”" in page


def test_limits_follow_what_ran() -> None:
    bias = AnalysisResult("bias", "Bias", findings=(Finding("info", "t"),))
    shown = " ".join(executive.limits(record_of(bias, dataset={"synthetic": True, "attributes": ["male"]})))
    assert "real people" in shown
    assert "labels male" in shown
    bare = " ".join(executive.limits(record_of(dataset={"n_subjects": 1234})))
    assert "no groups were compared" in bare
    assert "of 1,234 people" in bare
    assert "no inverter was tried" in bare
    tried = executive.limits(record_of(AnalysisResult("rivals", "Rivals")))
    assert "no inverter was tried" not in " ".join(tried)
    assert sum("an attack that fails is no proof" in line for line in tried) == 1
    both = executive.limits(
        record_of(AnalysisResult("rivals", "Rivals"), AnalysisResult("inversion", "Inversion"))
    )
    assert sum("an attack that fails is no proof" in line for line in both) == 1


def test_headings_link_to_sections_that_ran_alone() -> None:
    record = record_of(AnalysisResult("bias", "Bias"), AnalysisResult("verification", "V", "not_run"))
    heading = standards.Heading("iso.uncertainty", "h", ("model-card",))
    assert standards.links(record, heading, {"model-card"}) == [
        ("bias", "Bias"),
        ("model-card", "Model card"),
    ]
    headings = [h for d in standards.DOCUMENTS for h in d.headings]
    of_cards = {standards.FACTORS, standards.METRICS, standards.FIGURES, standards.ETHICS, standards.LOST}
    said = {key for a in ANALYSES.usable() for key in a.headings}
    assert said <= {h.key for h in headings} | of_cards
    assert of_cards <= said
    assert {part for h in headings for part in h.parts} <= set(standards.PARTS)
    assert all(h.parts or h.outside or h.key in said for h in headings)


def test_the_page_says_advice_and_claims_no_conformity(tmp_path: Path) -> None:
    advised = AnalysisResult(
        "x", "X", findings=(Finding("high", "It fails.", advice="Run `fraudit doctor` <now>."),)
    )
    record_of(advised).save(tmp_path)
    page = render(tmp_path).read_text(encoding="utf-8")
    assert page.count("<code>fraudit doctor</code> &lt;now&gt;.") >= 2  # first screen and section
    assert standards.NO_CLAIM in page
    assert "**Next:** Run" in (tmp_path / "report" / "report.md").read_text(encoding="utf-8")


def test_a_caption_for_a_paper_ends_once() -> None:
    figure = Figure("f", "bars", "Does it fit?", "Look here.", "", {"rows": []})
    said = caption(record_of(), AnalysisResult("e", "Evidence: is it so?"), figure)
    assert said.startswith("Does it fit? Look here. ")
    assert said.endswith("Evidence: is it so?")
    assert caption(record_of(), AnalysisResult("b", "Bias"), figure).endswith("Bias.")


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a `b` <c>", "a <code>b</code> &lt;c&gt;"),
        ("one ` alone", "one ` alone"),
        ("`<i>`", "<code>&lt;i&gt;</code>"),
        ("FMR 1e-3 <b>", 'FMR <span class="nb">1e-3</span> &lt;b&gt;'),
        ("`1e-3`", '<code><span class="nb">1e-3</span></code>'),
        ("`x --judge a`", '<code>x <span class="nb">--judge</span> a</code>'),
    ],
)
def test_backticks_become_code_and_nothing_else(text: str, html: str) -> None:
    assert str(ticked(text)) == html


def test_a_record_of_the_version_before_reads_without_advice() -> None:
    assert SCHEMA_VERSION - 1 in MIGRATIONS
    old = build_record().to_json().replace(f'"schema_version": {SCHEMA_VERSION}', '"schema_version": 2')
    for field in (',\n     "advice": ""', ',\n   "answer": ""'):
        old = old.replace(field, "")
    record = RunRecord.from_json(old)
    assert all(finding.advice == "" for _, finding in record.findings())
    assert context(record)["answers"]
