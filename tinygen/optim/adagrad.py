"""Adagrad, which divides the gradient by the root of the sum of all its squares."""

from __future__ import annotations

import numpy as np

from tinygen.autograd import Tensor

from .optimizer import Optimizer, ParamsT, check_options

__all__ = ["Adagrad"]


class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan & Singer 2011, figure 1, diagonal):

        s ← s + g²
        θ ← θ − lr / (1 + (t − 1) lr_decay) · g / (√s + eps)

    s starts at `initial_accumulator_value`.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ):
        options = {"lr": lr, "lr_decay": lr_decay, "weight_decay": weight_decay, "eps": eps}
        options["initial_accumulator_value"] = initial_accumulator_value
        check_options(options)
        super().__init__(params, {**options, "maximize": maximize})

    def _update(self, param, grad, state, group) -> None:
        if not state:
            state["step"] = 0
            state["sum"] = Tensor(np.full_like(param, group["initial_accumulator_value"]))
        state["step"] += 1
        grad = self._descent_gradient(param, grad, group)
        total = state["sum"].array
        root = np.square(grad, out=self._scratch("root", grad))
        total += root
        np.sqrt(total, out=root)
        root += group["eps"]
        update = self._scaled(grad, group["lr"] / (1 + (state["step"] - 1) * group["lr_decay"]))
        update /= root
        param -= update
