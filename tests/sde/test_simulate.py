"""simulate solves what sdeint solves, on the same noise, and so do its gradients."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

import tinygen as tg
from tinygen.autograd import grad, gradcheck
from tinygen.kernels.jit import ENABLED
from tinygen.sde import BrownianSteps, called, sdeint, simulate

SPAN, STEPS = (0.5, 1.5), 12
f64 = {"dtype": tg.float64}


def drift(t, x, a, matrix):
    return matrix @ x - a * x**3 + math.cos(t)


def diffusion(t, x, a, matrix):
    return 0.3 * np.sqrt(1 + x * x) + 0.1 * a * t


def drift_of_tensors(t, x, a, matrix):
    return x @ matrix.T - a * x**3 + tg.cos(t)


def diffusion_of_tensors(t, x, a, matrix):
    return 0.3 * tg.sqrt(1 + x * x) + 0.1 * a * t


def mixed(t, x, a, matrix):
    return np.array([[a, 0.2 * t, 0.0], [0.1, -a * t, 0.3]])


def mixed_of_tensors(t, x, a, matrix):
    rows = [tg.stack([a, 0.2 * t, 0 * t]), tg.stack([0 * t + 0.1, -a * t, 0 * t + 0.3])]
    return tg.stack(rows).expand(x.shape[0], 2, 3)


EQUATIONS = {  # method: the same equation twice
    "euler": (diffusion, diffusion_of_tensors, "diagonal", "ito"),
    "milstein": (diffusion, diffusion_of_tensors, "diagonal", "ito"),
    "heun": (diffusion, diffusion_of_tensors, "diagonal", "stratonovich"),
    "midpoint": (diffusion, diffusion_of_tensors, "diagonal", "stratonovich"),
    "srk": (mixed, mixed_of_tensors, "additive", "ito"),
}


def parameters(dtype=tg.float64):
    a = tg.tensor(0.7, dtype=dtype).requires_grad_()
    matrix = tg.tensor([[0.2, -1.0], [0.8, -0.3]], dtype=dtype).requires_grad_()
    return a, matrix


def start(paths: int, dtype=tg.float64) -> tg.Tensor:
    x = np.random.default_rng(3).standard_normal((paths, 2))
    return tg.tensor(x, dtype=dtype).requires_grad_()


def by_sdeint(method: str, x0, args, save_every: int) -> tg.Tensor:
    _, g, noise_type, sde_type = EQUATIONS[method]
    sde = SimpleNamespace(
        f=lambda t, x: drift_of_tensors(t, x, *args), g=lambda t, x: g(t, x, *args),
        noise_type=noise_type, sde_type=sde_type,
    )  # fmt: skip
    noise = 2 if noise_type == "diagonal" else 3
    bm = BrownianSteps(SPAN, STEPS, (len(x0), noise), seed=5, dtype=x0.dtype)
    times = np.linspace(*SPAN, STEPS // save_every + 1)
    return sdeint(sde, x0, times, bm, method, dt=(SPAN[1] - SPAN[0]) / STEPS)


@pytest.mark.parametrize("method", EQUATIONS)
def test_paths_and_gradients_are_those_of_sdeint(method):
    """On the same noise, path by path; the cotangents reach all saved states and all parameters."""
    args, x0 = parameters(), start(70)
    x = simulate(drift, EQUATIONS[method][0], x0, SPAN, STEPS, method=method, seed=5, args=args,
                 save_every=4)  # fmt: skip
    y = by_sdeint(method, x0, args, 4)
    assert x.shape == (4, 70, 2) and x.dtype == tg.float64
    np.testing.assert_allclose(x.array, y.array, rtol=1e-11, atol=1e-11)
    cotangent = tg.tensor(np.random.default_rng(1).standard_normal(x.shape))
    found, expected = (grad((z * z * cotangent).sum(), [x0, *args]) for z in (x, y))
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one.array, other.array, rtol=1e-9, atol=1e-10)


def test_gradients_by_finite_differences():
    gradcheck(
        lambda x0, a, matrix: simulate(drift, mixed, x0, SPAN, STEPS, method="srk",
                                       args=(a, matrix)),
        (start(3), *parameters()),
    )  # fmt: skip


def test_gradients_for_some_arguments_and_not_for_others():
    a, matrix = parameters()
    x0 = start(5).detach()
    whole = simulate(drift, mixed, start(5), SPAN, STEPS, method="srk", args=(a, matrix))
    part = simulate(drift, mixed, x0, SPAN, STEPS, method="srk", args=(0.7, matrix))
    for one, other in zip(grad(part.sum(), [matrix]), grad(whole.sum(), [matrix])):
        np.testing.assert_allclose(one.array, other.array, rtol=1e-12)
    with tg.no_grad():
        out = simulate(drift, mixed, x0, SPAN, STEPS, method="srk", args=(a, matrix))
    assert not out.requires_grad
    y = simulate(drift, mixed, x0, SPAN, STEPS, method="srk", args=(a, matrix))
    with pytest.raises(NotImplementedError, match="no gradients of gradients"):
        grad(y.sum(), matrix, create_graph=True)


def test_float32_and_the_same_bits_whoever_computes():
    """One, two and three threads; few paths or many; forwards and backwards."""
    before, results = tg.get_num_threads(), []
    try:
        for threads, paths in ((1, 4000), (2, 4000), (3, 4000), (2, 130)):
            tg.set_num_threads(threads)
            x0, args = start(paths, tg.float32), parameters(tg.float32)
            x = simulate(drift, diffusion, x0, SPAN, STEPS, args=args, seed=5)
            found = grad((x * x).sum(), [x0, *args])
            results.append([y.array for y in (x, *found)])
    finally:
        tg.set_num_threads(before)
    assert results[0][0].dtype == np.float32
    for others in results[1:3]:
        assert all((a == b).all() for a, b in zip(results[0], others))
    few = results[3]
    assert (few[0] == results[0][0][:130]).all() and (few[1] == results[0][1][:130]).all()
    args, x0 = parameters(), start(4000)
    y = by_sdeint("euler", x0, args, STEPS)[-1]
    expected = grad((y * y).sum(), [x0, *args])
    np.testing.assert_allclose(results[0][0], y.array, rtol=1e-4, atol=1e-4)
    for one, other in zip(results[0][1:], expected):
        scale = np.abs(other.array).max()
        np.testing.assert_allclose(one, other.array, rtol=1e-3, atol=1e-4 * scale)


# ---- The noise -----------------------------------------------------------------------------------


def test_the_noise_is_normal_and_independent_of_what_the_seed_gives_elsewhere():
    bm = BrownianSteps((0, 1), 4, (4000, 2), seed=1, **f64)
    rows = []
    for n in range(4):
        W, U = bm(n / 4, (n + 1) / 4, return_U=True)
        rows += [*(W.array.T * 2), *((U.array * 4 - W.array / 2).T * 2 * math.sqrt(12))]
    tg.manual_seed(1)
    rows += [tg.randn(4000, **f64).array]
    rows += [tg.sde.BrownianInterval(0, 1, (4000, 1), entropy=1, **f64)(0, 1).array[:, 0]]
    rows += [np.roll(rows[0], 1)]
    rows = np.stack(rows)
    assert (np.abs(rows.mean(1)) < 4.5 / math.sqrt(4000)).all()
    assert (np.abs(rows.var(1) - 1) < 4.5 * math.sqrt(2 / 4000)).all()
    assert np.abs(np.corrcoef(rows) - np.eye(len(rows))).max() < 4.5 / math.sqrt(4000)


def test_increments_over_several_steps_are_sums():
    bm = BrownianSteps((0, 1), 10, (5, 2), seed=1, **f64)
    (w1, u1), (w2, u2) = bm(0.2, 0.3, return_U=True), bm(0.3, 0.7, return_U=True)
    W, U = bm(0.2, 0.7, return_U=True)
    np.testing.assert_allclose(W.array, (w1 + w2).array, atol=1e-14)
    np.testing.assert_allclose(U.array, (u1 + 0.4 * w1 + u2).array, atol=1e-14)
    with pytest.raises(ValueError, match=r"give sdeint dt=0\.1"):
        bm(0.2, 0.25)
    with pytest.raises(TypeError, match="seed must be a whole number, not a float"):
        BrownianSteps((0, 1), 10, (5, 2), seed=0.5)


# ---- Functions that are no formulas --------------------------------------------------------------


def branching(t, x, a):
    return -a * x if x[0] > 0 else -x


def calling(t, x):
    return -x if x[0] > 0 else unknown_to_numba(x)


def unknown_to_numba(x):
    return x


def root(t, x, a):
    return (0.2 * a, 0.1)


@pytest.mark.parametrize("method", ["euler", pytest.param("heun", marks=pytest.mark.slow)])
def test_functions_that_branch_agree_with_the_formula(method, monkeypatch):
    """Heun's method, of which each half is a step of Euler's, is compiled, which takes seconds and
    is not kept on disk; the other one Python computes."""
    if method == "euler":
        monkeypatch.setattr(called, "ENABLED", False)
    settings = {"method": method, "args": (3.0,), "seed": 2, "save_every": 6}
    x0 = start(100).detach()
    formula = lambda t, x, a: np.where(x[0] > 0, -a * x, -x)
    found = simulate(branching, root, x0, SPAN, STEPS, **settings)
    expected = simulate(formula, root, x0, SPAN, STEPS, **settings)
    np.testing.assert_allclose(found.array, expected.array, rtol=1e-12)
    assert (x0.array[:, 0] > 0).any() and (x0.array[:, 0] < 0).any()


def test_what_functions_that_branch_cannot_have():
    x0 = start(3)
    with pytest.raises(ValueError, match=r"no gradients go through .* the truth of a number"):
        simulate(branching, root, x0, SPAN, STEPS, args=(3.0,))
    with pytest.raises(ValueError, match="milstein needs formulas of x"):
        simulate(branching, root, x0.detach(), SPAN, STEPS, args=(3.0,), method="milstein")
    if ENABLED:
        words = r"Numba cannot compile this drift, nor is it a formula"
        with pytest.raises(TypeError, match=words):
            simulate(calling, lambda t, x: 1.0, x0.detach(), SPAN, STEPS)


# ---- Bad input -----------------------------------------------------------------------------------

PLAIN = {"drift": lambda t, x: -x, "diffusion": lambda t, x: 0.1, "x0": np.zeros((3, 2)),
         "t_span": (0, 1), "n_steps": 10}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"x0": np.zeros(3)}, ValueError, r"x0 must be \[paths, dim\]; it has the shape \(3,\)"),
        ({"x0": np.zeros((3, 2), int)}, ValueError, "float32 or float64; it is int64"),
        ({"x0": [[0.0]]}, TypeError, "not a list"),
        ({"t_span": (1, 1)}, ValueError, r"two finite times, t0 < t1; got \(1, 1\)"),
        ({"t_span": (0, 1, 2)}, ValueError, "two finite times"),
        ({"n_steps": 0}, ValueError, "n_steps must be a whole number, at least 1; got 0"),
        ({"n_steps": 2.5}, ValueError, "n_steps must be a whole number"),
        ({"save_every": 4}, ValueError, "4 does not divide 10, and 2 does"),
        ({"method": "rk4"}, ValueError, "no method 'rk4'; it has euler, milstein, srk"),
        ({"args": 3.0}, TypeError, r"write args=\(…,\)"),
        ({"diffusion": 1.0}, TypeError, r"diffusion must be a function of \(t, x, \*args\)"),
        ({"drift": lambda t, x: x.sum()}, ValueError, r"a vector of 2 numbers.* shape \(\)"),
        ({"drift": lambda t, x: (x[0],)}, ValueError, r"a vector of 2 numbers.* shape \(1,\)"),
        ({"diffusion": lambda t, x: np.eye(3)}, ValueError, r"a matrix \[2, noise\]: .* \(3, 3\)"),
        ({"drift": lambda t, x: x[2:3]}, ValueError, r"a vector of 2 numbers.* shape \(0,\)"),
        ({"diffusion": lambda t, x: x[::-1], "method": "milstein"}, ValueError, "on x.i. alone"),
        ({"diffusion": lambda t, x: x, "method": "srk"}, ValueError, "srk is for additive noise"),
        ({"diffusion": lambda t, x: np.outer(x, x), "method": "milstein"}, ValueError,
         "cannot integrate general noise"),
        ({"seed": "x"}, TypeError, "seed must be a whole number, not a str"),
        ({"drift": "Ornstein", "diffusion": None}, ValueError, "there are .*OrnsteinUhlenbeck"),
        ({"drift": tg.sde.BrownianMotion()}, ValueError, "pass None in its place"),
    ],
)  # fmt: skip
def test_bad_input(changes, error, words):
    with pytest.raises(error, match=words):
        simulate(**{**PLAIN, **changes})


def test_mistakes_in_the_functions_are_told_as_they_are():
    with pytest.raises(IndexError, match="index 2 is out of bounds"):
        simulate(**{**PLAIN, "drift": lambda t, x: x * x[2]})


def test_a_path_that_blows_up_is_told_with_its_step():
    """dx = x³: Euler's method overflows; the step is where a loop in NumPy finds it."""
    x0 = np.full((150, 1), 0.01)
    x0[140] = 3.0
    x, n = x0[140].copy(), 0
    with np.errstate(over="ignore", invalid="ignore"):
        while np.isfinite(x).all():
            x, n = x + x**3 * 0.1, n + 1
    words = f"infinite in 1 of 150 paths; in path 140 since step {n} of 40, from t = "
    with pytest.raises(FloatingPointError, match=words):
        simulate(lambda t, x: x**3, lambda t, x: 0.0, x0, (0, 4), 40)
