"""Elementwise ops where they are delicate: borders of domains, kinks, NaN and inf, types."""

import itertools
import math

import numpy as np
import pytest
import scipy.special

import tinygen as tg
from tinygen.autograd.ops import special
from tinygen.autograd.registry import ShapeError
from tinygen.autograd.tensor import Tensor

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy, of inf - inf and so on

inf, nan = math.inf, math.nan

# ---- Values and slopes at special points are PyTorch's -------------------------------------------

POINTS = np.array([0.0, 1, -1, 0.5, -0.5, 2, -2, 3, inf, nan, 1e300, 40, -40, 800, -800])
ONE = [
    "abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "deg2rad",
    "erf", "erfc", "erfinv", "exp", "exp2", "expm1", "floor", "frac", "isfinite", "isnan",
    "isneginf", "isposinf", "lgamma", "log", "log10", "log1p", "log2", "logical_not", "logit",
    "nan_to_num", "neg", "positive", "rad2deg", "reciprocal", "relu", "round", "rsqrt", "sgn",
    "sigmoid", "sign", "signbit", "sin", "sinc", "sinh", "sqrt", "square", "tan", "tanh",
    "trunc",
]  # fmt: skip
TWO = [
    "add", "atan2", "copysign", "div", "eq", "float_power", "fmax", "fmin", "fmod", "ge", "gt",
    "heaviside", "hypot", "le", "logaddexp", "logaddexp2", "logical_and", "logical_xor", "lt",
    "maximum", "minimum", "mul", "ne", "pow", "remainder", "rsub", "sub", "xlogy",
]  # fmt: skip
# There our slope is the better one: xlogy at (0, 0), and the infinite slopes of acosh beyond its
# domain; and copysign at infinity and NaN.
EXCEPT = {"xlogy": lambda x, y: (x == 0) & (y == 0), "acosh": lambda x: x == -1,
          "copysign": lambda x, y: ~np.isfinite(x)}  # fmt: skip


def values_and_slopes(library, op, arrays):
    make = library.tensor if library is tg else library.from_numpy
    inputs = [make(a.copy()).requires_grad_() for a in arrays]
    out = op(*inputs)
    slopes = [None] * len(inputs)
    if out.requires_grad:
        slopes = library.autograd.grad(out, inputs, library.ones_like(out), allow_unused=True)
    slopes = [np.zeros(a.shape) if s is None else s.numpy() for s, a in zip(slopes, arrays)]
    return [out.detach().numpy(), *slopes]


def assert_torchs(op, arrays, ours=None, but=None):
    """`op` is a name, or a function of the library (ours, or torch)."""
    torch = pytest.importorskip("torch")
    call = (lambda library: getattr(library, op)) if isinstance(op, str) else op
    expected = values_and_slopes(torch, call(torch), arrays)
    found = values_and_slopes(tg, call(tg), arrays)
    excepted = but(*arrays) if but else np.zeros(arrays[0].shape, bool)
    for f, e in zip(found, expected, strict=True):
        f, e = np.where(excepted, 0, f), np.where(excepted, 0, e)
        np.testing.assert_allclose(f, e, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", ONE)
def test_special_points(name):
    if name == "sgn":  # whose gradient is not an ordinary tensor in PyTorch
        return
    assert_torchs(name, [POINTS], but=EXCEPT.get(name))


@pytest.mark.parametrize("name", TWO)
def test_special_pairs(name):
    if name in ("heaviside", "floor_divide"):  # no gradient there
        return
    pairs = np.array(list(itertools.product(POINTS[:11], repeat=2)))
    assert_torchs(name, [pairs[:, 0], pairs[:, 1]], but=EXCEPT.get(name))


@pytest.mark.parametrize("y", [0, 1, 2, 3, -1, -2, 0.5, -0.5, 2.5, 0.0])
def test_special_powers(y):
    assert_torchs(lambda library: lambda x: x**y, [POINTS])
    if y >= 0:
        assert_torchs(lambda library: lambda x: y**x, [POINTS])


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (None, 0.5), (-1, None), (1.0, 0.0)], ids=str)
def test_clamp_at_its_bounds(bounds):
    assert_torchs(lambda library: lambda x: library.clamp(x, *bounds), [POINTS])


def test_clamp_by_tensors():
    triples = np.array(list(itertools.product([0.0, 0.5, 1, 2, nan, inf], repeat=3)))
    assert_torchs("clamp", list(triples.T.copy()))
    assert_torchs(lambda library: lambda x, low: library.clamp(x, low), list(triples.T[:2].copy()))


def test_lerp_meets_its_ends():
    triples = np.array(list(itertools.product([0.1, inf, nan], [0.7, -inf], [0.0, 0.3, 0.5, 1.0])))
    assert_torchs("lerp", list(triples.T.copy()))
    x, y = tg.tensor(0.1), tg.tensor(0.7)
    assert tg.lerp(x, y, 0.0) == x and tg.lerp(x, y, 1.0) == y


def test_logit_with_eps():
    points = np.array([0.0, 1, -1, 0.5, 2, 0.1, 0.9, 0.05])
    assert_torchs(lambda library: lambda x: library.logit(x, 0.1), [points])


def test_slope_of_sinc_near_0():
    x = tg.tensor([0.0, 1e-9, 1e-3]).double().requires_grad_()
    (slope,) = tg.autograd.grad(tg.sinc(x).sum(), x, create_graph=True)
    np.testing.assert_allclose(slope.detach().numpy(), -(np.pi**2) / 3 * x.detach().numpy(), 1e-5)
    (curvature,) = tg.autograd.grad(slope.sum(), x)
    np.testing.assert_allclose(curvature.numpy(), -(np.pi**2) / 3, rtol=1e-5)


@pytest.mark.parametrize("safe", [
    lambda x: tg.where(x >= 0, x, x.detach().log()), lambda x: x.clamp(1e-3).log(),
    lambda x: tg.where(x > 0, tg.where(x > 0, x, 1.0).log(), 0.0), lambda x: tg.xlogy(x, x),
    lambda x: x**2.0, lambda x: x**x, lambda x: 0.0**x, tg.sinc, lambda x: tg.atan2(x, x),
])  # fmt: skip
def test_no_nan_from_the_branch_not_taken(safe):
    x = tg.tensor([0.0, 1.0], requires_grad=True)
    y = safe(x)
    assert tg.isfinite(y).all()
    (g,) = tg.autograd.grad(y.sum(), x)
    assert tg.isfinite(g).all()


# ---- Accuracy ------------------------------------------------------------------------------------


def worst(found, expected) -> float:
    """The largest relative error."""
    return float(np.max(np.abs(found - expected) / np.abs(expected)))


def test_erfinv_is_accurate_to_the_last_digits():
    rng = np.random.default_rng(0)
    y = np.concatenate(
        [rng.uniform(-1, 1, 2000), 1 - 10.0 ** -rng.uniform(0, 16, 500), [1e-9, 1e-300]]
    )
    assert worst(tg.erfinv(Tensor(y)).numpy(), scipy.special.erfinv(y)) < 1e-15
    low = y.astype(np.float32)[:2000]
    assert worst(tg.erfinv(Tensor(low)).numpy(), scipy.special.erfinv(low.astype(float))) < 1e-7
    assert tg.erfinv(tg.tensor([1.0, -1.0])).tolist() == [inf, -inf]


def test_gamma_family_is_accurate():
    rng = np.random.default_rng(0)
    x = np.concatenate([10.0 ** rng.uniform(-10, 10, 1000), rng.uniform(0, 5, 1000)])
    far_from_root = x[np.abs(x - 1.4616) > 0.01]
    assert worst(
        tg.digamma(Tensor(far_from_root)).numpy(), scipy.special.digamma(far_from_root)
    ) < 1e-12  # fmt: skip
    for n in (1, 2, 3, 8):
        found = tg.polygamma(n, Tensor(x)).numpy()
        assert worst(found, scipy.special.polygamma(n, x)) < 5e-15
    negative = -rng.uniform(0, 10, 1000)
    np.testing.assert_allclose(
        tg.digamma(Tensor(negative)).numpy(), scipy.special.digamma(negative), 1e-11, 1e-11
    )
    step = 1e-5  # no such SciPy function: polygamma(2) as the slope of polygamma(1)
    ends = [tg.polygamma(1, Tensor(np.array([-0.6, -3.3]) + h)).numpy() for h in (-step, step)]
    found = tg.polygamma(2, tg.tensor([-0.6, -3.3]).double()).numpy()
    np.testing.assert_allclose(found, (ends[1] - ends[0]) / (2 * step), rtol=1e-6)


def test_gamma_family_at_its_poles():
    x = tg.tensor([0.0, -1.0, -2.0, inf])
    assert tg.lgamma(x).tolist() == [inf] * 4
    np.testing.assert_array_equal(tg.digamma(x).numpy(), [-inf, nan, nan, inf])
    assert tg.polygamma(1, x).tolist() == x.polygamma(1).tolist() == [inf, inf, inf, 0]
    assert tg.digamma(tg.tensor([-0.0])).item() == inf and tg.lgamma(tg.tensor(1e37)).item() > 1e38
    assert tg.lgamma(tg.tensor(1e308).double()).item() == inf


def test_tails_keep_their_digits():
    x = tg.tensor([-20.0, -40.0, -80.0])
    np.testing.assert_allclose(tg.sigmoid(x).numpy(), np.exp([-20.0, -40.0, -80.0]), rtol=1e-5)
    np.testing.assert_allclose(tg.erfc(-x[:1] / 4).numpy(), [1.5374597e-12], rtol=1e-5)
    assert tg.expm1(tg.tensor(1e-7)).item() > 0.99e-7 < tg.log1p(tg.tensor(1e-7)).item()
    assert tg.logaddexp(tg.tensor(1000.0), tg.tensor(1000.0)).item() == pytest.approx(1000.6931)


# ---- Types ---------------------------------------------------------------------------------------

MIXED = [
    "add", "sub", "mul", "div", "pow", "atan2", "remainder", "fmod", "floor_divide", "maximum",
    "minimum", "fmax", "fmin", "xlogy", "copysign", "float_power", "logical_xor", "eq", "lt",
]  # fmt: skip


@pytest.mark.parametrize("name", MIXED)
def test_types_are_torchs(name):
    torch = pytest.importorskip("torch")
    kinds = ["int64", "int32", "uint8", "float32", "float64"]
    for first, second in itertools.product(kinds, kinds):
        for shapes in [((2,), (2,)), ((2,), ()), ((), (2,))]:
            a, b = (np.ones(s, k) for s, k in zip(shapes, (first, second)))
            ours = getattr(tg, name)(Tensor(a), Tensor(b))
            theirs = getattr(torch, name)(torch.from_numpy(a), torch.from_numpy(b))
            assert str(ours.dtype) == str(theirs.dtype)[6:], (first, second, shapes)


@pytest.mark.parametrize("name", ONE)
def test_types_of_integers_are_torchs(name):
    torch = pytest.importorskip("torch")
    for kind in ("int64", "uint8", "bool"):
        x = np.array([0, 1], kind)
        try:
            theirs = getattr(torch, name)(torch.from_numpy(x))
        except (RuntimeError, NotImplementedError):
            continue
        ours = getattr(tg, name)(Tensor(x))
        assert str(ours.dtype) == str(theirs.dtype)[6:]
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)


def test_numbers_do_not_widen():
    x = tg.tensor([1.5, 2.0])
    for y in (tg.xlogy(x, 0.5), tg.xlogy(2, x), tg.lerp(x, x, 0.3), tg.addcmul(x, x, x, value=0.5),
              tg.hypot(x, tg.tensor(3)), x.fmod(0.7), 2.0**x, x**0.7, tg.clamp(x, 0.1, 1.7),
              tg.where(x > 1.7, 1.0, 2.0), x.logit(0.1), x.nan_to_num(nan=0.5),
              special.xlog1py(x, 0.3), special.ndtr(x), x.deg2rad()):  # fmt: skip
        assert y.dtype == tg.float32
    assert tg.where(x > 1.7, 1, 2).dtype == tg.int64 and tg.where(x > 1, 1, 2.5).dtype == tg.float32


def test_comparison_in_the_common_type():
    assert (tg.tensor([0.1]) == tg.tensor(0.1, dtype=tg.float64)).all()
    assert not (tg.tensor([0.1]) == tg.tensor([0.1], dtype=tg.float64)).all()


def test_python_types():
    x = tg.tensor([1, 2])
    assert x.to(float).dtype == tg.float64 and x.float().to(int).dtype == tg.int64
    assert x.to(bool).dtype == tg.bool and x.to(np.float32).dtype == tg.float32


# ---- Forms ---------------------------------------------------------------------------------------


def test_division_with_rounding():
    x, y = tg.tensor([7, -7, 8]), tg.tensor([2, 2, -3])
    assert tg.div(x, y, rounding_mode="trunc").tolist() == [3, -3, -2]
    assert tg.div(x, y, rounding_mode="floor").tolist() == [3, -4, -3]
    assert x.divide(2, rounding_mode="floor").dtype == tg.int64
    assert tg.div(x, y).dtype == tg.true_divide(x, y).dtype == tg.float32
    big = tg.tensor([2**53 + 1])
    assert big.div(1, rounding_mode="trunc").item() == 2**53 + 1
    z = x.float().div_(2, rounding_mode="floor")
    assert z.tolist() == [3, -4, 4]


def test_where_of_a_condition_alone():
    x = tg.tensor([[0.0, 2.0], [3.0, 0.0]])
    rows, columns = tg.where(x > 0)
    assert rows.tolist() == [0, 1] and columns.tolist() == [1, 0] and rows.dtype == tg.int64
    assert x.where(x > 2, tg.tensor(-1.0)).tolist() == [[-1, -1], [3, -1]]
    assert tg.where(condition=x > 2, input=x, other=0.0).tolist() == [[0, 0], [3, 0]]


def test_integer_powers():
    assert (tg.tensor([2, 1, -1]) ** tg.tensor([-1, -2, -3])).tolist() == [0, 1, -1]
    assert (tg.tensor([True]) ** 2).dtype == tg.int64 == tg.tensor([True]).square().dtype
    assert (tg.tensor([3]) ** 3).tolist() == [27] and (2 ** tg.tensor([3])).tolist() == [8]
    assert tg.float_power(2, tg.tensor([3])).dtype == tg.float64


def test_closeness():
    x = tg.tensor([1.0, nan, inf])
    assert tg.isclose(x, x).tolist() == [True, False, True]
    assert tg.isclose(x, x, equal_nan=True).all() and x.allclose(x, equal_nan=True)
    assert not tg.allclose(tg.ones(2), tg.ones(2) + 1e-4) and tg.allclose(
        tg.ones(2), tg.tensor(1.0)
    )
    assert tg.equal(tg.ones(2), tg.ones(2)) and not tg.equal(tg.ones(2), tg.ones(1, 2))
    assert not tg.equal(x, x) and tg.ones(2).equal(tg.ones(2).double())
    assert tg.isreal(x).all() and tg.isposinf(x).tolist() == [False, False, True]


def test_nan_to_num():
    x = tg.tensor([nan, inf, -inf, 1.0])
    largest = tg.finfo(tg.float32).max
    assert tg.nan_to_num(x).tolist() == [0, largest, -largest, 1]
    assert x.nan_to_num(1.0, 2.0, 3.0).tolist() == [1, 2, 3, 1]
    assert tg.nan_to_num(tg.tensor([1, 2])).dtype == tg.int64


def test_names_are_the_same_ops():
    for name, op in {"absolute": "abs", "arccos": "acos", "arctanh": "atanh", "clip": "clamp",
                     "divide": "div", "fix": "trunc", "greater_equal": "ge", "less": "lt",
                     "multiply": "mul", "negative": "neg", "not_equal": "ne",
                     "subtract": "sub"}.items():  # fmt: skip
        assert getattr(tg, name) is getattr(tg, op) and hasattr(Tensor, name)
    assert tg.special.expit is tg.sigmoid and tg.special.gammaln is tg.lgamma


def test_comparison_with_what_is_no_number():
    x = tg.ones(2)
    assert (x == None) is False and (x != None) is True and (x == "a") is False  # noqa: E711


def test_shifts():
    x = tg.tensor([1, 6])
    assert (x << 2).tolist() == [4, 24] and (x >> 1).tolist() == [0, 3]
    assert (1 << x).tolist() == [2, 64] and (64 >> x).tolist() == [32, 1]
    x <<= 1
    x %= 5
    assert x.tolist() == [2, 2] and (7 % x).tolist() == [1, 1]


# ---- What is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("call,error,text", [
    (lambda: tg.tensor([7]) // 0, RuntimeError, "floor_divide: an integer was divided by zero"),
    (lambda: tg.tensor([7]) % 0, RuntimeError, "remainder: an integer"),
    (lambda: tg.fmod(tg.tensor([7]), tg.tensor([0])), RuntimeError, "fmod: an integer"),
    (lambda: tg.tensor([7]).div(0, rounding_mode="trunc"), RuntimeError, "an integer"),
    (lambda: tg.div(tg.ones(1), 2, rounding_mode="up"), ValueError, "'up'"),
    (lambda: tg.tensor([2]) ** -1, RuntimeError, "negative integer powers"),
    (lambda: tg.clamp(tg.ones(1)), RuntimeError, "both are None"),
    (lambda: tg.where(tg.tensor([1, 0]), 1.0, 2.0), TypeError, "must be bool, not int64"),
    (lambda: tg.isclose(tg.ones(1), tg.ones(1), rtol=-1.0), ValueError, "negative"),
    (lambda: tg.polygamma(-1, tg.ones(1)), RuntimeError, "must not be negative"),
    (lambda: tg.maximum(tg.ones(2), tg.ones(3)), ShapeError, r"maximum.*\(2,\) and \(3,\)"),
    (lambda: tg.ones(2) & tg.ones(2), TypeError, "bitwise_and"),
    (lambda: -tg.tensor([True]), TypeError, "neg"),
    (lambda: tg.tensor([True]) - tg.tensor([True]), TypeError, "sub"),
    (lambda: tg.tensor([1]).add_(1.5), RuntimeError, "can't be written into a int64"),
    (lambda: tg.tensor([1]).div_(2), RuntimeError, "can't be written into a int64"),
])  # fmt: skip
def test_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()
