"""Averages of a model's weights over its training, under the names of torch.optim.swa_utils.

ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.999))
for batch in batches:
    ...
    optimizer.step()
    ema.update_parameters(model)
ema(x)                          # the averaged model; it is ema.module
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

from tinygen.autograd import Tensor, no_grad
from tinygen.autograd.creation import tensor
from tinygen.nn import Module

__all__ = ["AveragedModel", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn"]

Average = Callable[[Tensor, Tensor, Any], Tensor]  # (averaged, new, number averaged) -> averaged
MultiAverage = Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]  # the same, in place


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAverage:
    """Exponential moving average: averaged ← decay · averaged + (1 − decay) · new, in place.

    It looks back about 1 / (1 − decay) steps (Polyak & Juditsky 1992 average them all alike).
    """
    _check_decay(decay)

    @no_grad()
    def update(averaged: Sequence[Tensor], new: Sequence[Tensor], _) -> None:
        for a, b in zip(averaged, new):
            if a.is_floating_point():
                a.lerp_(b, 1 - decay)
            else:
                a.copy_(a * decay + b * (1 - decay))

    return update


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """Exponential moving average of one tensor: decay · averaged + (1 − decay) · new."""
    _check_decay(decay)

    @no_grad()
    def update(averaged: Tensor, new: Tensor, _) -> Tensor:
        return decay * averaged + (1 - decay) * new

    return update


def get_swa_avg_fn() -> Average:
    """The mean of all that came so far (Izmailov et al. 2018, algorithm 1)."""

    @no_grad()
    def update(averaged: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
        return averaged + (new - averaged) / (count + 1)

    return update


def _check_decay(decay: float) -> None:
    if not 0 <= decay <= 1:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1].")


class AveragedModel(Module):
    """A copy of `model` (in `module`) whose parameters are averages over those of the original.

    avg_fn: how one averaged parameter moves towards a new one; by default the mean of all.
    multi_avg_fn: how a list of them moves, in place; give one of the two at most.
    use_buffers: average the buffers, too; otherwise they are those of the last update.

    The first update copies. n_averaged counts the updates, and is saved with the rest.
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: MultiAverage | None = None,
        use_buffers: bool = False,
    ):
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("AveragedModel takes avg_fn or multi_avg_fn, not both")
        self.module = deepcopy(model).to(device) if device is not None else deepcopy(model)
        self.register_buffer("n_averaged", tensor(0))
        self.avg_fn, self.multi_avg_fn = avg_fn or get_swa_avg_fn(), multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    @no_grad()
    def update_parameters(self, model: Module) -> None:
        """Let the weights that `model` has now into the averages."""
        averaged, new = list(self.module.parameters()), list(model.parameters())
        mine, theirs = list(self.module.buffers()), list(model.buffers())
        if self.use_buffers:
            averaged, new = averaged + mine, new + theirs
        else:
            _copy(mine, theirs)
        if self.n_averaged.item() == 0:
            _copy(averaged, new)
        elif self.multi_avg_fn is not None:
            self.multi_avg_fn(averaged, new, self.n_averaged)
        else:
            _copy(averaged, [self.avg_fn(a, b, self.n_averaged) for a, b in zip(averaged, new)])
        self.n_averaged += 1


def _copy(old: Sequence[Tensor], new: Sequence[Tensor]) -> None:
    for a, b in zip(old, new):
        a.copy_(b)
