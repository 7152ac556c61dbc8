"""Distributions of numbers beside SciPy's: parameters to try, edges included."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

import tinygen as tg

D = tg.distributions


@dataclass
class Family:
    name: str
    parameters: dict  # name -> array; all broadcast to one shape
    scipy: object  # of these parameters, SciPy's frozen distribution

    def ours(self, dtype=np.float64, requires_grad=False, **others):
        given = {k: tg.tensor(v.astype(dtype), requires_grad=requires_grad)
                 for k, v in {**self.parameters, **others}.items()}  # fmt: skip
        return getattr(D, self.name)(**given)

    def theirs(self):
        return self.scipy(**self.parameters)


a = lambda *values: np.array(values)
LOC, SCALE = a(-2.0, 0.0, 0.5, 1e3), a(0.01, 1.0, 3.0, 20.0)

CONTINUOUS = [
    Family("Normal", {"loc": LOC, "scale": SCALE}, stats.norm),
    Family("Laplace", {"loc": LOC, "scale": SCALE}, stats.laplace),
    Family("Gumbel", {"loc": LOC, "scale": SCALE}, stats.gumbel_r),
    Family("Cauchy", {"loc": LOC, "scale": SCALE}, stats.cauchy),
    Family("StudentT", {"df": a(0.7, 2.5, 5.0, 300.0), "loc": LOC, "scale": SCALE}, stats.t),
    Family("LogNormal", {"loc": a(-2.0, 0.0, 1.0), "scale": a(0.1, 1.0, 2.0)},
           lambda loc, scale: stats.lognorm(scale, scale=np.exp(loc))),
    Family("Uniform", {"low": a(-3.0, 0.0), "high": a(-1.0, 1e-3)},
           lambda low, high: stats.uniform(low, high - low)),
    Family("Exponential", {"rate": a(1e-3, 1.0, 50.0)}, lambda rate: stats.expon(scale=1 / rate)),
    Family("Gamma", {"concentration": a(0.05, 0.9, 1.0, 7.0, 900.0),
                     "rate": a(1.0, 0.1, 3.0, 2.0, 5.0)},
           lambda concentration, rate: stats.gamma(concentration, scale=1 / rate)),
    Family("Chi2", {"df": a(0.3, 1.0, 2.0, 40.0)}, stats.chi2),
    Family("Beta", {"concentration1": a(0.2, 1.0, 3.0, 80.0, 0.7),
                    "concentration0": a(0.3, 1.0, 0.5, 200.0, 9.0)},
           lambda concentration1, concentration0: stats.beta(concentration1, concentration0)),
]  # fmt: skip

DISCRETE = [
    Family("Bernoulli", {"probs": a(0.0, 0.02, 0.5, 1.0)}, lambda probs: stats.bernoulli(probs)),
    Family("Binomial", {"total_count": a(1.0, 5.0, 40.0, 0.0), "probs": a(0.3, 0.02, 0.6, 0.5)},
           lambda total_count, probs: stats.binom(total_count, probs)),
    Family("Geometric", {"probs": a(0.02, 0.5, 0.99)}, lambda probs: stats.geom(probs, loc=-1)),
    Family("Poisson", {"rate": a(0.05, 1.0, 30.0)}, lambda rate: stats.poisson(rate)),
]  # fmt: skip

named = {"ids": lambda family: family.name}
