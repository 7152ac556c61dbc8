"""RMSprop, which divides the gradient by the root of its running mean square."""

from __future__ import annotations

import numpy as np

from tinygen.autograd import Tensor

from .optimizer import Optimizer, ParamsT, check_options

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    """RMSprop (Tieleman & Hinton 2012, lecture 6.5):

        v ← α v + (1 − α) g²
        θ ← θ − lr · g / (√v + eps)

    centered: divide by the standard deviation √(v − m²) instead, with m a running mean of g
        (Graves 2013).
    momentum: μ, steps along b ← μ b + g / (√v + eps) instead.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ):
        options = {"lr": lr, "alpha": alpha, "eps": eps}
        options |= {"weight_decay": weight_decay, "momentum": momentum}
        check_options(options)
        super().__init__(params, {**options, "centered": centered, "maximize": maximize})

    def _update(self, param, grad, state, group) -> None:
        if not state:
            state["step"] = 0
            names = ["square_avg"] + ["momentum_buffer"] * (group["momentum"] > 0)
            names += ["grad_avg"] * group["centered"]
            state.update({name: Tensor(np.zeros_like(param)) for name in names})
        state["step"] += 1
        grad = self._descent_gradient(param, grad, group)
        step = self._root_mean_square(grad, state, group)
        np.divide(grad, step, out=step)
        if group["momentum"]:
            buffer = state["momentum_buffer"].array
            buffer *= group["momentum"]
            buffer += step
            step = buffer
        param -= self._scaled(step, group["lr"])

    def _root_mean_square(self, grad, state, group):
        """√v + eps, after v and m have taken this gradient in."""
        alpha, square = group["alpha"], state["square_avg"].array
        root = np.square(grad, out=self._scratch("root", grad))
        square *= alpha
        square += self._scaled(root, 1 - alpha)
        root[...] = square
        if group["centered"]:
            mean = state["grad_avg"].array
            mean *= alpha
            mean += self._scaled(grad, 1 - alpha)
            root -= np.square(mean, out=self._scratch("scaled", mean))
        np.sqrt(root, out=root)
        root += group["eps"]
        return root
