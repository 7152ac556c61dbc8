"""Networks that know the data: a mixture of normals in the plane, or one normal."""

import math

import numpy as np

import tinygen as tg
from tinygen import sde

f64 = {"dtype": tg.float64}
MEANS = np.array([[-2.0, -1.5], [0.0, 1.5], [2.0, -0.5]])
STD, WEIGHTS = 0.4, np.array([0.4, 0.25, 0.35])
SCHEDULES = {
    "linear": sde.LinearSchedule(),
    "cosine": sde.CosineSchedule(),
    "sub-vp": sde.SubVPSchedule(),
    "ve": sde.VESchedule(0.02, 20.0),
    "flow matching": sde.FlowMatchingSchedule(),
}


def mixture(schedule, means=MEANS, weights=WEIGHTS, std=STD):
    return sde.GaussianMixture(tg.tensor(means), std, schedule, tg.tensor(weights))


class Exact(tg.nn.Module):
    """The best network there is: it predicts what is known of a mixture."""

    def __init__(self, exact, prediction):
        super().__init__()
        self.exact, self.prediction = exact, prediction

    def forward(self, x, t):
        return self.exact.denoiser().predict(self.prediction, x, t)


class OfNormal(tg.nn.Module):
    """The best network for data N(0, std²) of any shape, times a factor."""

    def __init__(self, schedule, std, prediction, factor=1.0):
        super().__init__()
        self.schedule, self.std = schedule, std
        self.prediction, self.factor = prediction, factor

    def forward(self, x, t):
        t = t.to(tg.float64)
        alpha, sigma = self.schedule.alpha(t), self.schedule.sigma(t)
        score = -self.factor * x / sde.diffusion.beside(alpha**2 * self.std**2 + sigma**2, x)
        return sde.convert(score, x, t, self.schedule, "score", self.prediction)


def kolmogorov_smirnov(along, means, std, weights):
    """√n times the largest distance of the distribution functions of numbers [n] and of a mixture
    in one dimension; one real sample in 1,000 is further away than 1.95."""
    along = np.sort(along)
    z = (along[:, None] - means) / (std * math.sqrt(2))
    exact = (0.5 * (1 + np.vectorize(math.erf)(z))) @ weights
    steps = np.arange(len(along) + 1) / len(along)
    worst = max(np.abs(exact - steps[1:]).max(), np.abs(exact - steps[:-1]).max())
    return worst * math.sqrt(len(along))


def trained(model, x0):
    """The model after one step of training, as far as it knows."""
    model.loss(x0)
    return model
