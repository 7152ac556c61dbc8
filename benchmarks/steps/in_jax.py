"""A training step in JAX: losses, gradients and updates in one compiled function."""

import functools

import jax
import jax.numpy as jnp

from .task import Task, weights


def training_step(task: Task, engine: str):
    p = {name: jnp.array(value) for name, value in weights(task).items()}
    zeros = {name: jnp.zeros_like(value) for name, value in p.items()}
    state = p, zeros, {name: jnp.zeros_like(value) for name, value in p.items()}, jnp.zeros(())
    batches = ([jnp.array(array) for array in batch] for batch in task.batches())

    @functools.partial(jax.jit, donate_argnums=0)
    def update(state, batch):
        *state, count = state
        losses = []
        for part, name in task.losses.items():
            loss, state = minimise(
                task, getattr(task, f"jax_{name}"), part, state, count + 1, batch
            )
            losses.append(loss)
        return losses, (*state, count + 1)

    def step():
        nonlocal state
        losses, state = update(state, next(batches))
        return [float(loss) for loss in losses]

    return step


def minimise(task, loss, part, state, count, batch):
    """One step of AdamW for the parameters of a part of the model; the others stay as they are."""
    p, m, v = state
    moved = {name for name in p if name.startswith(part)}
    value, g = jax.value_and_grad(
        lambda own: loss({**p, **own}, *batch)
    )({name: p[name] for name in moved})  # fmt: skip
    if task.clip:
        norm = jnp.sqrt(sum((x**2).sum() for x in g.values()))
        g = {name: x * jnp.minimum(1, task.clip / (norm + 1e-6)) for name, x in g.items()}
    lr, decay = task.options["lr"], task.options.get("weight_decay", 0)
    beta1, beta2 = task.options.get("betas", (0.9, 0.999))
    m = {**m, **{name: beta1 * m[name] + (1 - beta1) * g[name] for name in moved}}
    v = {**v, **{name: beta2 * v[name] + (1 - beta2) * g[name] ** 2 for name in moved}}
    rate, correction = lr / (1 - beta1**count), jnp.sqrt(1 - beta2**count)
    moves = {name: rate * m[name] / (jnp.sqrt(v[name]) / correction + 1e-8) for name in moved}
    p = {**p, **{name: p[name] * (1 - lr * decay) - moves[name] for name in moved}}
    return value, (p, m, v)
