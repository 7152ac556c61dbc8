"""Learning-rate schedulers: call `scheduler.step()` after `optimizer.step()`, once a step or epoch.

Each says in closed form what the learning rate is after t calls. In a `_Factor` that is a factor
f(t) on the initial rate, and one call multiplies the present rate by f(t) / f(t − 1): so several of
them can drive the same optimizer, and a rate that was set by hand is scaled on from there.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from typing import Any

from .optimizer import Optimizer

__all__ = [
    "CosineAnnealingLR", "ExponentialLR", "LRScheduler", "LambdaLR", "LinearLR", "MultiStepLR",
    "OneCycleLR", "SequentialLR", "StepLR", "WarmupCosineLR",
]  # fmt: skip


class LRScheduler(ABC):
    """The base: counts its steps in `last_epoch`, and writes `get_lr()` to the optimizer's groups.

    last_epoch: −1 to begin; the count at which an earlier run stopped to go on from there, with an
        optimizer whose state was loaded.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1):
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        self.optimizer, self.last_epoch = optimizer, last_epoch
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming an "
                    "optimizer: load the optimizer's state first"
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.step()

    @abstractmethod
    def get_lr(self) -> list[float]:
        """The rate of each group, now that `last_epoch` steps were taken."""

    def step(self) -> None:
        """Count a step, and set the learning rates."""
        self.last_epoch += 1
        self._set_lrs(self.get_lr())

    def begin(self) -> None:
        """Set the initial rates: what SequentialLR does when this scheduler's turn comes."""
        for group, base_lr in zip(self.optimizer.param_groups, self.base_lrs):
            group["lr"] = base_lr
        self.last_epoch = -1
        self.step()

    def _set_lrs(self, lrs: Iterable[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, lrs):
            group["lr"] = lr
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def get_last_lr(self) -> list[float]:
        """The rates that the last `step` set, one a group."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """All there is to know, but for the optimizer, which is saved by itself."""
        return {key: value for key, value in vars(self).items() if key != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from where another scheduler was saved. Load the optimizer's state as well."""
        vars(self).update(state_dict)


# ---- Factors on the initial rate -----------------------------------------------------------------


class _Factor(LRScheduler):
    """lr(t) = floor + (initial lr − floor) · factor(t)."""

    floor: float = 0.0

    @abstractmethod
    def factor(self, t: int) -> float:
        """f(t), for t = 0, 1, …"""

    def get_lr(self) -> list[float]:
        t = self.last_epoch
        now, before = self.factor(t), self.factor(t - 1) if t else 1.0
        present = [group["lr"] for group in self.optimizer.param_groups]
        if now == before:
            return present
        if before == 0:
            return [self.floor + (base_lr - self.floor) * now for base_lr in self.base_lrs]
        return [self.floor + (lr - self.floor) * (now / before) for lr in present]


class StepLR(_Factor):
    """gamma^⌊t / step_size⌋: decay by `gamma` every `step_size` steps."""

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ):
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, t: int) -> float:
        return self.gamma ** (t // self.step_size)


class MultiStepLR(_Factor):
    """gamma^(number of milestones up to t): decay by `gamma` at each milestone."""

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ):
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, t: int) -> float:
        return self.gamma ** bisect_right(self.milestones, t)


class ExponentialLR(_Factor):
    """gamma^t: decay by `gamma` at every step."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1):
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, t: int) -> float:
        return self.gamma**t


class LinearLR(_Factor):
    """From `start_factor` to `end_factor` in a straight line over `total_iters` steps."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ):
        if not 0 < start_factor <= 1:
            raise ValueError(
                f"Starting multiplicative factor expected to be in (0, 1], got {start_factor}"
            )
        if not 0 <= end_factor <= 1:
            raise ValueError(
                f"Ending multiplicative factor expected to be in [0, 1], got {end_factor}"
            )
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def factor(self, t: int) -> float:
        passed = min(t, self.total_iters) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * passed


class CosineAnnealingLR(_Factor):
    """eta_min + (lr − eta_min) · (1 + cos(π t / T_max)) / 2 (Loshchilov & Hutter 2017, equation 5).

    No restarts: past T_max the rate goes up the cosine again.
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ):
        self.T_max, self.eta_min, self.floor = T_max, eta_min, eta_min
        super().__init__(optimizer, last_epoch)

    def factor(self, t: int) -> float:
        return _cosine(t / self.T_max)


def _cosine(passed: float) -> float:
    """From 1 down to 0 along half a cosine, while `passed` goes from 0 to 1."""
    return (1 + math.cos(math.pi * passed)) / 2


# ---- Rates that depend on t alone ----------------------------------------------------------------


class LambdaLR(LRScheduler):
    """The initial rate times lr_lambda(t), a function for all groups or a list with one for each.

    Plain functions are not saved in `state_dict`; objects with `__call__` have their fields saved.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ):
        groups = len(optimizer.param_groups)
        self.lr_lambdas = [lr_lambda] * groups if callable(lr_lambda) else list(lr_lambda)
        if len(self.lr_lambdas) != groups:
            raise ValueError(f"Expected {groups} lr_lambdas, but got {len(self.lr_lambdas)}")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        pairs = zip(self.base_lrs, self.lr_lambdas)
        return [base_lr * lr_lambda(self.last_epoch) for base_lr, lr_lambda in pairs]

    def state_dict(self) -> dict[str, Any]:
        fields = [copy(getattr(f, "__dict__", None)) or None for f in self.lr_lambdas]
        return {**super().state_dict(), "lr_lambdas": fields}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "lr_lambdas"})
        for function, fields in zip(self.lr_lambdas, state_dict["lr_lambdas"]):
            if fields is not None:
                function.__dict__.update(fields)


class WarmupCosineLR(LRScheduler):
    """nanoGPT's schedule: a linear warm-up, half a cosine down to `min_lr`, then constant.

    lr · (t + 1) / (warmup_steps + 1) for t < warmup_steps; the cosine ends at t = total_steps.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        warmup_steps: int,
        total_steps: int,
        min_lr: float = 0.0,
        last_epoch: int = -1,
    ):
        if not 0 <= warmup_steps < total_steps:
            raise ValueError(
                f"warmup_steps must be in [0, total_steps), got {warmup_steps} of {total_steps}"
            )
        self.warmup_steps, self.total_steps, self.min_lr = warmup_steps, total_steps, min_lr
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        t, warmup = self.last_epoch, self.warmup_steps
        if t < warmup:
            return [base_lr * (t + 1) / (warmup + 1) for base_lr in self.base_lrs]
        factor = _cosine(min(1.0, (t - warmup) / (self.total_steps - warmup)))
        return [self.min_lr + (base_lr - self.min_lr) * factor for base_lr in self.base_lrs]


class OneCycleLR(LRScheduler):
    """Up to `max_lr` and down to almost nothing, while momentum goes the other way (Smith 2018).

    lr: max_lr / div_factor → max_lr, in `pct_start` of the steps, → max_lr / div_factor /
    final_div_factor in the rest. With `three_phase` the way down first mirrors the way up. Momentum
    (or Adam's β₁), if cycled: max_momentum → base_momentum → max_momentum.

    Give `total_steps`, or `epochs` and `steps_per_epoch`. `anneal_strategy` is "cos" or "linear".
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ):
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR needs total_steps, or both epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        if total_steps <= 0:
            raise ValueError(f"Expected positive integer total_steps, but got {total_steps}")
        if not 0 <= pct_start <= 1:
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        if cycle_momentum and not {"momentum", "betas"} & optimizer.defaults.keys():
            raise ValueError(
                "optimizer must support momentum or beta1 with `cycle_momentum` option enabled"
            )
        self.total_steps, self.anneal_strategy = total_steps, anneal_strategy
        self.cycle_momentum = cycle_momentum
        self._corners = _corners(total_steps, pct_start, three_phase)
        groups = optimizer.param_groups
        if last_epoch == -1:
            for group, peak in zip(groups, _each(max_lr, groups, "max_lr")):
                first = peak / div_factor
                group.update(initial_lr=first, max_lr=peak, min_lr=first / final_div_factor)
            if cycle_momentum:
                lowest = _each(base_momentum, groups, "base_momentum")
                highest = _each(max_momentum, groups, "max_momentum")
                for group, low, high in zip(groups, lowest, highest):
                    group.update(base_momentum=low, max_momentum=high)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch > self.total_steps:
            raise ValueError(
                f"Tried to step {self.last_epoch} times. "
                f"The specified number of total steps is {self.total_steps}"
            )
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(self._between_corners(group, 1))
            if self.cycle_momentum:
                momentum = self._between_corners(group, 2)
                if "betas" in group:
                    group["betas"] = (momentum, *group["betas"][1:])
                else:
                    group["momentum"] = momentum
        return rates

    def _between_corners(self, group: dict[str, Any], column: int) -> float:
        """The value now, on the way between two corners of the cycle, for one of their columns."""
        for start, end in zip(self._corners, self._corners[1:]):
            if self.last_epoch <= end[0] or end is self._corners[-1]:
                length = end[0] - start[0]
                passed = (self.last_epoch - start[0]) / length if length else 1.0
                remains = _cosine(passed) if self.anneal_strategy == "cos" else 1 - passed
                return group[end[column]] + (group[start[column]] - group[end[column]]) * remains
        raise AssertionError("a cycle has two corners at least")


def _corners(total_steps: int, pct_start: float, three_phase: bool) -> list[tuple]:
    """(step, group's key of the rate, group's key of the momentum) at each corner of the cycle."""
    peak, last = float(pct_start * total_steps) - 1, total_steps - 1
    corners = [(0, "initial_lr", "max_momentum"), (peak, "max_lr", "base_momentum")]
    if three_phase:
        corners.append((2 * peak, "initial_lr", "max_momentum"))
    return [*corners, (last, "min_lr", "max_momentum")]


def _each(value: float | Sequence[float], groups: Sequence, name: str) -> list[Any]:
    """One value for each group."""
    values: list[Any] = list(value) if isinstance(value, list | tuple) else [value] * len(groups)
    if len(values) != len(groups):
        raise ValueError(
            f"expected {len(groups)} values for {name}, one a group, got {len(values)}"
        )
    return values


# ---- One after the other -------------------------------------------------------------------------


class SequentialLR(LRScheduler):
    """`schedulers` one after the other: the next takes over, from its start, at each milestone."""

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ):
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                "Sequential Schedulers expects number of schedulers provided to be one more than "
                f"the number of milestone points, but got {len(schedulers)} and {len(milestones)}"
            )
        if any(scheduler.optimizer is not optimizer for scheduler in schedulers):
            raise ValueError("all schedulers must drive the optimizer that SequentialLR was given")
        self._schedulers, self._milestones = list(schedulers), list(milestones)
        self.optimizer, self.last_epoch = optimizer, last_epoch + 1
        self._schedulers[0].begin()  # each scheduler set its own first rate when it was made
        self._last_lr = self._schedulers[0].get_last_lr()

    def get_lr(self) -> list[float]:
        return self._last_lr

    def step(self) -> None:
        self.last_epoch += 1
        turn = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[turn]
        if turn and self._milestones[turn - 1] == self.last_epoch:
            scheduler.begin()
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        saved = [scheduler.state_dict() for scheduler in self._schedulers]
        return {**super().state_dict(), "_schedulers": saved}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "_schedulers"})
        for scheduler, saved in zip(self._schedulers, state_dict["_schedulers"]):
            scheduler.load_state_dict(saved)
