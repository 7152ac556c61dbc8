"""ODE solvers against torchdiffeq: solving, and a gradient, of a small network's flow.

python -m benchmarks ode
"""

import numpy as np

WIDTH, POINTS, OBSERVATIONS = 64, 128, 10
CASES = {  # interface, method, options; the first solves only
    "dopri5, no gradient": ("odeint", "dopri5", None),
    "dopri5, through the steps": ("odeint", "dopri5", None),
    "dopri5, adjoint": ("odeint_adjoint", "dopri5", None),
    "dopri8, through the steps": ("odeint", "dopri8", None),
    "rk4, 40 steps, through them": ("odeint", "rk4", {"step_size": 0.05}),
    "euler, 40 steps, through them": ("odeint", "euler", {"step_size": 0.05}),
}


def make(engine):
    if engine == "tinygen":
        import tinygen as library
        from tinygen import ode as solvers
    else:
        import torch as library
        import torchdiffeq as solvers
    library.set_num_threads(1)  # the work of a step is too small to share
    random = np.random.default_rng(0)
    array = lambda *shape: library.tensor(random.standard_normal(shape).astype(np.float32))
    weights = [array(2, WIDTH), array(WIDTH), array(WIDTH, 2) / WIDTH**0.5]
    y0, t = array(POINTS, 2), library.linspace(0, 2, OBSERVATIONS)
    for w in weights:
        w.requires_grad_()
    first, shift, last = weights

    def flow(t, y):
        return library.tanh(y @ first + shift) @ last

    def case(name, interface, method, options):
        settings = {"method": method, "options": options, "rtol": 1e-5, "atol": 1e-5}
        if interface == "odeint_adjoint":
            settings["adjoint_params"] = tuple(weights)
        solve = getattr(solvers, interface)

        def without_gradient():
            with library.no_grad():
                solve(flow, y0, t, **settings)

        def with_gradient():
            (solve(flow, y0, t, **settings) ** 2).sum().backward()
            for w in weights:
                w.grad = None

        return without_gradient if name.endswith("no gradient") else with_gradient

    return {name: case(name, *rest) for name, rest in CASES.items()}
