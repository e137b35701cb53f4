"""Single images: Fisher's test by image, the false discovery rate, and what few seeds cannot show."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from seedstudy.errors import StatisticsError
from seedstudy.stats.which_images import differing_images, disagreement, most_common


def drawn(n_a: int, n_b: int, *, differing: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    difficulty, differs = rng.normal(1.5, 2.5, 2000), rng.random(2000) < differing
    moved = np.where(differs, 3.0 * rng.choice((-1.0, 1.0), 2000), 0.0)
    skills = (rng.normal(0.0, 0.3, (n, 1)) for n in (n_a, n_b))
    a, b = (
        (rng.random((len(skill), 2000)) < special.expit(logits + skill)).sum(axis=0)
        for logits, skill in zip((difficulty, difficulty + moved), skills, strict=True)
    )
    return a, b, differs


@pytest.mark.parametrize(("n_a", "n_b"), [(3, 3), (5, 8), (20, 20)])
def test_p_values_are_those_of_scipy(n_a: int, n_b: int) -> None:
    a, b, _ = drawn(n_a, n_b, differing=0.2)
    found = differing_images(a, n_a, b, n_b, fdr=0.05)
    for i in range(0, 2000, 53):
        expected = stats.fisher_exact([[a[i], n_a - a[i]], [b[i], n_b - b[i]]]).pvalue
        assert found.p_values[i] == pytest.approx(expected, rel=1e-9)


def by_the_paper(a: np.ndarray, n_a: int, b: np.ndarray, n_b: int, fdr: float) -> np.ndarray:
    """DBH-SU as in Doehler et al. (2018), one image at a time, with scipy's distribution."""
    p_of, law = {}, {}
    for total in range(n_a + n_b + 1):
        outcomes = range(max(0, total - n_b), min(n_a, total) + 1)
        p = [stats.fisher_exact([[k, n_a - k], [total - k, n_b - total + k]]).pvalue for k in outcomes]
        p_of |= {(k, total - k): each for k, each in zip(outcomes, p, strict=True)}
        law[total] = (np.array(p), stats.hypergeom.pmf(outcomes, n_a + n_b, n_a, total))

    def below(total: int, t: float) -> float:
        p, probability = law[total]
        return float(probability[p <= t * (1 + 1e-7)].sum())

    totals, p_values = a + b, np.array([p_of[pair] for pair in zip(a.tolist(), b.tolist(), strict=True)])
    possible = sorted({t for total in set(totals.tolist()) for t in law[total][0] if t < 1 - 1e-7})
    within = [t for t in possible if sum(below(i, t) / (1 - below(i, t) + 1e-300) for i in totals) <= fdr * len(a)]
    if not within:
        return np.zeros(len(a), dtype=bool)
    last = max(within)
    weights = [1 / (1 - below(i, last)) for i in totals]
    rejected = -1.0
    for t in sorted({p for p in p_values.tolist() if p <= last * (1 + 1e-7)}):
        expected = sum(below(i, t) * weight for i, weight in zip(totals, weights, strict=True))
        if expected <= fdr * (p_values <= t).sum() * (1 + 1e-7):
            rejected = t
    return p_values <= rejected


@pytest.mark.parametrize(("n_a", "n_b", "fdr"), [(4, 4, 0.2), (5, 5, 0.05), (4, 7, 0.1), (8, 8, 0.05)])
def test_what_counts_is_what_the_paper_says(n_a: int, n_b: int, fdr: float) -> None:
    a, b, _ = (each[:300] for each in drawn(n_a, n_b, differing=0.3))
    found = differing_images(a, n_a, b, n_b, fdr=fdr)
    np.testing.assert_array_equal(found.differs, by_the_paper(a, n_a, b, n_b, fdr))


def test_few_seeds_show_nothing_and_say_what_they_would_need() -> None:
    three = differing_images([0] * 50, 3, [3] * 50, 3, fdr=0.05)
    assert three.smallest_p == pytest.approx(0.1)
    assert (three.n_smallest, three.n_smallest_needed, three.p_needed) == (50, None, None)
    assert not three.differs.any()
    # 5 and 5 seeds: 2 / 252. Of 200 images of which half the seeds are right, 32 must be as unlike as can be.
    unlike = np.repeat([0, 2], [31, 169])
    few = differing_images(unlike, 5, 5 - unlike, 5, fdr=0.05)
    assert few.smallest_p == pytest.approx(2 / 252)
    assert (few.n_smallest, few.p_needed) == (31, None)
    assert few.n_smallest_needed == 32
    unlike[31] = 0
    enough = differing_images(unlike, 5, 5 - unlike, 5, fdr=0.05)
    assert enough.p_needed == pytest.approx(2 / 252)
    assert enough.differs.sum() == 32


def test_images_that_all_seeds_have_right_cost_nothing() -> None:
    a, b, _ = drawn(8, 8, differing=0.1)
    found = differing_images(a, 8, b, 8, fdr=0.05)
    more = differing_images(np.append(a, [8] * 500), 8, np.append(b, [8] * 500), 8, fdr=0.05)
    assert found.differs.any()
    np.testing.assert_array_equal(found.differs, more.differs[: len(a)])
    assert (more.p_values[len(a) :] == 1.0).all()


def test_swapping_arms_changes_nothing() -> None:
    a, b, _ = drawn(5, 8, differing=0.2)
    there, back = differing_images(a, 5, b, 8, fdr=0.1), differing_images(b, 8, a, 5, fdr=0.1)
    np.testing.assert_allclose(there.p_values, back.p_values)
    np.testing.assert_array_equal(there.differs, back.differs)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_a", "n_b", "differing"),
    [(5, 5, 0.0), (10, 10, 0.05), (20, 20, 0.0), pytest.param(20, 20, 0.2, marks=pytest.mark.long)],
)
def test_false_discoveries_are_as_rare_as_declared(n_a: int, n_b: int, differing: float) -> None:
    shares = []
    for seed in range(300):
        a, b, differs = drawn(n_a, n_b, differing=differing, seed=seed)
        found = differing_images(a, n_a, b, n_b, fdr=0.05).differs
        shares.append((found & ~differs).sum() / max(1, found.sum()))
    assert np.mean(shares) < 0.05 + 3 * np.std(shares) / 300**0.5


@pytest.mark.parametrize(
    ("a", "n_a", "fdr"),
    [([1, 6], 5, 0.05), ([-1, 0], 5, 0.05), ([1, 2, 3], 5, 0.05), ([1, 2], 5, 0.0), ([1, 2], 0, 0.05)],
)
def test_impossible_counts_are_refused(a: list[int], n_a: int, fdr: float) -> None:
    with pytest.raises(StatisticsError):
        differing_images(a, n_a, [1, 2], 5, fdr=fdr)


def test_disagreement_is_the_share_of_pairs() -> None:
    matrix = np.random.default_rng(0).random((6, 40)) < 0.6
    pairs = [matrix[i] != matrix[j] for i in range(6) for j in range(i)]
    np.testing.assert_allclose(disagreement(matrix.sum(axis=0), 6), np.mean(pairs, axis=0))
    assert np.isnan(disagreement([0, 1], 1)).all()


def test_the_most_common_class_is_counted() -> None:
    predicted = np.random.default_rng(1).integers(0, 4, (7, 200))
    winner, most = most_common(predicted)
    for i in range(200):
        counts = np.bincount(predicted[:, i], minlength=4)
        assert (winner[i], most[i]) == (counts.argmax(), counts.max())
