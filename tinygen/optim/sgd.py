"""SGD: stochastic gradient descent, with momentum."""

from __future__ import annotations

from tinygen.kernels import optimizers

from .optimizer import Optimizer, ParamsT, check_options

__all__ = ["SGD"]


class SGD(Optimizer):
    """v ← μ v + (1 − dampening) g, then θ ← θ − lr v; the first v is g itself.

    With `nesterov` the step is along g + μ v (Sutskever et al. 2013). Unlike in the paper, lr
    scales v when it is used, not when it is summed. Without momentum the step is along g.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ):
        options = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        check_options(options)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        options |= {"dampening": dampening, "nesterov": nesterov, "maximize": maximize}
        super().__init__(params, options)

    _form = optimizers.SGD

    def _state_names(self, group):
        return ("momentum_buffer",) if group["momentum"] else ()

    def _count(self, state):
        return 1 if state.get("momentum_buffer") is None else 2  # all but the first are alike

    def _options(self, group):
        return (
            group["lr"], group["momentum"], group["dampening"], group["weight_decay"],
            group["nesterov"], -1.0 if group["maximize"] else 1.0, 0.0, 0.0,
        )  # fmt: skip
