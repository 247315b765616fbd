"""One control from pictures that keep to the vector to pictures that vary: temperature, then drawn attributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fraudit.diffusion.data.attributes import UNKNOWN
from fraudit.errors import UsageError, suggest
from fraudit.types import F32, I64, Inverter


@dataclass(frozen=True, slots=True)
class Variety:
    """One step of the control.

    Attributes:
        name: as a person gives it. temperature: of sampling; None takes the inverter's own.
        drawn: whether pose, smile, glasses and the like are drawn from what the training faces show.
        words: what it is, for a chart.
    """

    name: str
    temperature: float | None
    drawn: bool
    words: str


VARIETIES = (
    Variety("alike", 0.3, False, "temperature 0.3"),
    Variety("default", None, False, "the inverter's own"),
    Variety("varied", 1.0, False, "temperature 1"),
    Variety("most", 1.0, True, "temperature 1, pose and expression drawn"),
)


def variety_named(name: str) -> Variety:
    """The step `name`. Raises UsageError with the nearest known one."""
    found = {step.name: step for step in VARIETIES}
    if name not in found:
        raise UsageError(f"unknown variety '{name}'", f"{suggest(name, found)}known: {', '.join(found)}")
    return found[name]


def varieties_of(inverter: Inverter) -> tuple[Variety, ...]:
    """The steps that `inverter` can take: none without a temperature, `most` only with attributes."""
    if not hasattr(inverter, "temperature"):
        return ()
    return tuple(step for step in VARIETIES if not step.drawn or bool(getattr(inverter, "attribute_set", "")))


def options_of(step: Variety, inverter: Inverter, seeds: I64) -> dict[str, Any]:
    """What `inverter.invert` is told for this step and i64[N] seeds.

    Raises:
        UsageError: an inverter without a temperature, or without attributes where they are drawn.
    """
    if not hasattr(inverter, "temperature"):
        raise UsageError(f"the {inverter.name} inverter has no variety to choose", "use one of kind id3pm")
    options: dict[str, Any] = {} if step.temperature is None else {"temperature": step.temperature}
    if step.drawn:
        options["attributes"] = inverter.random_attributes(seeds)  # type: ignore[attr-defined]
    return options


def check_variety(variety: str, temperature: float | None, attributes: str) -> None:
    """Raise UsageError for an unknown step, or one beside what it would choose itself."""
    if not variety:
        return
    step = variety_named(variety)
    if temperature is not None:
        raise UsageError("--variety chooses the temperature: give one of the two", "leave --temperature out")
    if step.drawn and attributes:
        raise UsageError(f"--variety {variety} draws the attributes", "leave --attributes out")


def options_asked(inverter: Inverter, variety: str, attributes: str, seeds: I64) -> dict[str, Any]:
    """What `inverter.invert` is told for `--variety` and `--attributes` and i64[N] seeds; '' leaves one out.

    Raises:
        UsageError: text that is neither `random` nor NAME=VALUE,..., or what the inverter does not take.
    """
    options = options_of(variety_named(variety), inverter, seeds) if variety else {}
    if not attributes:
        return options
    if not getattr(inverter, "attribute_set", ""):
        raise UsageError(
            f"the {inverter.name} inverter takes no attributes",
            "the bundled one for dlib does; or train one with fraudit train --attributes set3",
        )
    known: Any = inverter
    if attributes == "random":
        return options | {"attributes": known.random_attributes(seeds)}
    told: F32 | None = None
    for part in attributes.split(","):
        name, _, text = part.partition("=")
        try:
            value = float(text)
        except ValueError:
            raise UsageError(
                f"--attributes {attributes}: expected NAME=VALUE,... or random, found '{part}'",
                "--attributes yaw_deg=20,Smiling=1",
            ) from None
        row = known.attribute_vectors(name.strip(), [value])[0]
        told = row if told is None else np.where(row == UNKNOWN, told, row)
    assert told is not None  # text that is not empty has a part
    return options | {"attributes": np.repeat(told[None], len(seeds), 0)}
