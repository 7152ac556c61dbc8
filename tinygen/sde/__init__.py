"""sde: stochastic differential equations dY = f(t, Y) dt + g(t, Y) dW, and gradients through them.

    class Decay:
        noise_type, sde_type = "diagonal", "ito"
        def f(self, t, y): return -y
        def g(self, t, y): return 0.3 * tg.ones_like(y)

    ys = tg.sde.sdeint(Decay(), tg.ones(100, 1), tg.linspace(0.0, 1.0, 11), dt=1e-2)  # [11, 100, 1]

The names and conventions are torchsde's. What a solver is made of lies in separate files, to be
read in this order: brownian (the noise), problem (the equation), methods and stochastic_runge_kutta
(one step), drivers (one step after the other), sdeint, adjoint (gradients in little memory). Ready
equations are in processes. `simulate`, for millions of paths of plain functions, has files of its
own: expressions, traced, programs, runs.

Diffusion models: schedules (how much noise at which time), diffusion (the equations forwards and
backwards), denoiser (what a network predicts, and what follows from it), samplers (from noise to
data, by a network or by an exact score), adaptive_flow (by steps of a solver's choice), guidance
(with something given), likelihood, mixture (exact scores).
"""

from .adaptive_flow import AdaptiveProbabilityFlow
from .adjoint import sdeint_adjoint
from .brownian import BrownianInterval
from .brownian_steps import BrownianSteps
from .denoiser import PREDICTIONS, Denoiser, DenoisingModel, convert
from .diffusion import VE, VP, DiffusionProcess, ReverseProcess, SubVP
from .guidance import Inpaint, classifier_free_guidance, classifier_guidance, clipped
from .likelihood import log_likelihood
from .methods import METHODS
from .mixture import GaussianMixture
from .processes import (
    BrownianBridge,
    BrownianMotion,
    GeometricBrownianMotion,
    OrnsteinUhlenbeck,
    OverdampedLangevin,
    UnderdampedLangevin,
)
from .samplers import (
    DDIM,
    Ancestral,
    EulerMaruyama,
    Heun,
    PredictorCorrector,
    ProbabilityFlow,
    Sampler,
    sample,
)
from .schedules import (
    CosineSchedule,
    DiscreteSchedule,
    FlowMatchingSchedule,
    LinearSchedule,
    NoiseSchedule,
    SubVPSchedule,
    VESchedule,
    VPSchedule,
)
from .sdeint import sdeint
from .simulate import simulate

__all__ = [
    "DDIM",
    "METHODS",
    "PREDICTIONS",
    "AdaptiveProbabilityFlow",
    "Ancestral",
    "BrownianBridge",
    "BrownianInterval",
    "BrownianMotion",
    "BrownianSteps",
    "CosineSchedule",
    "Denoiser",
    "DenoisingModel",
    "DiffusionProcess",
    "DiscreteSchedule",
    "EulerMaruyama",
    "FlowMatchingSchedule",
    "GaussianMixture",
    "GeometricBrownianMotion",
    "Heun",
    "Inpaint",
    "LinearSchedule",
    "NoiseSchedule",
    "OrnsteinUhlenbeck",
    "OverdampedLangevin",
    "PredictorCorrector",
    "ProbabilityFlow",
    "ReverseProcess",
    "Sampler",
    "SubVP",
    "SubVPSchedule",
    "UnderdampedLangevin",
    "VE",
    "VESchedule",
    "VP",
    "VPSchedule",
    "classifier_free_guidance",
    "classifier_guidance",
    "clipped",
    "convert",
    "log_likelihood",
    "sample",
    "sdeint",
    "sdeint_adjoint",
    "simulate",
]
