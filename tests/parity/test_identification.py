"""1:N search against brute force: templates by media, ranks, thresholds and rates, ties and infinity included."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fraudit.stats.gallery import Templates, fuse, template_people
from fraudit.stats.identification import Search, cmc, fnir, fpir, fpir_threshold, search

Case = tuple[Search, dict]


def found(data: dict[str, np.ndarray]) -> Search:
    fused = fuse(data["features"], data["template"], data["media"])
    people = template_people(data["template"], data["subject"])
    probe = template_people(data["template"], data["probe"].astype(np.int64)) == 1
    order = np.flatnonzero(~probe)[np.argsort(people[~probe], kind="stable")]
    gallery = Templates(fused.vectors[order], people[order], fused.ok[order])
    return search(gallery, fused.vectors[probe], people[probe])


@pytest.fixture(scope="module", params=["small", "ties"])
def case(request: pytest.FixtureRequest, shared_parity: Path) -> Case:
    base = shared_parity / f"identification_{request.param}"
    if not base.with_suffix(".npz").is_file():
        pytest.skip(f"no {base.name}.npz in the parity folder")
    return found(dict(np.load(base.with_suffix(".npz")))), json.loads(base.with_suffix(".json").read_text())


def test_counts_are_those_of_brute_force(case: Case) -> None:
    got, want = case
    assert (got.mated.sum(), (~got.mated).sum(), len(got.people)) == (
        want["n_mated"], want["n_nonmated"], want["gallery"],
    )  # fmt: skip


def test_cmc_is_that_of_brute_force(case: Case) -> None:
    got, want = case
    np.testing.assert_allclose(cmc(got, (1, 2, 5, 10, 20)), want["cmc"], rtol=0, atol=1e-14)


def test_thresholds_and_rates_are_those_of_brute_force(case: Case) -> None:
    got, want = case
    for row in want["open_set"]:
        threshold = fpir_threshold(got, row["target"])
        assert threshold == pytest.approx(row["threshold"], abs=1e-12)
        assert fpir(got, threshold) == pytest.approx(row["fpir"], abs=1e-14)
        assert fnir(got, threshold, 1) == pytest.approx(row["fnir_rank1"], abs=1e-14)
        assert fnir(got, threshold, None) == pytest.approx(row["fnir_any_rank"], abs=1e-14)
