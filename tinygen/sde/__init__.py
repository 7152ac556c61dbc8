"""sde: stochastic differential equations dY = f(t, Y) dt + g(t, Y) dW, and gradients through them.

    class Decay:
        noise_type, sde_type = "diagonal", "ito"
        def f(self, t, y): return -y
        def g(self, t, y): return 0.3 * tg.ones_like(y)

    ys = tg.sde.sdeint(Decay(), tg.ones(100, 1), tg.linspace(0.0, 1.0, 11), dt=1e-2)  # [11, 100, 1]

The names and conventions are torchsde's. What a solver is made of lies in separate files, to be
read in this order: brownian (the noise), problem (the equation), methods and stochastic_runge_kutta
(one step), drivers (one step after the other), sdeint, adjoint (gradients in little memory). Ready
equations are in processes, and, of diffusion models, in schedules and diffusion.
"""

from .adjoint import sdeint_adjoint
from .brownian import BrownianInterval
from .diffusion import VE, VP, DiffusionProcess, ReverseProcess, SubVP
from .methods import METHODS
from .processes import (
    BrownianBridge,
    BrownianMotion,
    GeometricBrownianMotion,
    OrnsteinUhlenbeck,
    OverdampedLangevin,
    UnderdampedLangevin,
)
from .schedules import CosineSchedule, LinearSchedule, NoiseSchedule
from .sdeint import sdeint

__all__ = [
    "METHODS",
    "VE",
    "VP",
    "BrownianBridge",
    "BrownianInterval",
    "BrownianMotion",
    "CosineSchedule",
    "DiffusionProcess",
    "GeometricBrownianMotion",
    "LinearSchedule",
    "NoiseSchedule",
    "OrnsteinUhlenbeck",
    "OverdampedLangevin",
    "ReverseProcess",
    "SubVP",
    "UnderdampedLangevin",
    "sdeint",
    "sdeint_adjoint",
]
