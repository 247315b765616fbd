"""Which probes the robustness grid asks a black box that only compares: one mate and one stranger each, every cell."""

from __future__ import annotations

from fraudit.analyses.robustness.params import Asked, Params
from fraudit.audit.asking import Asking, Questions
from fraudit.errors import InsufficientData
from fraudit.perturb.catalogue import resolve
from fraudit.stats.probe_pairs import probe_pairs, protocol_pairs

MIN_PROBES = 4


def questions(asking: Asking, asked: Asked) -> Questions:
    """Probes outside the calibration half, under the corruptions that can be shown.

    Raises:
        InsufficientData: the budget leaves too few probes, or there are not enough usable faces.
    """
    context, pictures = asking.context, asking.pictures
    corruptions = tuple(c for c in resolve(asked.corruptions) if pictures.fits(c))
    if not corruptions:
        raise InsufficientData(
            "the black box finds the face itself: there is no alignment of ours to disturb"
        )
    count = asking.count(asked.probes)
    if count < MIN_PROBES:
        raise InsufficientData(
            f"the budget leaves {count} probes, at least {MIN_PROBES} are needed: raise --max-queries, or "
            "--param scorer.severities=3"
        )
    rng, usable = context.rng("scorer/probes"), pictures.located & ~asking.held
    if context.declared is not None:
        probes = protocol_pairs(context.declared, context.people(), usable, count, rng)
    else:
        probes = probe_pairs(context.faces.subjects, usable, count, rng, mates=1, strangers=1)
    names = tuple(c.name for c in corruptions)
    severities = tuple(asked.severities)
    stated = {"probes": len(probes.probes), "severities": severities, "corruptions": list(names)}
    params = Params(corruptions=names, severities=severities, by="none")
    return Questions(params, stated, probes=probes, corruptions=corruptions, severities=severities)
