"""Protection schemes against their papers' definitions, computed the long way."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from fraudit.errors import DataError, InsufficientData, PluginError, UsageError
from fraudit.plugins import PROTECTIONS
from fraudit.protections.base import key_rng
from fraudit.protections.choosing import choose_scheme, protected, scored
from fraudit.protections.plain import IDENTITY, pca
from fraudit.protections.polyprotect import coefficients, shifted_cosines, windows
from fraudit.types import unit_rows


def vectors(count: int, dim: int, seed: int = 0) -> np.ndarray:
    return unit_rows(np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32))


def gram_schmidt(columns: np.ndarray) -> np.ndarray:
    """Orthonormal columns, one after the other."""
    out: list[np.ndarray] = []
    for column in columns.T:
        rest = column.copy()
        for axis in out:
            rest = rest - (axis @ rest) * axis
        out.append(rest / np.linalg.norm(rest))
    return np.stack(out, axis=1)


def test_every_bundled_scheme_is_known_and_is_what_it_says() -> None:
    assert PROTECTIONS.names() == [
        "biohashing",
        "identity",
        "int8",
        "iom",
        "pca",
        "polyprotect",
        "projection",
    ]
    for name, plugin in PROTECTIONS.items():
        assert plugin.name == name
        assert plugin.summary
        assert plugin.source


@pytest.mark.parametrize("text", ["projection", "biohashing", "polyprotect", "iom", "int8", "identity"])
def test_a_template_depends_on_its_own_vector_and_key_alone(text: str) -> None:
    v, scheme = vectors(6, 20), choose_scheme(text)
    whole = protected(scheme, v, 5)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(protected(scheme, v[[3]], 5), whole[[3]], atol=1e-6)
    np.testing.assert_allclose(scored(scheme, whole, whole), 1, atol=1e-6)
    assert np.array_equal(protected(scheme, v, 6), whole) == (not scheme.keyed)


def test_projection_is_gram_schmidt_of_the_keys_gaussian_vectors_and_keeps_cosines() -> None:
    v = vectors(5, 12)
    drawn = key_rng(7, "projection").standard_normal((12, 12))
    found = protected(choose_scheme("projection"), v, 7)
    np.testing.assert_allclose(found, v @ gram_schmidt(drawn), atol=1e-5)
    np.testing.assert_allclose(found @ found.T, v @ v.T, atol=1e-5)
    assert protected(choose_scheme("projection:dims=4"), v, 7).shape == (5, 4)


def test_biohashing_is_signs_of_inner_products_with_orthonormal_axes_and_hamming() -> None:
    v = vectors(5, 12)
    axes = gram_schmidt(key_rng(7, "biohashing").standard_normal((12, 8)))
    scheme = choose_scheme("biohashing:bits=8")
    found = protected(scheme, v, 7)
    for row in range(5):
        for bit in range(8):
            inner = sum(float(v[row, d]) * axes[d, bit] for d in range(12))
            assert found[row, bit] == (1 if inner > 0 else 0)
    differ = sum(found[0, b] != found[1, b] for b in range(8))
    assert scored(scheme, found[:1], found[1:2])[0] == pytest.approx(1 - differ / 8)


@pytest.mark.parametrize("overlap", range(5))
@pytest.mark.parametrize("dim", [5, 7, 23, 128])
def test_polyprotect_is_the_papers_sum_over_windows_filled_with_zeros(overlap: int, dim: int) -> None:
    v = vectors(3, dim)
    c, e = coefficients(11, 5)
    assert len(set(c)) == 5
    assert 0 not in c
    assert np.abs(c).max() <= 50
    assert sorted(e) == [1, 2, 3, 4, 5]
    found = protected(choose_scheme(f"polyprotect:overlap={overlap}"), v, 11)
    for row in range(3):
        expected, start = [], 0
        while True:
            window = [float(v[row, start + k]) if start + k < dim else 0.0 for k in range(5)]
            expected.append(sum(int(c[k]) * window[k] ** int(e[k]) for k in range(5)))
            if start + 5 >= dim:
                break
            start += 5 - overlap
        assert found.shape[1] == len(expected)
        np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("overlap", "length"), [(0, 103), (1, 128), (2, 170), (3, 255), (4, 508)])
def test_polyprotect_of_512_entries_has_as_many_values_as_windows_cover_it(overlap: int, length: int) -> None:
    assert windows(512, 5, overlap) == length == math.ceil((512 - 5) / (5 - overlap)) + 1


def test_moved_templates_are_found_up_to_the_most_and_their_sign_does_not_count() -> None:
    a = np.random.default_rng(0).standard_normal((3, 40)).astype(np.float32)
    moved = -np.roll(a, 3, axis=1)
    assert shifted_cosines(a, moved, 3) == pytest.approx(1, abs=1e-5)
    assert shifted_cosines(moved, a, 3) == pytest.approx(1, abs=1e-5)
    assert shifted_cosines(a, moved, 2).max() < 0.7
    assert shifted_cosines(a, a, 0) == pytest.approx(1, abs=1e-5)
    assert choose_scheme("polyprotect:overlap=0").link is not None
    assert choose_scheme("iom").link is None


def test_polyprotects_scores_are_cosines() -> None:
    scheme = choose_scheme("polyprotect:overlap=2")
    a, b = protected(scheme, vectors(4, 30), 3), protected(scheme, vectors(4, 30, 1), 3)
    wanted = [
        sum(x * y for x, y in zip(p, q, strict=True))
        / math.sqrt(sum(x * x for x in p) * sum(y * y for y in q))
        for p, q in zip(a.tolist(), b.tolist(), strict=True)
    ]
    np.testing.assert_allclose(scored(scheme, a, b), wanted, atol=1e-5)


def test_iom_is_the_index_of_the_largest_of_q_gaussian_projections() -> None:
    v = vectors(4, 10)
    scheme = choose_scheme("iom:m=6:q=3")
    drawn = key_rng(2, "iom").standard_normal((10, 18), dtype=np.float32)
    found = protected(scheme, v, 2)
    for row in range(4):
        for i in range(6):
            inner = [sum(float(v[row, d]) * float(drawn[d, 3 * i + j]) for d in range(10)) for j in range(3)]
            assert found[row, i] == inner.index(max(inner)) + 1
    equal = sum(found[0, i] == found[1, i] for i in range(6)) / 6
    assert scored(scheme, found[:1], found[1:2])[0] == pytest.approx(equal)
    assert scheme.features is not None
    hot = scheme.features(found)
    assert hot.shape == (4, 18)
    assert (hot.reshape(4, 6, 3).argmax(2) + 1 == found).all()
    assert (hot.sum(1) == 6).all()


def test_iom_is_blind_to_length() -> None:
    v, scheme = vectors(4, 10), choose_scheme("iom")
    assert np.array_equal(scheme.protect(v, 1), scheme.protect(9 * v, 1))


def test_int8_rounds_each_entry_to_a_127th_of_the_largest() -> None:
    v = vectors(3, 9)
    found = protected(choose_scheme("int8"), v, 1)
    for row in range(3):
        most = max(abs(float(x)) for x in v[row])
        assert [round(127 * float(x) / most) for x in v[row]] == found[row].tolist()
    assert found.max() <= 127


def test_pca_projects_on_the_axes_of_the_vectors_it_learnt_from() -> None:
    from sklearn.decomposition import PCA

    known, v = vectors(50, 12), vectors(4, 12, 1)
    scheme = pca(dims=5).learn(known)  # type: ignore[misc]
    axes = PCA(5).fit(known).components_
    np.testing.assert_allclose(np.abs(protected(scheme, v, 0)), np.abs(v @ axes.T), atol=1e-4)
    with pytest.raises(InsufficientData, match="pca: 40 axes"):
        pca(dims=40).learn(known)  # type: ignore[misc]
    with pytest.raises(DataError, match="learn"):
        protected(pca(), v, 0)


@pytest.mark.parametrize("key", [-1, 2**63, 1.5, True])
def test_a_key_out_of_range_is_refused(key: int) -> None:
    with pytest.raises(UsageError, match="key: expected a whole number from 0 to 2"):
        protected(choose_scheme("projection"), vectors(2, 8), key)


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("biohashin", PluginError, "unknown protection scheme 'biohashin'"),
        ("polyprotect:overlap=5", UsageError, "overlap: expected a whole number from 0 to 4, found 5"),
        ("polyprotect:overlp=2", UsageError, "no parameter 'overlp'"),
        ("polyprotect:overlap", UsageError, "expected parameter=number"),
        ("iom:q=1", UsageError, "q: expected a whole number from 2"),
        ("projection:dims=-1", UsageError, "dims: expected a whole number of at least 0"),
        ("identity:x=1", UsageError, "takes no parameters"),
    ],
)
def test_wrong_names_and_parameters_have_a_clear_line(text: str, error: type, words: str) -> None:
    with pytest.raises(error, match=words) as told:
        choose_scheme(text)
    if error is PluginError:
        assert "did you mean 'biohashing'" in told.value.hint


def test_dimensions_that_are_too_small_are_refused() -> None:
    for text in ("polyprotect", "projection:dims=9", "biohashing:bits=9"):
        with pytest.raises(DataError, match="found 4"):
            protected(choose_scheme(text), vectors(2, 4), 1)


def test_what_a_scheme_answers_is_looked_at() -> None:
    v = vectors(3, 8)
    wrong = [
        replace(IDENTITY, protect=lambda rows, key: rows[:1]),
        replace(IDENTITY, protect=lambda rows, key: rows * np.nan),
    ]
    for scheme in wrong:
        with pytest.raises(PluginError, match=r"answered \("):
            protected(scheme, v, 0)
    with pytest.raises(PluginError, match="scored 3 pairs"):
        scored(replace(IDENTITY, score=lambda a, b: a), v, v)
