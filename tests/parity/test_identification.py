"""1:N search against brute force: templates by media, ranks, thresholds and rates, ties and infinity included."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fraudit.analyses.identification.measure import official, vectors_of
from fraudit.analyses.identification.params import Params
from fraudit.audit.context import AnalysisContext
from fraudit.audit.plan import AuditPlan
from fraudit.audit.stored_vectors import StoredVectors, faces_of
from fraudit.files.store import Store
from fraudit.stats.gallery import Templates, fuse
from fraudit.stats.identification import Search, cmc, fnir, fpir, fpir_threshold, search
from fraudit.types import Templates as ListedTemplates

Case = tuple[Search, dict]


def of_templates(data: dict[str, np.ndarray], key: str) -> np.ndarray:
    """A field of each template, in the order of its number; all pictures of one agree."""
    return data[key][np.unique(data["template"], return_index=True)[1]]


def found(data: dict[str, np.ndarray]) -> Search:
    fused = fuse(data["features"], data["template"], data["media"])
    people = of_templates(data, "subject")
    probe = of_templates(data, "probe")
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
        want["n_mated"],
        want["n_nonmated"],
        want["gallery"],
    )


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


@pytest.mark.parametrize("name", ["small", "ties"])
def test_the_analysis_reaches_the_same_over_a_set_with_templates(
    name: str, shared_parity: Path, tmp_path: Path
) -> None:
    base = shared_parity / f"identification_{name}"
    if not base.with_suffix(".npz").is_file():
        pytest.skip(f"no {base.name}.npz in the parity folder")
    data, want = dict(np.load(base.with_suffix(".npz"))), json.loads(base.with_suffix(".json").read_text())
    names, template = np.unique(data["template"], return_inverse=True)
    people = of_templates(data, "subject")
    probe = of_templates(data, "probe")
    listed = ListedTemplates(
        tuple(map(str, names)),
        people,
        np.arange(len(template)),
        template,
        data["media"],
        galleries={"G": np.flatnonzero(~probe)},
        probes=np.flatnonzero(probe),
    )
    ids = [str(i) for i in range(len(template))]
    faces = replace(faces_of("ijb", ids, data["subject"]), templates=listed)
    model = StoredVectors("oracle", data["features"].astype(np.float32), np.ones(len(ids), bool))
    plan = AuditPlan("oracle", "ijb", only=("identification",), pictures="none")
    context = AnalysisContext(plan, faces, model, store=Store(tmp_path / "store"), run_dir=tmp_path)  # type: ignore[arg-type]
    asked = Params(targets=tuple(row["target"] for row in want["open_set"]), ranks=(1, 2, 5, 10, 20))
    (got,) = official(context, asked, vectors_of(context))
    np.testing.assert_allclose([1 - rate.value for _, rate in got.ranks], want["cmc"], rtol=0, atol=1e-14)
    for (_, threshold, missed), row in zip(got.tpir, want["open_set"], strict=True):
        assert threshold == pytest.approx(row["threshold"], abs=1e-12)
        assert missed.value == pytest.approx(row["fnir_any_rank"], abs=1e-14)
