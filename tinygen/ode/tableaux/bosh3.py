"""Bogacki & Shampine 1989, "A 3(2) pair of Runge–Kutta formulas", Applied Mathematics Letters 2.

Order 3, with an error estimate from an embedded method of order 2. The extension is the cubic of
Hermite through both ends of the step, of order 3.
"""

from ..tableau import Tableau, hermite

B = (2 / 9, 1 / 3, 4 / 9, 0)
EMBEDDED = (7 / 24, 1 / 4, 1 / 3, 1 / 8)

BOSH3 = Tableau(
    "bosh3",
    order=3,
    c=(0, 1 / 2, 3 / 4, 1),
    a=((), (1 / 2,), (0, 3 / 4), B[:-1]),
    b=B,
    error=tuple(b - e for b, e in zip(B, EMBEDDED)),
    dense=hermite(B),
    dense_order=3,
)
