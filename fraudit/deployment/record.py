"""What was found as a policy, and its chart."""

from __future__ import annotations

import datetime

import numpy as np

import fraudit
from fraudit.deployment.galleries import LIMIT
from fraudit.deployment.measure import Found
from fraudit.formatting import number
from fraudit.policy import Policy, Rate
from fraudit.stats.likelihood import Cost
from fraudit.types import Figure

SCORE = "cosine of the two ID vectors; a gallery's person is one picture"
PEOPLE = (
    "the promise is for people, pictures and comparisons like those of the set: other cameras, ages or groups need a "
    "check of their own (fraudit threshold --check)"
)
RARE = "no sample shows a kind of person rarer than about 3 in the people of the choosing half"
TEMPLATES = (
    "the set compares templates of several pictures; these thresholds are of pairs of single pictures and do not hold "
    "for templates"
)
CONSENT = (
    "comparing faces needs a lawful basis, and the consent of the people shown where the law asks for it; a policy "
    "gives neither"
)


def _rate(cost: Cost, found: Found) -> Rate:
    made = found.calibrated
    assert made is not None
    low, high = (None, None) if cost.interval is None else (cost.interval.low, cost.interval.high)
    n = made.n_genuine + made.n_impostor
    return Rate(cost.value, low, high, found.asked.confidence, n, made.people, cost.missing)


def limits(found: Found) -> list[str]:
    """What limits the promises, one sentence each."""
    said = [PEOPLE, RARE]
    promised = any(p.kind == "fpir" and p.resolvable and not p.estimate for p in found.points)
    said += [LIMIT] if promised else []
    said += [TEMPLATES] if found.shown.templates else []
    return [*said, *found.thinned, CONSENT]


def policy_of(found: Found) -> Policy:
    """The policy that this is."""
    shown, made = found.shown, found.calibrated
    return Policy(
        model=shown.model,
        fingerprint=shown.fingerprint,
        data=shown.faces.name,
        data_digest=shown.digest,
        pictures=len(shown.faces),
        people=shown.n_people,
        score=SCORE,
        points=found.points,
        calibration=made.odds if made else None,
        cllr=_rate(made.cllr, found) if made else None,
        min_cllr=_rate(made.min_cllr, found) if made else None,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        fraudit=fraudit.__version__,
        notes=tuple(limits(found)),
    )


def entropy_chart(found: Found) -> Figure | None:
    """Empirical cross-entropy over the prior: the calibration, the best one in hindsight, and no evidence."""
    made = found.calibrated
    if made is None:
        return None
    curve = made.curve
    curves = (("calibrated", curve.system), ("best in hindsight", curve.best), ("no evidence", curve.neutral))
    at = {name: float(np.interp(0.0, curve.log10_odds, values)) for name, values in curves}
    return Figure(
        "threshold_cross_entropy",
        "lines",
        "What a score is worth as evidence",
        "Lower is better; above the line of no evidence, ratios mislead. At prior odds of 1 the height is Cllr.",
        f"Empirical cross-entropy of {found.shown.model} on {found.shown.faces.name} against the prior odds, in bits; "
        f"at odds of 1: calibrated {number(at['calibrated'])}, best in hindsight {number(at['best in hindsight'])}, no "
        "evidence 1.",
        {
            "x": {"label": "prior odds of one person, log10", "scale": "linear"},
            "y": {"label": "cross-entropy, bits", "scale": "linear", "range": [0, 1.05]},
            "series": [
                {
                    "name": name,
                    "x": curve.log10_odds.tolist(),
                    "y": values.tolist(),
                    "accent": name == "calibrated",
                }
                for name, values in curves
            ],
        },
    )
