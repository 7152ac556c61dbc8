"""Adagrad, which divides the gradient by the root of the sum of all its squares."""

from __future__ import annotations

from tinygen.kernels import optimizers

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

    _form = optimizers.ADAGRAD

    def _state_names(self, group):
        return ("sum",)

    def _start(self, group):
        return group["initial_accumulator_value"]

    def _options(self, group):
        return (
            group["lr"], group["lr_decay"], group["eps"], group["weight_decay"],
            -1.0 if group["maximize"] else 1.0, 0.0, 0.0, 0.0,
        )  # fmt: skip
