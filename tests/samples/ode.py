"""The op of the ODE solvers."""

from .table import *

row("weighted_sum", lambda *xs, weights: sum(w * x for w, x in zip(weights, xs)),
    with_(N(2, 3), weights=(2.0,)), with_(N(2, 3), N(2, 3), N(2, 3), weights=(1.0, -0.5, 3.0)),
    with_(N(0, 2), N(0, 2), weights=(1.0, 2.0)), with_(N(), N(), weights=(0.5, 2.0)),
    torch=None)  # fmt: skip
