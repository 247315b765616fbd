"""Figures of the protection analysis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fraudit.analyses.protection.attacks import WITH
from fraudit.analyses.protection.measure import Found
from fraudit.analyses.shared.counted import chart_interval
from fraudit.formatting import fmr_words, percent
from fraudit.types import Figure, Gallery, GalleryItem, GalleryRow

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

SHOWN = 4  # people in the gallery


def figures(found: Found) -> list[Figure]:
    """Recovered vectors that match another picture, by scheme and attacker."""
    rows: list[dict[str, Any]] = []
    for m in found.done:
        for attack in m.attacks:
            if attack.two is None:
                continue
            who = attack.recovered.attacker if m.scheme.keyed else "no key"
            rate = attack.two.rate
            rows.append(
                {
                    "label": f"{m.name}, {who}",
                    "value": rate.value,
                    **chart_interval(rate.interval),
                    "n": rate.n,
                }
            )
    if not rows:
        return []
    at = fmr_words(found.fmr)
    return [
        Figure(
            "protection_recovered",
            "dots",
            "Recovered vectors that match another picture of the person",
            f"Share of people, at the threshold of plain vectors for FMR {at}. What chance gives is about {at}.",
            "; ".join(f"{r['label']}: {percent(r['value'])}" for r in rows) + ".",
            {"x": {"label": "matches", "scale": "linear", "percent": True}, "rows": rows},
            main=True,
        )
    ]


def galleries(context: AnalysisContext, found: Found) -> tuple[Gallery, ...]:
    """Pictures of what is recovered with the key, where pictures may be shown."""
    shown = [(m, a.pictures) for m in found.done if (a := m.attack(WITH)) and a.pictures is not None]
    if not shown or not context.show_pictures:
        return ()
    sample = found.sample
    rows = sample.rows[sample.attacked[: min(SHOWN, found.faces)]]
    sources = context.aligned(np.asarray(rows))[0]
    table = []
    for k in range(len(rows)):
        items = [GalleryItem(context.save_picture(sources[k]), "Source.", ("source",))]
        for m, pictures in shown:
            alt = f"Picture of the vector recovered from {m.name}."
            items.append(GalleryItem(context.save_picture(pictures.made[k]), alt, (m.name,)))
        table.append(GalleryRow(f"person {k + 1}", tuple(items)))
    caption = "Pictures of the vectors that someone with the key recovers, one seed."
    columns = ("source", *(m.name for m, _ in shown))
    return (
        Gallery(
            "protection_pictures", "What is seen of a protected template", caption, tuple(table), columns
        ),
    )
