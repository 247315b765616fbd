"""Charts of the doctor, as data."""

from __future__ import annotations

from fraudit.analyses.doctor.measure import Sanity
from fraudit.types import Figure


def figures(found: Sanity) -> tuple[Figure, ...]:
    """Milliseconds a face by faces a call, where more than one number of faces was timed."""
    if len(found.seconds) < 2:
        return ()
    rows = [{"label": f"{n} a call", "value": 1e3 * found.seconds[n], "n": n} for n in sorted(found.seconds)]
    alt = "; ".join(f"{row['label']}: {row['value']:.1f} ms a face" for row in rows) + "."
    return (
        Figure(
            "speed",
            "bars",
            "How long does a face take?",
            "On this machine, one call each: the order of size, no benchmark.",
            alt,
            {"x": {"label": "ms a face", "scale": "linear", "unit": "ms"}, "rows": rows},
        ),
    )
