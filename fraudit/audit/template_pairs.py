"""Pairs of templates, where the set lists such pairs: what verification compares there, and what the run keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fraudit.scores import ScoreSet
from fraudit.scores.run import TEMPLATE_FILE
from fraudit.stats.gallery import fuse
from fraudit.stats.templates import template_scores
from fraudit.types import F64, I64

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

FILE = TEMPLATE_FILE
MOST_PAIRS = 1_000_000  # that the run keeps: all genuine ones, and impostor ones drawn at random


def compares_templates(context: AnalysisContext) -> bool:
    """Whether the set lists pairs of templates and the model gives vectors to fuse."""
    templates = context.faces.templates
    return context.scores.vectors and templates is not None and templates.pairs is not None


def scored_templates(context: AnalysisContext) -> F64:
    """f64[P] cosines of the pairs of templates that the set lists, NaN where one has no vector."""
    templates = context.faces.templates
    assert templates is not None
    assert templates.pairs is not None
    found = context.embeddings()
    at = templates.picture
    fused = fuse(found.vectors[at], templates.template, templates.medium, found.ok[at])
    return template_scores(fused.vectors, templates.pairs.left, templates.pairs.right, fused.ok)[0]


def kept_pairs(context: AnalysisContext) -> I64:
    """i64[K] rows of the listed pairs that the run keeps: all, or all genuine ones and a draw of the others."""
    templates = context.faces.templates
    assert templates is not None
    assert templates.pairs is not None
    same = templates.pairs.same
    room = max(MOST_PAIRS - int(same.sum()), 0)
    strange = np.flatnonzero(~same)
    if len(strange) > room:
        strange = np.sort(context.rng("template-pairs").choice(strange, room, replace=False))
    return np.sort(np.concatenate([np.flatnonzero(same), strange]))


def template_score_set(context: AnalysisContext) -> ScoreSet:
    """The pairs that the run keeps, under the templates' names."""
    templates, named = context.faces.templates, context.faces.identified
    assert templates is not None
    assert templates.pairs is not None
    rows = kept_pairs(context)
    names = np.array(templates.names, dtype=np.str_)
    left, right = templates.pairs.left[rows], templates.pairs.right[rows]
    return ScoreSet(
        names[left],
        names[right],
        templates.pairs.same[rows],
        scored_templates(context)[rows],
        templates.subjects[left].astype(str) if named else None,
        templates.subjects[right].astype(str) if named else None,
        source=f"the pairs of templates of '{context.faces.name}'",
        format="pairs-csv",
    )


def first_pictures(context: AnalysisContext) -> I64:
    """i64[T]: one picture of each template, whose labels are the template's; a template shows one person."""
    templates = context.faces.templates
    assert templates is not None
    first = np.full(len(templates), -1, np.int64)
    first[templates.template[::-1]] = templates.picture[::-1]
    return first
