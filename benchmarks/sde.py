"""Many paths of a stochastic equation: particles in a double well, by Euler and Maruyama's method.

    python -m benchmarks sde

100,000 paths of dX = (X - X³) dt + σ dW, 1,000 steps of 0.01 each, float32. "numpy" and "torch" are
loops over the steps, in place; "jax" is jit of lax.scan; "torchsde" and "diffrax" are the solvers
of these names. Each engine draws its own noise, so what is compared is not the paths, but E X² with
the exact value. In millions of path-steps a second: 100 / seconds.
"""

import numpy as np

ENGINES = ("tinygen", "numpy", "torch", "jax", "torchsde", "diffrax")
PATHS, STEPS, DT, SIGMA = 100_000, 1000, 0.01, 0.7
CASE = f"double well, {PATHS:,} paths x {STEPS:,} steps"


def make(engine: str) -> dict:
    solve = {"tinygen": in_tinygen, "numpy": in_numpy, "torch": in_torch, "jax": in_jax,
             "torchsde": in_torchsde, "diffrax": in_diffrax}[engine]()  # fmt: skip
    x = np.asarray(solve(), np.float64)
    if x.size != PATHS or abs((x**2).mean() / exact_second_moment() - 1) > 0.03:
        raise SystemExit(f"{engine} computes something else: E X² = {(x**2).mean():.3f}")

    def call() -> None:
        solve()

    return {CASE: call}


def exact_second_moment() -> float:
    """E X² for the density exp(-2 E/σ²) / Z with E = x⁴/4 - x²/2: X has settled long since."""
    x = np.linspace(-4, 4, 4001)
    p = np.exp(-2 * (x**4 / 4 - x**2 / 2) / SIGMA**2)
    return float((x * x * p).sum() / p.sum())


def in_tinygen():
    import tinygen as tg

    x0 = tg.ones(PATHS, 1)
    drift, diffusion = (lambda t, x, sigma: x - x**3), (lambda t, x, sigma: sigma)
    return lambda: tg.sde.simulate(
        drift, diffusion, x0, (0.0, STEPS * DT), STEPS, args=(SIGMA,)
    ).numpy()


def in_numpy():
    random, scale = np.random.default_rng(0), np.float32(SIGMA * DT**0.5)

    def solve():
        x, noise = np.ones(PATHS, np.float32), np.empty(PATHS, np.float32)
        for _ in range(STEPS):
            random.standard_normal(out=noise, dtype=np.float32)
            noise *= scale
            x += (x - x * x * x) * np.float32(DT) + noise
        return x

    return solve


def in_torch():
    import torch

    def solve():
        with torch.no_grad():
            x, noise = torch.ones(PATHS), torch.empty(PATHS)
            for _ in range(STEPS):
                noise.normal_()
                x += (x - x * x * x) * DT
                x.add_(noise, alpha=SIGMA * DT**0.5)
            return x.numpy()

    return solve


def in_jax():
    import jax
    import jax.numpy as jnp

    @jax.jit
    def solve(key):
        def step(x, key):
            noise = jax.random.normal(key, (PATHS,), jnp.float32)
            return x + (x - x * x * x) * DT + SIGMA * DT**0.5 * noise, None

        return jax.lax.scan(step, jnp.ones(PATHS), jax.random.split(key, STEPS))[0]

    key = jax.random.key(0)
    return lambda: solve(key).block_until_ready()


def in_torchsde():
    import torch
    import torchsde

    class DoubleWell:
        noise_type, sde_type = "diagonal", "ito"

        def f(self, t, x):
            return x - x**3

        def g(self, t, x):
            return torch.full_like(x, SIGMA)

    x0, times = torch.ones(PATHS, 1), torch.tensor([0.0, STEPS * DT])

    def solve():
        with torch.no_grad():
            return torchsde.sdeint(DoubleWell(), x0, times, method="euler", dt=DT)[-1].numpy()

    return solve


def in_diffrax():
    import diffrax
    import jax
    import jax.numpy as jnp

    @jax.jit
    @jax.vmap
    def solve(key):
        end = STEPS * DT
        path = diffrax.VirtualBrownianTree(0.0, end, tol=DT / 2, shape=(), key=key)
        terms = diffrax.MultiTerm(
            diffrax.ODETerm(lambda t, x, args: x - x**3),
            diffrax.ControlTerm(lambda t, x, args: SIGMA, path),
        )
        found = diffrax.diffeqsolve(terms, diffrax.Euler(), 0.0, end, DT, jnp.float32(1.0),
                                    max_steps=STEPS + 1)  # fmt: skip
        return found.ys[-1]

    keys = jax.random.split(jax.random.key(0), PATHS)
    return lambda: solve(keys).block_until_ready()
