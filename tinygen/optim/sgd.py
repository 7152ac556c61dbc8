"""SGD: stochastic gradient descent, with momentum."""

from __future__ import annotations

from tinygen.autograd import Tensor

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

    def _update(self, param, grad, state, group) -> None:
        step = self._descent_gradient(param, grad, group)
        if group["momentum"]:
            step = self._with_momentum(step, state, group)
        param -= self._scaled(step, group["lr"])

    def _with_momentum(self, grad, state, group):
        momentum = group["momentum"]
        if state.get("momentum_buffer") is None:
            state["momentum_buffer"] = Tensor(grad.copy())
            velocity = state["momentum_buffer"].array
        else:
            velocity = state["momentum_buffer"].array
            velocity *= momentum
            velocity += self._scaled(grad, 1 - group["dampening"])
        if not group["nesterov"]:
            return velocity
        ahead = self._scaled(velocity, momentum)
        ahead += grad
        return ahead
