"""Dormand & Prince 1980, "A family of embedded Runge–Kutta formulae", Journal of Computational and
Applied Mathematics 6: the method RK5(4)7M, behind MATLAB's ode45.

Order 5, with an error estimate from an embedded method of order 4. The extension of order 4 is that
of Shampine 1986, "Some practical Runge–Kutta formulas", Mathematics of Computation 46, in the form
of HNW II.6, whose d₁ … d₇ are below.
"""

from ..tableau import Tableau, hermite

B = (35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0)
EMBEDDED = (5179 / 57600, 0, 7571 / 16695, 393 / 640, -92097 / 339200, 187 / 2100, 1 / 40)

DOPRI5 = Tableau(
    "dopri5",
    order=5,
    c=(0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1),
    a=(
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        B[:-1],
    ),
    b=B,
    error=tuple(b - e for b, e in zip(B, EMBEDDED)),
    dense=hermite(
        B,
        (
            -12715105075 / 11282082432,
            0,
            87487479700 / 32700410799,
            -10690763975 / 1880347072,
            701980252875 / 199316789632,
            -1453857185 / 822651844,
            69997945 / 29380423,
        ),
    ),
    dense_order=4,
)
