"""How time grows with size; `python -m benchmarks scaling` prints the exponents.

A product of n × n matrices takes n³ operations; attention over n places n² (causal: half of them);
layer norm of n rows n.
"""

import importlib

import numpy as np

ENGINES = ("tinygen", "torch", "jax")
WIDTH = 64


def make(engine: str) -> dict:
    calls = in_jax() if engine == "jax" else in_torch(importlib.import_module(engine))
    sizes = {"matrix product": (128, 256, 512, 1024), "attention": (128, 256, 512, 1024),
             "layer norm": (1024, 4096, 16384, 65536)}  # fmt: skip
    return {f"{what}, {n}": calls[what](n) for what in sizes for n in sizes[what]}


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def in_torch(m) -> dict:
    F = m.nn.functional

    def product(n):
        x = m.from_numpy(draw(n, n))
        return lambda: x @ x

    def attention(n):
        q = m.from_numpy(draw(1, 4, n, WIDTH))
        return lambda: F.scaled_dot_product_attention(q, q, q)

    def layer_norm(n):
        x = m.from_numpy(draw(n, WIDTH))
        return lambda: F.layer_norm(x, (WIDTH,))

    return {"matrix product": product, "attention": attention, "layer norm": layer_norm}


def in_jax() -> dict:
    import jax
    import jax.numpy as jnp

    def normalise(x):
        x = x - x.mean(-1, keepdims=True)
        return x * jax.lax.rsqrt((x**2).mean(-1, keepdims=True) + 1e-5)

    def waiting(function, x):
        compiled = jax.jit(function)
        return lambda: compiled(x).block_until_ready()

    def attend(q):  # [batch, places, heads, width], as JAX has it
        return jax.nn.dot_product_attention(q, q, q).swapaxes(1, 2)

    return {
        "matrix product": lambda n: waiting(lambda x: x @ x, jnp.array(draw(n, n))),
        "attention": lambda n: waiting(attend, jnp.array(draw(1, 4, n, WIDTH)).swapaxes(1, 2)),
        "layer norm": lambda n: waiting(normalise, jnp.array(draw(n, WIDTH))),
    }
