"""Reductions, scans, order and statistics: what the samples of ops do not say."""

import math

import numpy as np
import pytest

import tinygen as tg

INF, NAN = math.inf, math.nan


def gradient(function, *values) -> list[float]:
    x = tg.tensor(values, dtype=tg.float64, requires_grad=True)
    function(x).sum().backward()
    return x.grad.tolist()


# ---- Rounding ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape, dim", [
    ((300_000, 2), 0), ((1000, 40, 3), (0, 1)), ((3, 70_000), 1), ((2, 40_000, 2), 1),
    ((65, 40), 0), ((100_000, 3), None),
])  # fmt: skip
def test_sums_of_many_float32_numbers_are_accurate(shape, dim):
    x = np.random.default_rng(0).random(shape, dtype=np.float32)
    for a in (x, x.T.copy().T, np.repeat(x, 2, -1)[..., ::2]):
        exact = a.astype(np.float64)
        t = tg.tensor(a)
        np.testing.assert_allclose(t.sum(dim).numpy(), exact.sum(dim), rtol=5e-7)
        np.testing.assert_allclose(t.mean(dim).numpy(), exact.mean(dim), rtol=5e-7)
        np.testing.assert_allclose(t.var(dim).numpy(), exact.var(dim, ddof=1), rtol=2e-6)
    np.testing.assert_allclose(tg.tensor(x).cumsum(1).numpy(), x.astype(float).cumsum(1), rtol=2e-7)


def test_gradient_of_a_broadcast_float32_number_is_accurate():
    bias = tg.zeros(2, requires_grad=True)
    g = np.random.default_rng(0).random((300_000, 2), dtype=np.float32)
    ((bias + tg.zeros(300_000, 2)) * tg.tensor(g)).sum().backward()
    np.testing.assert_allclose(bias.grad.numpy(), g.astype(float).sum(0), rtol=5e-7)


def test_variance_of_large_numbers():
    x = tg.tensor(np.array([1e6, 1e6 + 1, 1e6 + 2], np.float32))
    assert x.var().item() == 1.0 and x.std(correction=0).item() == pytest.approx(math.sqrt(2 / 3))


# ---- Dimensions, and nothing ---------------------------------------------------------------------

REDUCTIONS = ["sum", "mean", "prod", "amax", "amin", "max", "min", "argmax", "argmin", "std", "var",
              "logsumexp", "softmax", "log_softmax", "cumsum", "cumprod", "cummax", "cummin",
              "logcumsumexp", "median", "nanmedian", "mode", "nansum", "nanmean", "any", "all",
              "count_nonzero", "sort", "argsort"]  # fmt: skip


@pytest.mark.parametrize("name", REDUCTIONS)
def test_dim_out_of_range_names_the_range(name):
    for x, dim, bounds in [(tg.zeros(2, 3), 2, "-2, 1"), (tg.zeros(2, 3), -3, "-2, 1"),
                           (tg.tensor(1.0), 1, "-1, 0")]:  # fmt: skip
        with pytest.raises(IndexError, match=rf"{dim} is out of range.*\[{bounds}\]") as error:
            getattr(x, name)(dim=dim)
        inside = {"max": "argmax", "min": "argmin", "sort": "argsort", "std": "var",
                  "nansum": "sum", "count_nonzero": "sum", "nanmean": "sum"}  # fmt: skip
        assert str(error.value).startswith(f"{inside.get(name, name)}: ")


@pytest.mark.parametrize(
    "name", ["sum", "mean", "amax", "std", "var", "logsumexp", "nansum", "any"]
)
def test_repeated_dim_is_refused(name):
    with pytest.raises(RuntimeError, match="occurs twice"):
        getattr(tg.zeros(2, 3), name)(dim=(0, -2))


@pytest.mark.parametrize("name", ["sum", "amax", "softmax", "sort", "median", "cumsum"])
def test_dim_must_be_an_int(name):
    for wrong in ("a", 1.0):
        with pytest.raises(TypeError):
            getattr(tg.zeros(2, 3), name)(dim=wrong)


@pytest.mark.parametrize(
    "name", ["amax", "amin", "max", "min", "argmax", "argmin", "median", "mode"]
)
def test_extreme_of_nothing_is_refused(name):
    with pytest.raises(IndexError, match=r"dim 0 of shape .0, 3. has no elements"):
        getattr(tg.zeros(0, 3), name)(dim=0)
    if name in ("amax", "amin", "max", "min", "argmax", "argmin"):
        with pytest.raises((RuntimeError, IndexError), match=r"no(t exist|thing)|no extreme"):
            getattr(tg.zeros(0, 3), name)()


def test_what_nothing_adds_up_to():
    nothing = tg.zeros(0, 3)
    assert nothing.sum().item() == 0 and nothing.prod(0).tolist() == [1, 1, 1]
    assert math.isnan(nothing.mean().item()) and math.isnan(nothing.std().item())
    assert nothing.logsumexp(0).tolist() == [-INF] * 3 and nothing.norm().item() == 0
    assert nothing.all().item() and not nothing.any().item()


def test_too_few_elements_for_a_variance():
    assert np.isnan(tg.ones(1, 3).var(0).numpy()).all()
    assert tg.tensor([1.0, 2.0]).var(correction=4).item() == INF
    assert math.isnan(tg.tensor(1.0).var().item()) and math.isnan(tg.cov(tg.tensor(1.0)).item())


def test_integers_need_a_dtype_for_means():
    x = tg.tensor([1, 2])
    for name in ("mean", "var", "std", "norm", "quantile", "nanmean"):
        with pytest.raises(RuntimeError, match="needs a float tensor; this one is int64"):
            getattr(x, name)(*([0.5] if name == "quantile" else []))
    assert x.mean(dtype=tg.float32).item() == 1.5 and x.norm(dtype=tg.float64).dtype == tg.float64


def test_dtype_argument():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    for name in ("sum", "mean", "prod", "nansum", "norm"):
        y = getattr(x, name)(dtype=tg.float64)
        assert y.dtype == tg.float64
        assert tg.autograd.grad(y, x)[0].dtype == tg.float32
    for name in ("softmax", "log_softmax", "cumsum", "cumprod"):
        y = getattr(x, name)(0, dtype=tg.float64)
        assert y.dtype == tg.float64
        assert tg.autograd.grad(y[1], x)[0].dtype == tg.float32
    assert tg.tensor([True, True]).sum(dtype=tg.float32).dtype == tg.float32
    assert tg.tensor([1, 2], dtype=tg.uint8).sum().dtype == tg.int64
    assert tg.bincount(tg.tensor([0, 1]), tg.tensor([1, 2])).dtype == tg.float64


# ---- Subgradients --------------------------------------------------------------------------------


@pytest.mark.parametrize("function, values, expected", [
    (lambda x: x.amax(), [1, 2, 2], [0, 0.5, 0.5]),
    (lambda x: x.max(), [1, 2, 2], [0, 0.5, 0.5]),
    (lambda x: x.max(0).values, [1, 2, 2], [0, 1, 0]),
    (lambda x: x.cummax(0).values, [1, 1, 0], [1, 2, 0]),
    (lambda x: x.median(), [1, 1, 2, 1], [1 / 3, 1 / 3, 0, 1 / 3]),
    (lambda x: x.nanmedian(), [1, 1, NAN, 1], [1 / 3, 1 / 3, 0, 1 / 3]),
    (lambda x: x.median(0).values, [2, 3, 1, 4], [1, 0, 0, 0]),
    (lambda x: x.quantile(0.4), [1, 1, 2], [0.2, 0.8, 0]),
    (lambda x: x.std(), [1, 1], [0, 0]),
    (lambda x: x.norm(), [0, 0], [0, 0]),
    (lambda x: x.norm(0), [1, 0], [0, 0]),
    (lambda x: x.norm(0.5), [1, 0], [1, 0]),
    (lambda x: x.norm(1), [0, -1], [0, -1]),
    (lambda x: x.norm(3), [0, 0], [0, 0]),
    (lambda x: x.norm(-1), [1, 0], [0, 0]),
    (lambda x: x.norm(INF), [1, -1], [0.5, -0.5]),
    (lambda x: x.norm(-INF), [1, -1], [0.5, -0.5]),
    (lambda x: x.logsumexp(0), [-INF, -INF], [0, 0]),
    (lambda x: x.logsumexp(0), [-INF, 1], [0, 1]),
    (lambda x: x.logsumexp(0), [INF, 1], [NAN, 0]),
    (lambda x: x.prod(), [0, 2, 3], [6, 0, 0]),
    (lambda x: x.prod(), [0, 0, 3], [0, 0, 0]),
    (lambda x: x.cumprod(0)[2], [0, 2, 3], [6, 0, 0]),
    (lambda x: x.nansum(), [1, NAN], [1, 0]),
    (lambda x: x.nanmean(), [1, NAN], [1, 0]),
])  # fmt: skip
def test_subgradients_are_torchs(function, values, expected):
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(gradient(function, *values), expected, rtol=1e-12)


def test_gradient_of_cumprod_with_zeros_to_second_order():
    """d²(x y z) / dx dy = z, also where all are 0 but z."""
    x = tg.tensor([0.0, 0.0, 3.0], dtype=tg.float64, requires_grad=True)
    (g,) = tg.autograd.grad(x.cumprod(0)[2], x, create_graph=True)
    assert tg.autograd.grad(g[0], x)[0].tolist() == [0, 3, 0]


# ---- Arguments -----------------------------------------------------------------------------------


def test_results_have_names():
    x = tg.tensor([[3.0, 1.0, 2.0]])
    for out in (x.max(1), x.min(1), x.sort(1), x.topk(1), x.kthvalue(1), x.median(1), x.mode(1),
                x.cummax(1), x.cummin(1), x.nanmedian(1)):  # fmt: skip
        assert out.values is out[0] and out.indices is out[1]
    assert (x.aminmax().min.item(), x.aminmax().max.item()) == (1, 3)


def test_unbiased_may_come_in_any_way():
    x = tg.tensor([[1.0, 2.0], [4.0, 8.0]])
    expected = x.numpy().var(0)
    for out in (x.var(0, False), x.var(0, unbiased=False), x.var(0, correction=0)):
        np.testing.assert_allclose(out.numpy(), expected)
    assert x.var(0, False, True).shape == (1, 2)
    assert x.var(False).item() == pytest.approx(x.numpy().var())
    assert x.std(unbiased=False).item() == pytest.approx(x.numpy().std())


@pytest.mark.parametrize("call, error, text", [
    (lambda x: x.topk(4), ValueError, "k = 4, but dim -1 of shape .2, 3. has 3"),
    (lambda x: x.kthvalue(0), RuntimeError, "k = 0"),
    (lambda x: x.quantile(1.5), RuntimeError, r"in \[0, 1\]"),
    (lambda x: x.quantile(0.5, interpolation="cubic"), RuntimeError, "one of linear"),
    (lambda x: x.quantile(tg.tensor([0.5], dtype=tg.float64)), RuntimeError, "q.to"),
    (lambda x: x[:0].quantile(0.5), RuntimeError, "no elements"),
    (lambda x: x.norm("bogus"), RuntimeError, '"fro" or "nuc"'),
    (lambda x: tg.searchsorted(x, x[0]), RuntimeError, "do not fit"),
    (lambda x: tg.searchsorted(x, x, side="up"), RuntimeError, "left"),
    (lambda x: tg.searchsorted(x, x, side="left", right=True), RuntimeError, "agree"),
    (lambda x: tg.bucketize(x, x), RuntimeError, "1 dimension"),
    (lambda x: x.bincount(), RuntimeError, "integers"),
    (lambda x: tg.bincount(tg.tensor([-1])), RuntimeError, "not negative"),
    (lambda x: tg.bincount(tg.tensor([1]), minlength=-1), RuntimeError, "minlength"),
    (lambda x: tg.bincount(tg.tensor([1]), x), RuntimeError, "weights have shape"),
    (lambda x: x.histc(0), RuntimeError, "at least 1 bin"),
    (lambda x: x.histc(4, 2, 1), RuntimeError, "min <= max"),
    (lambda x: (x * NAN).histc(4), RuntimeError, "not finite"),
    (lambda x: x.diff(-1), RuntimeError, "negative"),
    (lambda x: x.diff(prepend=x[0]), RuntimeError, "as many"),
    (lambda x: tg.trapezoid(x, x[0, :2]), RuntimeError, "2 places x for 3 values"),
    (lambda x: tg.trapezoid(x[0, 0]), IndexError, "0-d"),
    (lambda x: x[None].cov(), RuntimeError, "at most 2"),
    (lambda x: x[None].corrcoef(), RuntimeError, "at most 2"),
    (lambda x: x.cov(fweights=x[0]), RuntimeError, "fweights must be integers"),
    (lambda x: x.cov(aweights=x[0, :2]), RuntimeError, r"shape \(3,\)"),
    (lambda x: x.cov(aweights=-x[0] - 1), RuntimeError, "negative"),
    (lambda x: tg.max(2, x), TypeError, "maximum"),
    (lambda x: x[:0].T.unique(dim=0), RuntimeError, "no elements"),
])  # fmt: skip
def test_misuse_is_explained(call, error, text):
    with pytest.raises(error, match=text):
        call(tg.arange(6.0).reshape(2, 3))
