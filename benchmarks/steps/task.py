"""What a training step consists of, whatever the engine."""

import itertools

import numpy as np

BATCHES = 4  # that the steps go through in turn


class Task:
    """A model, its losses and its batches.

    A step minimises each of `losses` by the parameters of one part of the model: {"": "loss"} is
    the method `loss`, by all parameters; a GAN has two.
    """

    losses = {"": "loss"}  # by the part of the model whose parameters it is minimised by
    optimizer = "AdamW"
    options: dict = {"lr": 1e-3, "weight_decay": 0.01}
    clip = 0.0  # the most that the norm of all gradients may be; 0: any

    def model(self, m):
        """The model as a module of `m`, which is torch or tinygen."""
        raise NotImplementedError

    def batch(self, random: np.random.Generator) -> tuple[np.ndarray, ...]:
        raise NotImplementedError

    def loss(self, m, model, *batch):
        """The loss of `model(m)` for a batch."""
        raise NotImplementedError

    def jax_loss(self, p, *batch):
        """The same in JAX, of parameters p, by name."""
        raise NotImplementedError

    def batches(self):
        """The batches of steps 1, 2, ..."""
        random = np.random.default_rng(1)
        return itertools.cycle([self.batch(random) for _ in range(BATCHES)])


def set_weights(model, m) -> None:
    """Give a model weights that depend on nothing but shapes: N(0, 1 / inputs), biases 0."""
    random = np.random.default_rng(0)
    with m.no_grad():
        for name, p in model.named_parameters():
            if p.ndim > 1:
                scale = float(np.prod(p.shape[1:])) ** -0.5
                p.copy_(m.from_numpy(scale * random.standard_normal(tuple(p.shape), np.float32)))
            elif name.endswith("bias"):
                p.zero_()


def weights(task: Task) -> dict[str, np.ndarray]:
    """The initial parameters, by name."""
    import tinygen

    model = task.model(tinygen)
    set_weights(model, tinygen)
    return {name: p.detach().numpy() for name, p in model.named_parameters()}
