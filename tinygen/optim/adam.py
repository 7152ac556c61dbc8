"""Adam, which divides a running mean of the gradient by the root of its running mean square."""

from __future__ import annotations

from tinygen.kernels import optimizers

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

    _form = optimizers.ADAM

    def _state_names(self, group):
        return ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")[: 3 if group["amsgrad"] else 2]

    def _options(self, group):
        return (
            float(group["lr"]), *group["betas"], group["eps"], group["weight_decay"],
            group["decoupled_weight_decay"], group["amsgrad"], -1.0 if group["maximize"] else 1.0,
        )  # fmt: skip
