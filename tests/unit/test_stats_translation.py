"""The translator between two models: planted linear and curved relations, and none."""

from __future__ import annotations

import numpy as np
import pytest

from fraudit.errors import InsufficientData
from fraudit.stats.ridge import choosing_people, fit_ridge
from fraudit.stats.translation import fit_translator
from fraudit.types import unit_rows


def planted(curved: bool, n: int = 3000, dim: int = 16, seed: int = 0):
    rng = np.random.default_rng(seed)
    people = np.repeat(np.arange(n // 3), 3)
    x = unit_rows(rng.normal(size=(n // 3, dim))[people] + 0.3 * rng.normal(size=(n, dim)))
    y = x @ np.linalg.qr(rng.normal(size=(dim, dim)))[0]  # its length stays: no curve by the normalisation
    if curved:
        y = y + 4 * np.abs(x @ rng.normal(size=(dim, dim)))
    return x, unit_rows(y + 0.02 * rng.normal(size=y.shape)), people


def test_ridge_is_that_of_scikit_learn():
    from sklearn.linear_model import Ridge

    x, y, people = planted(False, n=300)
    found = fit_ridge(x, y, choosing_people(people), ridges=(0.1,))
    z = (x - x.mean(0)) / x.std(0)
    oracle = Ridge(alpha=0.1 * len(z)).fit(z, y)
    assert np.allclose(found.matrix / found.gain, oracle.coef_.T, atol=1e-8)


def test_fewer_pictures_than_numbers_have_the_same_answer():
    x, y, people = planted(False, n=30, dim=40)
    found = fit_ridge(x, y, choosing_people(people), ridges=(0.1,))
    z = (x - x.mean(0)) / x.std(0)
    primal = np.linalg.solve(z.T @ z / 30 + 0.1 * np.eye(40), z.T @ (y - y.mean(0)) / 30)
    assert np.allclose(found.matrix / found.gain, primal, atol=1e-8)


@pytest.mark.parametrize(("curved", "kind"), [(False, "ridge"), (True, "network")])
def test_a_network_is_taken_where_the_relation_is_curved_alone(curved, kind):
    x, y, people = planted(curved)
    found = fit_translator(x[:2400], y[:2400], people[:2400])
    assert found.kind == kind
    cosine = float((found(x[2400:]) * y[2400:]).sum(1).mean())
    assert cosine > 0.9
    again = fit_translator(x[:2400], y[:2400], people[:2400])
    assert np.array_equal(again(x[:5]), found(x[:5]))


def test_one_person_is_too_few():
    with pytest.raises(InsufficientData, match="two people"):
        choosing_people(np.zeros(30))


def test_the_likeliest_vector_keeps_its_mean_and_is_not_lengthened():
    """Where nothing is known of a vector, the mean is the best guess; lengthened deviations would only harm it."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(400, 10))
    y = unit_rows(np.eye(8)[0] * 3 + rng.normal(size=(400, 8)))
    choosing = np.arange(400) >= 320
    plain, long = (
        fit_ridge(x, y, choosing, ridges=(1e-3, 1e1), lengthened=length) for length in (False, True)
    )
    assert plain.gain == 1
    by_mean = float((unit_rows(np.tile(plain.offset, (80, 1))) * y[choosing]).sum(1).mean())
    assert abs(plain.cosine - by_mean) < 0.03
    fresh = unit_rows(np.eye(8)[0] * 3 + rng.normal(size=(400, 8)))
    blind = rng.normal(size=(400, 10))
    likeness = [float((unit_rows(found(blind)) * fresh).sum(1).mean()) for found in (plain, long)]
    assert likeness[0] > likeness[1] + 0.05
