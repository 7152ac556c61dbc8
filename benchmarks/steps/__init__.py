"""Whole training steps: forward, backward, update; the same work in every engine.

A model is written once, in PyTorch's names, for tinygen and PyTorch; its JAX version stands below
it. All begin with the same weights and see the same batches, noise included, so that their losses
agree to the accuracy of float32. Each step returns its losses.

torch.compile compiles the model with its loss; PyTorch's optimizers are the fused ones. JAX
compiles the step as a whole.
"""

import functools

from . import diffusion, flow, gan, gpt, unet, vae

ENGINES = ("tinygen", "torch", "torch.compile", "jax")
STEPS = {
    "GPT, 4 × 128 × 64 × 12": functools.partial(gpt.Task, 4, 4, 128, 64, 12),
    "GPT, 6 × 384 × 256 × 4": functools.partial(gpt.Task, 6, 6, 384, 256, 4),
    "VAE": vae.Task,
    "GAN": gan.Task,
    "flow": flow.Task,
    "diffusion": diffusion.Task,
    "U-Net": unet.Task,
}


def make(engine: str) -> dict:
    """By name, functions that take a training step and return its losses."""
    return {name: Lazy(engine, task) for name, task in STEPS.items()}


class Lazy:
    """A training step that is built when it is first taken."""

    def __init__(self, engine, task):
        self.engine, self.task, self.step = engine, task, None

    def __call__(self):
        if self.step is None:
            if self.engine == "jax":
                from .in_jax import training_step
            else:
                from .in_torch import training_step
            self.step = training_step(self.task(), self.engine)
        return self.step()
