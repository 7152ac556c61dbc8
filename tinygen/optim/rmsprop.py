"""RMSprop, which divides the gradient by the root of its running mean square."""

from __future__ import annotations

from tinygen.kernels import optimizers

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

    _form = optimizers.RMSPROP

    def _state_names(self, group):
        momentum = ("momentum_buffer",) if group["momentum"] else ()
        return ("square_avg", *momentum, *(("grad_avg",) if group["centered"] else ()))

    def _options(self, group):
        return (
            group["lr"], group["alpha"], group["eps"], group["weight_decay"], group["momentum"],
            group["centered"], -1.0 if group["maximize"] else 1.0, 0.0,
        )  # fmt: skip
