"""How often `twins` gives the right verdict in worlds of stored vectors with a planted second model.

    python -m benchmarks.worlds_twins --worlds 200 --people 300

Nothing changed (rounding, another export, another batch size), small loss (int8), another crop, swapped channels, a
monotone change of all scores, and an equally good model of another seed.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable

import numpy as np

from benchmarks.worlds import KINDS, World, make
from fraudit.analyses.twins.measure import measure_twins
from fraudit.analyses.twins.params import Params
from fraudit.types import unit_rows
from tests.fixtures.contexts import vectors_context

Plant = Callable[[World, np.ndarray, np.random.Generator], np.ndarray]


def rounding(world: World, u: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every number off by about one part in a million."""
    return u + 1e-6 * rng.normal(size=u.shape)


def exported(world: World, u: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another file of the model: another scale of the output, rounded to half precision."""
    return (3.7 * u).astype(np.float16).astype(np.float32)


def batched(world: World, u: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sums in another order in every batch of 32 faces."""
    batch = np.arange(len(u)) // 32
    return u + (3e-7 * rng.normal(size=(int(batch.max()) + 1, u.shape[1])))[batch]


def int8(world: World, u: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise that leaves a cosine of about 0.997: 8-bit weights that kept the model."""
    return u + 0.075 * rng.normal(size=u.shape) / np.sqrt(u.shape[1])


def template(world: World, u: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another crop: pictures answer otherwise, in the same space, and worse."""
    return u + 0.7 * rng.normal(size=u.shape) / np.sqrt(u.shape[1])


def channels(world: World, u: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Swapped channels: a common shift of all vectors, and much noise."""
    shift = rng.normal(size=u.shape[1]) / np.sqrt(u.shape[1])
    return u + 0.6 * shift + 0.9 * rng.normal(size=u.shape) / np.sqrt(u.shape[1])


def monotone(world: World, u: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A component that all faces share, of which the old model has nothing: cos -> (cos + c^2) / (1 + c^2)."""
    changed = u.copy()
    changed[:, -1] = 0.6
    return changed


def another_seed(world: World, u: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A model as good as the old one in a space of its own, which differs from face to face."""
    heavy = world.quality[:, None] * rng.normal(size=(len(u), u.shape[1])) / np.sqrt(u.shape[1])
    own = world.directions[world.subjects]
    own = np.concatenate([own, np.zeros((len(own), u.shape[1] - own.shape[1]))], axis=1)
    turn = np.linalg.qr(rng.normal(size=(u.shape[1], u.shape[1])))[0]
    return unit_rows((own + 0.55 * heavy).astype(np.float32)) @ turn


PLANTS: dict[str, tuple[Plant, str]] = {
    "rounding 1e-6": (rounding, "same"),
    "another export": (exported, "same"),
    "another batch size": (batched, "same"),
    "int8 that kept the model": (int8, "interchangeable"),
    "monotone change of scores": (monotone, "needs its own threshold"),
    "another template": (template, "different"),
    "swapped channels": (channels, "different"),
    "equally good other seed": (another_seed, "different"),
}


def verdict(name: str, people: int, kind: str, seed: int) -> str:
    """The verdict in one world; the old model has a component more that it does not use."""
    world = make(people, kind, seed, noise=0.55)  # type: ignore[arg-type]
    rng = np.random.default_rng([seed, 20])
    u = np.concatenate([world.unit, np.zeros((len(world.unit), 1), np.float32)], axis=1)
    other = PLANTS[name][0](world, u, rng)
    context = vectors_context(u, world.subjects, attributes={"gender": world.groups}, seed=seed, other=other)
    return measure_twins(context, Params()).verdict.word


def main() -> None:
    """Print a Markdown table of verdicts by planted change."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=60)
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    print(f"{options.people} people, {options.worlds} worlds each, kinds {', '.join(KINDS[:3])} in turn\n")
    print("| planted | right verdict | right | others |\n|---|---|---|---|")
    for name, (_, right) in PLANTS.items():
        if options.only not in name:
            continue
        started = time.time()
        found = Counter(verdict(name, options.people, KINDS[s % 3], s) for s in range(options.worlds))
        others = ", ".join(f"{word} {n}" for word, n in found.most_common() if word != right) or "none"
        share = f"{found[right]}/{options.worlds}"
        print(
            f"| {name} | {right} | {share} | {others} |",
            f"<!-- {time.time() - started:.0f} s -->",
            flush=True,
        )


if __name__ == "__main__":
    main()
