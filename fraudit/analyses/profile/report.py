"""The profile analysis as metrics, findings and words; computes no rate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fraudit.analyses.profile.measure import Found, Held
from fraudit.analyses.profile.params import NAME, Params
from fraudit.deployment.demands import alike, name_of
from fraudit.formatting import fmr_words
from fraudit.policy import OperatingPoint
from fraudit.policy.profiles import Evidence, Outcome, Verdict
from fraudit.types import Finding, Interval, Metric, Severity

FAIL_HIGH = 2.0  # times the limit
WORDS = {"pass": "passes", "fail": "fails", "not enough evidence": "not enough evidence"}
SHOWN = 6  # reasons in one finding, and demands named with one
METHOD = (
    "As fraudit threshold: half of the people choose the lowest threshold whose upper bound of the FMR (FPIR) keeps "
    "the target, the other half are judged. A demand passes where the one-sided upper bound of the rate is at most "
    "its limit, fails where the lower bound is above, and is open in between. All have to pass for the plan to pass, "
    "which needs no correction of their bounds (Berger 1982). Needed: comparisons at which the upper bound would "
    "reach the limit if the rate stays what it is."
)
NO_CONFORMITY = (
    "A pass is about error rates on these pictures. It is no conformity assessment: the documents ask for much that "
    "no tool measures."
)


def interval_of(seen: Evidence, confidence: float) -> Interval | None:
    """Both one-sided bounds of a rate."""
    if seen.lower is None or seen.upper is None:
        return None
    return Interval(
        seen.lower, seen.upper, 2 * confidence - 1, f"two one-sided bounds, each at {100 * confidence:g} %"
    )


def metrics(found: Found, params: Params) -> Iterator[Metric]:
    """One for each demand and group."""
    for h in found.held:
        o, seen = h.outcome, h.outcome.seen
        label = o.demand.title if o.demand.limit is None else f"{o.demand.title}; {_limit(h)}"
        if seen is None:
            yield Metric(f"{NAME}.{o.demand.id}", None, group=o.group, missing=o.text, label=label)
            continue
        counted = o.demand.metric == "gallery"
        interval = interval_of(seen, params.confidence)
        missing = "a count of this audit" if counted else seen.missing or "too few people"
        yield Metric(
            f"{NAME}.{o.demand.id}",
            seen.value,
            n=seen.n,
            n_unit="people enrolled" if counted else units(o.demand.metric),
            interval=interval,
            interval_missing="" if interval else missing,
            group=o.group,
            better="higher" if counted else "lower",
            label=label,
        )


def units(metric: str) -> str:
    """What a rate counts."""
    return {
        "fmr": "pairs of two people",
        "fnmr": "genuine pairs",
        "fpir": "searches of people who are not enrolled",
        "fnir": "searches of enrolled people",
    }[metric]


def _limit(h: Held) -> str:
    demand = h.outcome.demand
    return "reported" if demand.limit is None else f"{demand.kind} {demand.limit:g}"


def severity_of(h: Held) -> Severity:
    """By the lower bound at the level that all demands share; a count, and what is only reported, is info."""
    limit = h.outcome.demand.limit
    if limit is None or h.outcome.demand.kind != "at most":
        return "info"
    if h.beyond >= FAIL_HIGH * limit:
        return "high"
    return "medium" if h.beyond > limit else "info"


def counts(found: Found) -> dict[Verdict, int]:
    """Demands by verdict."""
    verdicts = [h.outcome.verdict for h in found.held]
    return {v: verdicts.count(v) for v in ("pass", "fail", "not enough evidence")}


def headline(found: Found) -> str:
    """`nist-800-63a-4: fails. Of 6 demands 2 pass, 1 fails, for 3 the evidence is not enough.`"""
    plan, n, total = found.thresholds.asked.profile, counts(found), len(found.held)
    said = [
        f"{n['pass']} {'passes' if n['pass'] == 1 else 'pass'}",
        f"{n['fail']} {'fails' if n['fail'] == 1 else 'fail'}",
        f"for {n['not enough evidence']} the evidence is not enough",
    ]
    judged = found.thresholds.judge.impostor
    return (
        f"{plan}: {WORDS[found.verdict]}. Of {total} demands {', '.join(said)} ({judged.n:,} pairs of "
        f"{len(judged.people):,} people judged; each bound at {100 * found.thresholds.asked.confidence:g} %)."
    )


def answer(found: Found) -> str:
    """The section in plain words."""
    n, total = counts(found), len(found.held)
    if found.verdict == "fail":
        failed = next(h.outcome for h in found.held if h.outcome.verdict == "fail")
        verb = "is" if n["fail"] == 1 else "are"
        return f"No: {n['fail']} of {total} demands {verb} not kept, first {name_of(failed)}."
    if found.verdict == "pass":
        if any(h.outcome.demand.limit is not None for h in found.held):
            return f"Yes: all {total} demands are kept, each beyond doubt on these people."
        return f"It sets no limit: all {total} figures that it asks for are reported."
    short = n["not enough evidence"]
    return f"Not known: for {short} of {total} demands these people are too few to tell; none is shown to be broken."


def by_reason(outcomes: Sequence[Outcome]) -> str:
    """`FMR, FNMR (female): too few people; FPIR: ...`: each reason once, with the demands that it is the reason of."""
    found, said = alike(outcomes), []
    for first, names in found[:SHOWN]:
        rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        said.append(f"{', '.join(names[:SHOWN])}{rest}: {first.text}")
    left = sum(len(names) for _, names in found[SHOWN:])
    return "; ".join([*said, *([f"and {left} more"] if left else [])])


def findings(found: Found) -> Iterator[Finding]:
    """Each demand that fails; what is open; or that all pass."""
    plan = found.thresholds.asked.profile
    failed = sorted(
        (h for h in found.held if h.outcome.verdict == "fail"),
        key=lambda h: ("high", "medium", "info").index(severity_of(h)),
    )
    for h in failed:
        o = h.outcome
        yield Finding(
            severity_of(h),
            f"{plan} fails in {name_of(o)}: {o.text}.",
            (f"{NAME}.{o.demand.id}",),
            f"{NAME}.fail",
            "Choose another threshold or model, and judge again on people not used (`fraudit threshold --profile`)."
            if severity_of(h) != "info"
            else "",
        )
    unsure = [h.outcome for h in found.held if h.outcome.verdict == "not enough evidence"]
    if unsure:
        evidence = tuple(dict.fromkeys(f"{NAME}.{o.demand.id}" for o in unsure))
        text = f"{plan}: not enough evidence for {len(unsure)} of {len(found.held)} demands: {by_reason(unsure)}."
        yield Finding("info", text, evidence, f"{NAME}.open")
    if found.verdict == "pass":
        every = tuple(dict.fromkeys(f"{NAME}.{h.outcome.demand.id}" for h in found.held))
        limited = any(h.outcome.demand.limit is not None for h in found.held)
        said = "passes" if limited else "is met, which sets no limit"
        yield Finding(
            "good" if limited else "info",
            f"{plan} {said}: {by_reason([h.outcome for h in found.held])}.",
            every,
            f"{NAME}.pass",
        )


def caveats(found: Found) -> list[str]:
    """What limits the verdicts."""
    plan, people = found.thresholds.asked.profile, found.thresholds.asked.people
    size = f" --people {people}" if people else ""
    said = [NO_CONFORMITY]
    said += [f"{p.name}: {p.estimate}." for p in found.thresholds.points if p.estimate]
    said += list(found.thresholds.thinned)
    command = f"fraudit threshold --run RUN --profile {plan}{size} --junit FILE --out POLICY"
    return [*said, f"As JUnit, one test case a demand: {command}."]


def threshold_note(point: OperatingPoint) -> str:
    """Why a target has no threshold, or what kind of bound it has."""
    return point.reason or ("an estimate, no promise" if point.estimate else "promised")


def target_words(point: OperatingPoint) -> str:
    """`FMR 1e-4`."""
    return f"{point.kind.upper()} {fmr_words(point.target)}"
