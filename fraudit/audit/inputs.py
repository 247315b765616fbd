"""What went into a run: data set, black boxes and inverter with their digests and bills."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from fraudit.audit.context import AnalysisContext
from fraudit.audit.pair_scores import NEEDS_VECTORS
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.faces.known import KNOWN
from fraudit.scorers.loading import ScorerRuntime


def inputs(context: AnalysisContext) -> dict[str, Any]:
    """Of a run over vectors, asked for now or stored."""
    locator = context.locator
    stated = {"distinct": context.repeat_note()} if context.distinct else {}
    acquired = {
        "fta": dict(Counter(r for r in context.embeddings().reasons if r)),
        "several_faces": locator.several if locator else None,
    }
    if context.embedder.spec.preprocess.whole:
        finder = "none: whole pictures, in which the black box finds the face"
    else:
        finder = locator.detector.fingerprint if locator else "none: the set declares its landmarks"
    return {
        "dataset": {**_dataset(context, finder), **acquired, **stated},
        "embedder": _embedder(context.embedder),
        "judges": [_embedder(judge) for judge in context.judges],
        **({"other": _embedder(context.other)} if context.other else {}),
        "inverter": _inverter(context),
    }


def scorer_inputs(context: AnalysisContext, runtime: ScorerRuntime) -> dict[str, Any]:
    """Of a run over a box that only compares."""
    locator = context.locator
    finder = locator.detector.fingerprint if locator else "none: the set declares its landmarks"
    return {
        "dataset": _dataset(context, finder),
        "embedder": _scorer(runtime),
        "judges": [],
        "inverter": {"missing": NEEDS_VECTORS},
    }


def _dataset(context: AnalysisContext, finder: str) -> dict[str, Any]:
    faces = context.faces
    return {
        "name": faces.name,
        "digest": faces.digest,
        "n_faces": len(faces),
        "n_subjects": len(np.unique(faces.subjects)) if faces.identified else None,
        "identified": faces.identified,
        "synthetic": faces.synthetic,
        "licence": faces.licence,
        "source": f"{known.title}; {known.how}" if (known := KNOWN.get(context.plan.dataset)) else "",
        "attributes": sorted(faces.attributes),
        "protocol_pairs": len(faces.pairs) if faces.pairs is not None else None,
        "left_out": dict(faces.left_out),
        "notes": list(faces.notes),
        "detector": finder,
        "several_faces_policy": context.plan.several_faces,
    }


def _embedder(box: EmbedderRuntime) -> dict[str, Any]:
    spec = box.spec
    return {
        "name": spec.name,
        "variant": box.loaded.variant,
        "dim": spec.dim,
        "weights_sha256": box.loaded.weights_sha256,
        "fingerprint": box.fingerprint,
        "preprocess": spec.preprocess.as_dict(),
        "licence": spec.licence,
        "source": spec.source,
        "distance": spec.distance,
        "queries": box.queries,
        **({"notes": list(box.loaded.notes)} if box.loaded.notes else {}),
    }


def _scorer(runtime: ScorerRuntime) -> dict[str, Any]:
    spec = runtime.spec
    return {
        "name": spec.name,
        "kind": "scorer: answers scores, never vectors",
        "input": "aligned faces" if spec.preprocess else "whole pictures",
        "fingerprint": runtime.fingerprint,
        "weights_sha256": runtime.loaded.sha256,
        "preprocess": spec.preprocess.as_dict() if spec.preprocess else None,
        "licence": spec.licence,
        "source": spec.source,
        "queries": runtime.queries,
        "cost": f"{runtime.queries * spec.cost_per_query:.2f} {spec.currency}".strip(),
    }


def _inverter(context: AnalysisContext) -> dict[str, Any]:
    if context.inverter is None:
        return {"missing": context.inverter_missing}
    return {
        "name": context.inverter.name,
        "size_px": context.inverter.size_px,
        "card": getattr(context.inverter, "card", {}),
    }
