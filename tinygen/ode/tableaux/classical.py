"""Methods without an error estimate, for steps of a given size: orders 1, 2, 2 and 4.

Their continuous extensions need no further stage. Up to order 3, for a method of few stages, the
weights b(θ) follow from the order conditions (HNW II.6): Σ bᵢ = θ, Σ bᵢ cᵢ = θ²/2, and for order 3
Σ bᵢ cᵢ² = θ³/3, Σ bᵢ aᵢⱼ cⱼ = θ³/6.
"""

import numpy as np

from ..tableau import Tableau

# Euler 1768; between the ends of a step, a straight line. Order 1, extension of order 1.
EULER = Tableau("euler", order=1, c=(0,), a=((),), b=(1,), dense=np.array([[1]]), dense_order=1)

# The midpoint rule (Runge 1895; HNW II.1). Order 2, extension of order 2.
MIDPOINT = Tableau(
    "midpoint",
    order=2,
    c=(0, 1 / 2),
    a=((), (1 / 2,)),
    b=(0, 1),
    dense=np.array([[1, -1], [0, 1]]),
    dense_order=2,
)

# Heun's method of two stages, the trapezoidal rule made explicit (Heun 1900; HNW II.1). Order 2,
# extension of order 2.
HEUN2 = Tableau(
    "heun2",
    order=2,
    c=(0, 1),
    a=((), (1,)),
    b=(1 / 2, 1 / 2),
    dense=np.array([[1, -1 / 2], [0, 1 / 2]]),
    dense_order=2,
)

# The 3/8 rule (Kutta 1901; HNW table II.1.2), which torchdiffeq, too, calls rk4: its error is
# smaller than that of the better-known method with c = (0, 1/2, 1/2, 1). Order 4, extension of
# order 3.
RK4 = Tableau(
    "rk4",
    order=4,
    c=(0, 1 / 3, 2 / 3, 1),
    a=((), (1 / 3,), (-1 / 3, 1), (1, -1, 1)),
    b=(1 / 8, 3 / 8, 3 / 8, 1 / 8),
    dense=np.array([[1, -15 / 8, 1], [0, 15 / 8, -3 / 2], [0, 3 / 8, 0], [0, -3 / 8, 1 / 2]]),
    dense_order=3,
)
