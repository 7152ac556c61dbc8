"""ode: initial value problems dy/dt = f(t, y), solved, and differentiated through.

    t = tg.linspace(0.0, 10.0, 50)
    y = tg.ode.odeint(lambda t, y: -y, tg.ones(3), t)               # [50, 3]

    y = tg.ode.odeint_adjoint(model, y0, t)                         # gradients in constant memory
    t1, y = tg.ode.odeint_event(f, y0, t0, event_fn=lambda t, y: y[0])  # until y[0] crosses 0

The names and conventions are torchdiffeq's. What a solver is made of lies in separate files, to be
read in this order: tableau (the numbers of a method), problem (what is solved), runge_kutta (one
step, and the solution within it), controller (how long the next one is), drivers (one step after
the other), odeint, locate and event (until something happens), adjoint (the other gradient),
divergence (what densities do along the way).
"""

from .adjoint import odeint_adjoint
from .event import odeint_event
from .odeint import odeint
from .problem import Statistics
from .tableau import Tableau
from .tableaux import METHODS

__all__ = ["METHODS", "Statistics", "Tableau", "odeint", "odeint_adjoint", "odeint_event"]
