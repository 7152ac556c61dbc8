"""Adam, which divides a running mean of the gradient by the root of its running mean square."""

from __future__ import annotations

import math

import numpy as np

from tinygen.autograd import Tensor
from tinygen.kernels import adamw

from .optimizer import Optimizer, ParamsT, check_options

__all__ = ["Adam"]


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, algorithm 1):

        m ← β₁ m + (1 − β₁) g
        v ← β₂ v + (1 − β₂) g²
        θ ← θ − lr · (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + eps)

    weight_decay: λ, adds λ θ to g; or with `decoupled_weight_decay`, shrinks θ by lr λ θ instead,
        which is AdamW.
    amsgrad: divide by the largest v so far (Reddi, Kale & Kumar 2018).
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ):
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        check_options(options)
        options |= {"amsgrad": amsgrad, "maximize": maximize}
        super().__init__(params, {**options, "decoupled_weight_decay": decoupled_weight_decay})

    def _update(self, param, grad, state, group) -> None:
        if not state:
            state["step"] = 0
            names = ["exp_avg", "exp_avg_sq"] + ["max_exp_avg_sq"] * group["amsgrad"]
            state.update({name: Tensor(np.zeros_like(param)) for name in names})
        state["step"] += 1
        if group["amsgrad"]:
            self._amsgrad(param, grad, state, group)
            return
        if group["maximize"]:
            grad = np.negative(grad, out=self._scratch("gradient", grad))
        beta1, beta2 = group["betas"]
        adamw.step(
            param,
            grad,
            state["exp_avg"].array,
            state["exp_avg_sq"].array,
            lr=group["lr"],
            beta1=beta1,
            beta2=beta2,
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            step=state["step"],
            decoupled=group["decoupled_weight_decay"],
        )

    def _amsgrad(self, param, grad, state, group) -> None:
        """The step of the kernel, in NumPy, but for the maximum."""
        lr, (beta1, beta2), step = group["lr"], group["betas"], state["step"]
        if group["decoupled_weight_decay"]:
            param *= 1 - lr * group["weight_decay"]
            group = {**group, "weight_decay": 0}
        grad = self._descent_gradient(param, grad, group)
        mean, square, largest = (
            state[name].array for name in ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
        )
        mean *= beta1
        mean += self._scaled(grad, 1 - beta1)
        square *= beta2
        square += self._scaled(np.square(grad, out=self._scratch("square", grad)), 1 - beta2)
        np.maximum(largest, square, out=largest)
        denominator = np.sqrt(largest, out=self._scratch("square", grad))
        denominator /= math.sqrt(1 - beta2**step)
        denominator += group["eps"]
        update = self._scaled(mean, lr / (1 - beta1**step))
        update /= denominator
        param -= update
