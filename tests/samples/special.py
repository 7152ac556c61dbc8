"""Special functions: the error function's and the gamma function's families, and others."""

import numpy as np
import scipy.special

import tinygen as tg

from .table import *

# fmt: off

row("erfc", scipy.special.erfc, each(N), with_(np.array([-6.0, 0.0, 5.0, 12.0])))
row("erfinv", scipy.special.erfinv, each(UNIT), with_(np.array([-0.9, -1e-3, 0.0, 0.99])))
row("ndtr", scipy.special.ndtr, each(N), torch=None)
row("ndtri", scipy.special.ndtri, each(UNIT), with_(np.array([0.02, 0.5, 0.97])), torch=None)
row("lgamma", scipy.special.gammaln, each(P), with_(np.array([-2.5, -0.3, 0.01, 30.0])))
row("digamma", scipy.special.digamma, each(P), with_(np.array([-2.5, -0.3, 0.1, 30.0])))
for n in (0, 1, 2, 3):
    row("polygamma", lambda x, n: scipy.special.polygamma(n, x), with_(P(2, 3), n), with_(P(0), n),
        with_(np.array([3.0, 30.0]), n), torch=None)
row("polygamma", None, with_(np.array([-2.5, -0.3, 0.5]), 1), with_(np.array([-2.4, -0.3]), 2),
    torch=None)  # SciPy has no polygamma for them
row("logaddexp", np.logaddexp, pairs(N, numbers=False))
row("logaddexp2", np.logaddexp2, pairs(N, numbers=False))
row("xlogy", lambda x, y: x * np.log(y), pairs(NONZERO, P), with_(np.zeros(3), P(3)))
row("xlog1py", lambda x, y: x * np.log1p(y), pairs(NONZERO, P), with_(np.zeros(3), P(3)),
    torch=None)
row("logit", lambda x: np.log(x / (1 - x)), each(UNIT))
row("logit", lambda x, eps: scipy.special.logit(np.clip(x, eps, 1 - eps)),
    with_(np.array([-0.5, 0.05, 0.3, 0.97]), 0.1))
row("sinc", np.sinc, each(N), with_(np.array([0.0, 0.3, 0.318, 0.319, -2.5])))
row("hypot", np.hypot, pairs(NONZERO, numbers=False))
row("copysign", np.copysign, with_(NONZERO(2, 3), NONZERO(3)), with_(NONZERO(2, 1), ints(1, -1)),
    with_(NONZERO(3), -1.0), with_(NONZERO(2, 2), NONZERO(2, 2)), with_(NONZERO(0, 3), 1.0))
row("lerp", lambda x, y, w: x + w * (y - x), with_(N(2, 3), N(2, 3), 0.3),
    with_(N(2, 3), N(2, 3), 0.8), with_(N(2, 2), N(2, 2), N(2, 2)),
    with_(N(2, 3), N(2, 3), N(3)), with_(N(2, 1), N(2, 3), N(2, 3)), with_(N(0, 3), N(3), 0.5))

# ---- Incomplete gamma and beta functions ---------------------------------------------------------

SHAPES = np.array([0.1, 0.4, 1.0, 3.0, 40.0, 600.0])
NEAR = np.array([0.05, 0.5, 1.2, 2.0, 44.0, 610.0])  # both sides of the middle
row("gammainc", scipy.special.gammainc, pairs(P), with_(SHAPES, NEAR), torch=None)
row("gammaincc", scipy.special.gammaincc, pairs(P), with_(SHAPES, NEAR), torch=None)
row("gammaincinv", scipy.special.gammaincinv, pairs(P, UNIT, numbers=False), torch=None)
row("betainc", scipy.special.betainc, with_(P(2, 3), P(3), UNIT(2, 3)), with_(P(), P(), UNIT(3)),
    with_(np.array([0.05, 40.0]), np.array([3.0, 0.2]), np.array([0.3, 0.9])),
    with_(P(0, 3), P(3), UNIT(3)), torch=None)
row("betaincinv", scipy.special.betaincinv, with_(P(2, 3), P(3), UNIT(2, 3)),
    with_(P(), P(), UNIT(3)), with_(P(0, 3), P(3), UNIT(3)), torch=None)
row("stdtr", scipy.special.stdtr, pairs(P, NONZERO), with_(SHAPES[1:], NEAR[1:] / 10), torch=None)
row("stdtrit", scipy.special.stdtrit, pairs(P, UNIT, numbers=False), torch=None)
for n in (0, 1, 2):
    row("gamma_tail_moment", None, with_(P(2, 3), N(3), n), with_(P(0), N(0), n), torch=None)
for m, n in ((0, 0), (1, 0), (0, 1), (2, 1)):
    row("beta_tail_moment", None, with_(P(2, 3), P(3), N(2, 3), m, n),
        with_(P(0), P(0), N(0), m, n), torch=None)
row("log_gamma_slope", None, pairs(P, N), with_(SHAPES, np.log(NEAR)), torch=None)


def quantiles(a, rank):
    """gamma_path of the quantiles of gamma variables, which do move with `a` as its VJP says"""
    drawn = np.log(scipy.special.gammaincinv(a.array, rank)).astype(a.dtype)
    return OPS["gamma_path"](a, tg.Tensor(drawn))


row("gamma_path", None, [with_(P(2, 3), rank) for rank in (0.02, 0.5, 0.9)], with_(SHAPES, 0.3),
    with_(P(0), 0.5), torch=None, call=quantiles)
