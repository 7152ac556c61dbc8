"""AdamW: Adam with a weight decay that does not pass through the running means."""

from __future__ import annotations

from .adam import Adam
from .optimizer import ParamsT

__all__ = ["AdamW"]


class AdamW(Adam):
    """Adam after θ ← θ − lr λ θ (Loshchilov & Hutter 2019, algorithm 2).

    There the decay is called decoupled: it is no part of the gradient, so it is not divided by √v,
    and weights with large gradients shrink as fast as all others. λ is `weight_decay`.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ):
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            maximize=maximize,
            decoupled_weight_decay=True,
        )
