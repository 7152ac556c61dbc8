"""The Brownian path: its law, and that it is one path, however it is asked for."""

import math
from itertools import pairwise

import numpy as np
import pytest

import tinygen as tg
from tinygen.sde import BrownianInterval

f64 = {"dtype": tg.float64}
AREAS = ["none", "space-time"]


def kolmogorov_smirnov(sample: np.ndarray) -> float:
    """The p-value of a sample from N(0, 1), by Kolmogorov's asymptotic formula."""
    x = np.sort(sample.ravel())
    cdf = np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in x])
    n = len(x)
    distance = max((np.arange(1, n + 1) / n - cdf).max(), (cdf - np.arange(n) / n).max())
    k = np.arange(1, 100)
    return float(2 * ((-1.0) ** (k - 1) * np.exp(-2 * n * (k * distance) ** 2)).sum())


def asked(bm, ta: float, tb: float) -> np.ndarray:
    """W, and U if there is one, [1 or 2, *size]."""
    if bm.levy_area_approximation == "none":
        return bm(ta, tb).array[None]
    return np.stack([part.array for part in bm(ta, tb, return_U=True)])


def joined(one: np.ndarray, other: np.ndarray, length: float) -> np.ndarray:
    """W and U over two adjacent parts, the second of that length."""
    total = one + other
    total[1:] += length * one[:1]
    return total


# ---- One path ------------------------------------------------------------------------------------


@pytest.mark.parametrize("area", AREAS)
@pytest.mark.parametrize("dt", [None, 1e-2])
def test_increments_are_additive_over_any_subdivision(area, dt):
    rng = np.random.default_rng(0)
    bm = BrownianInterval(0, 1, (3, 2), entropy=5, dt=dt, levy_area_approximation=area, **f64)
    for pieces in (2, 3, 30):
        times = np.sort(rng.uniform(size=pieces + 1))
        if dt:
            times[::2] = np.sort(rng.choice(101, len(times[::2]), replace=False)) / 100
            times = np.unique(times)
        total = asked(bm, times[0], times[1])
        for t0, t1 in pairwise(times[1:]):
            total = joined(total, asked(bm, t0, t1), t1 - t0)
        np.testing.assert_allclose(total, asked(bm, times[0], times[-1]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("area", AREAS)
def test_increments_do_not_depend_on_what_was_asked_before(area):
    rng = np.random.default_rng(1)
    make = lambda: BrownianInterval(0, 2, (2, 2), entropy=9, levy_area_approximation=area, **f64)
    questions = [tuple(np.sort(rng.uniform(0, 2, 2))) for _ in range(20)]
    once = make()
    first = [asked(once, *q) for q in questions]
    again = make()
    order = rng.permutation(len(questions))
    for i in order:
        assert (asked(again, *questions[i]) == first[i]).all()
    for question, answer in zip(questions[:10], first):  # each one of a path that is new
        assert (asked(make(), *question) == answer).all()


def test_what_is_returned_is_nobody_elses():
    bm = BrownianInterval(0, 1, (2, 2), entropy=1)
    before = bm(0, 1).array.copy()
    bm(0, 1).mul_(0)
    assert (bm(0, 1).array == before).all()


def test_the_cache_changes_nothing_and_is_bounded():
    paths = [BrownianInterval(0, 1, (4, 1), entropy=3, cache_size=n) for n in (0, 7, 500)]
    times = np.linspace(0, 1, 20) ** 1.5
    for t0, t1 in pairwise(times):
        found = [bm(t0, t1).array for bm in paths]
        assert all((other == found[0]).all() for other in found[1:])
        assert all(len(bm.cache) <= bm.cache_size for bm in paths)
    assert len(paths[1].cache) == 7


def test_a_step_on_the_grid_takes_about_one_cut_whatever_the_scale_of_time(monkeypatch):
    counts = {}
    for scale in (1e-9, 1.0, 1e9):
        bm = BrownianInterval(0, scale, (1, 1), entropy=1, dt=scale / 256)
        cuts = []
        cut = bm.cut
        monkeypatch.setattr(bm, "cut", lambda *a, cut=cut, cuts=cuts: cuts.append(1) or cut(*a))
        for n in range(256):
            bm(n * scale / 256, (n + 1) * scale / 256)
        counts[scale] = len(cuts)
    assert len(set(counts.values())) == 1 and 255 <= counts[1.0] < 2 * 256
    bm, cuts = BrownianInterval(0, 1, (1, 1), entropy=1), []
    cut = bm.cut
    monkeypatch.setattr(bm, "cut", lambda *a: cuts.append(1) or cut(*a))
    bm(1e-9 / 3, 1 / math.pi)
    assert len(cuts) < 200


def test_time_only_scales_the_path():
    """W(ct) is √c W(t) in law, and here on every path; and where t0 is does not matter."""
    one = BrownianInterval(0, 1, (3, 1), entropy=4, levy_area_approximation="space-time", **f64)
    for c, t0 in ((4.0**20, 0.0), (4.0**-20, 0.0), (1.0, 64.0)):
        other = BrownianInterval(t0, t0 + c, (3, 1), entropy=4, **f64,
                                 levy_area_approximation="space-time")  # fmt: skip
        W, U = asked(other, t0 + 0.3125 * c, t0 + 0.75 * c)
        expected = asked(one, 0.3125, 0.75)
        np.testing.assert_allclose(W, math.sqrt(c) * expected[0], rtol=1e-10)
        np.testing.assert_allclose(U, c * math.sqrt(c) * expected[1], rtol=1e-10)


# ---- Its law -------------------------------------------------------------------------------------


@pytest.mark.parametrize("area", AREAS)
@pytest.mark.parametrize("dtype", [tg.float32, tg.float64])
def test_increments_are_normal_and_independent(area, dtype):
    """Over parts of very different lengths, W/√h and H/√(h/12) are N(0, 1) and uncorrelated."""
    times = [0.0, 1e-6, 0.1, 1 / 3, 0.5, 0.8123, 0.8124, 1.0]
    bm = BrownianInterval(0, 1, (4000, 1), dtype, entropy=8, levy_area_approximation=area)
    rows = []
    for t0, t1 in pairwise(times):
        h = t1 - t0
        W, *U = asked(bm, t0, t1).astype(np.float64)[:, :, 0]
        rows += [W / math.sqrt(h)] + [(u / h - W / 2) / math.sqrt(h / 12) for u in U]
    for row in rows:
        assert kolmogorov_smirnov(row) > 1e-3
    correlations = np.corrcoef(np.stack(rows)) - np.eye(len(rows))
    assert np.abs(correlations).max() < 4.5 / math.sqrt(4000)


def test_components_and_paths_are_independent_and_entropies_differ():
    w = [BrownianInterval(0, 1, (3000, 3), entropy=e, **f64)(0.2, 0.7).array for e in (0, 1)]
    rows = np.concatenate([w[0].T, w[1].T, np.roll(w[0].T, 1, 1)])
    assert np.abs(np.corrcoef(rows) - np.eye(9)).max() < 4.5 / math.sqrt(3000)
    tg.manual_seed(0)
    for _ in range(3):  # the entropy 0 is not the stream of the seed 0
        rows = np.concatenate([rows, tg.randn(3000, 3, **f64).array.T])
    assert np.abs(np.corrcoef(rows) - np.eye(len(rows))).max() < 4.5 / math.sqrt(3000)


def test_a_bridge_ends_where_it_is_told():
    end = tg.tensor(np.linspace(-1, 1, 4000)[:, None])
    area = {"H": tg.zeros(4000, 1, **f64), "levy_area_approximation": "space-time"}
    for more, variance in (({}, 3 / 16), (area, 3 / 16 - 27 / 256)):
        bm = BrownianInterval(0, 4, W=end, entropy=2, **more)
        np.testing.assert_allclose((bm(0, 1.3) + bm(1.3, 4)).array, end.array, atol=1e-12)
        rest = bm(1.0).array - end.array / 4
        assert rest.var() == pytest.approx(4 * variance, rel=0.1)


# ---- Bad questions -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"t0": 1.0, "t1": 1.0}, "t0 must lie before t1, both finite; got 1, 1"),
        ({"t1": math.inf}, "both finite"),
        ({"size": None}, "say what shape the path has"),
        ({"levy_area_approximation": "davie"}, "is one of"),
        ({"dt": 0.0}, "dt must be positive"),
        ({"dt": 0.1, "grid": [0.5]}, "exclude each other"),
        ({"W": tg.zeros(3)}, "W has the shape"),
        ({"H": tg.zeros(2, 2)}, "with H, write"),
    ],
)
def test_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        BrownianInterval(**{"size": (2, 2), **arguments})
    with pytest.raises(TypeError, match="float32 or float64"):
        BrownianInterval(size=(2, 2), dtype=tg.int64)


def test_questions():
    bm = BrownianInterval(0, 1, (2, 2))
    for ta, tb in ((0.5, 0.2), (-0.1, 0.5), (0.5, 1.1)):
        with pytest.raises(ValueError, match="must run forwards, and lie in the interval"):
            bm(ta, tb)
    with pytest.raises(ValueError, match="make the BrownianInterval with"):
        bm(0, 1, return_U=True)
    assert (bm(0.5, 0.5).array == 0).all()
    assert "BrownianInterval(t0=0, t1=1, size=(2, 2), dtype=float32" in repr(bm)
