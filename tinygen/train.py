"""The training loop: steps, evaluations, a progress bar, and checkpoints that resume bit for bit.

    trainer = Trainer(model, optimizer, batches, loss, checkpoint="run.safetensors")
    trainer.fit(steps=1000, eval_every=100, evaluate=lambda: {"val": validation_loss(model)})

A checkpoint holds everything that the next step depends on: parameters, optimizer, schedule, random
numbers, the place in the data. So it makes no difference to the result where a run was interrupted.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .autograd.random import get_rng_state, set_rng_state
from .autograd.tensor import Tensor
from .nn import Module
from .nn.utils import clip_grad_norm_
from .optim import Optimizer
from .optim.lr_scheduler import LRScheduler
from .serialization import CheckpointError, load, save


class Trainer:
    """Trains `model` on `batches`.

    batches: an endless iterator, with state_dict() and load_state_dict() (see text.RandomWindows).
    loss: a function of (model, batch) that returns a scalar tensor.
    grad_clip: gradients are scaled down to this norm at most (Pascanu et al. 2013); None: never.
    checkpoint: the file to save to, or None.
    about: whatever else belongs into the checkpoint, such as the model's configuration.
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        batches: Iterator,
        loss: Callable[[Module, Any], Tensor],
        *,
        scheduler: LRScheduler | None = None,
        grad_clip: float | None = 1.0,
        checkpoint: str | os.PathLike | None = None,
        about: dict | None = None,
    ):
        self.model, self.optimizer, self.batches, self.loss = model, optimizer, batches, loss
        self.scheduler, self.grad_clip = scheduler, grad_clip
        self.checkpoint, self.about = checkpoint, about or {}
        self.step = 0  # how many steps were taken
        self.losses: list[float] = []  # of each step
        self.evaluations: list[dict] = []  # what `evaluate` returned, and at which step

    # ---- Training ----

    def train_step(self) -> float:
        """One batch forward and backward, one update; the loss before it."""
        loss = self.loss(self.model, next(self.batches))
        loss.backward()
        if self.grad_clip is not None:
            clip_grad_norm_(self.model.parameters(), self.grad_clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.scheduler is not None:
            self.scheduler.step()
        self.step += 1
        self.losses.append(loss.item())
        return self.losses[-1]

    def fit(
        self,
        steps: int,
        *,
        eval_every: int = 0,
        evaluate: Callable[[], dict[str, float]] | None = None,
        units_per_step: int = 0,
        unit: str = "token",
        progress: bool = True,
    ) -> bool:
        """Go on until `steps` steps were taken in all; False if Ctrl-C ended it sooner.

        evaluate: called every `eval_every` steps and at the end; a checkpoint is saved after it.
            Without it one is saved at the end only.
        units_per_step: how many tokens (or images ...: `unit`) a step processes, to show the speed.

        Ctrl-C finishes the step and saves a checkpoint. A loss that is not finite raises
        FloatingPointError; the last checkpoint stays as it was.
        """
        from tqdm import tqdm

        self.model.train()
        shown: dict[str, str] = {}
        begin, first = time.perf_counter(), self.step
        bar = tqdm(total=steps, initial=self.step, unit="step", disable=not progress,
                   bar_format="{percentage:3.0f}% |{bar:20}| {n_fmt}/{total_fmt} "
                              "[{elapsed} < {remaining}] {postfix}")  # fmt: skip
        with bar, interruptible() as interrupted:
            while self.step < steps and not interrupted.is_set():
                loss = self.train_step()
                if not np.isfinite(loss):
                    raise FloatingPointError(
                        f"the loss of step {self.step} is {loss}; try a lower learning rate"
                    )
                if evaluate and (
                    self.step == steps or (eval_every and self.step % eval_every == 0)
                ):
                    found = evaluate()
                    self.model.train()
                    self.evaluations.append({"step": self.step, **found})
                    shown.update({name: f"{value:.3f}" for name, value in found.items()})
                    self.save_checkpoint()
                shown["loss"] = f"{np.mean(self.losses[-20:]):.3f}"
                if units_per_step:
                    speed = units_per_step * (self.step - first) / (time.perf_counter() - begin)
                    shown[f"{unit}s/s"] = f"{speed:,.0f}"
                bar.set_postfix(shown, refresh=False)
                bar.update()
        if interrupted.is_set() or not evaluate:
            self.save_checkpoint()
        return self.step >= steps

    # ---- Checkpoints ----

    def state_dict(self) -> dict:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict() if self.scheduler else None,
            "batches": self.batches.state_dict(),  # type: ignore[attr-defined]
            "rng": get_rng_state(),
            "step": self.step,
            "losses": np.array(self.losses, np.float64),
            "evaluations": self.evaluations,
            "about": self.about,
        }

    def load_state_dict(self, state: dict) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        self.batches.load_state_dict(state["batches"])  # type: ignore[attr-defined]
        set_rng_state(state["rng"])
        self.step = state["step"]
        self.losses = state["losses"].tolist()
        self.evaluations = state["evaluations"]
        self.about = state["about"]

    def save_checkpoint(self) -> None:
        if self.checkpoint is not None:
            os.makedirs(os.path.dirname(os.path.abspath(self.checkpoint)), exist_ok=True)
            save(self.state_dict(), self.checkpoint)

    def resume(self) -> None:
        """Go on from the checkpoint file. Raises CheckpointError if it belongs to another run."""
        assert self.checkpoint is not None
        state = load(self.checkpoint)
        try:
            self.load_state_dict(state)
        except (AttributeError, KeyError, TypeError, RuntimeError, ValueError) as error:
            raise CheckpointError(
                f"{self.checkpoint} does not fit this model and optimizer: {error}"
            ) from error


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Within, the first Ctrl-C sets the event that this yields; the second one raises as usual."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event  # only the main thread gets signals
        return

    def note(*_):
        event.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)
