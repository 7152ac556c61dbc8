"""The training loop: steps, evaluations, a progress bar, and checkpoints that resume bit for bit.

    trainer = Trainer(model, optimizer, batches, loss, ema=0.999, checkpoint="run.safetensors")
    trainer.fit(steps=1000, eval_every=100, evaluate=lambda: {"val": validation_loss(model)})

A checkpoint holds everything that the next step depends on: parameters and their average,
optimizers, schedules, random numbers, the place in the data. So it makes no difference to the
result where a run was interrupted.

Models that are trained against each other have an optimizer each, and an `update` in which a step
is written down:

    def update(trainer, images):
        G, D = trainer.model.generator, trainer.model.discriminator
        fakes = G(tg.randn(len(images), 64))
        return {
            "D": trainer.descend(discriminator_loss(D, images, fakes.detach()), "D"),
            "G": trainer.descend(generator_loss(D, fakes), "G"),
        }

    Trainer(pair, {"G": Adam(pair.generator.parameters()), "D": ...}, batches, update=update)
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from .autograd.random import get_rng_state, set_rng_state
from .autograd.tensor import Tensor
from .nn import Module
from .nn.utils import clip_grad_norm_
from .optim import Optimizer
from .optim.lr_scheduler import LRScheduler
from .optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from .serialization import CheckpointError, load, save


class DrawnBatches:
    """Endless batches `draw()`, such as `lambda: two_moons(128)`.

    `draw` takes all its randomness from tinygen's default generator, which the trainer saves: so
    there is no other state to be kept.
    """

    def __init__(self, draw: Callable[[], Any]):
        self.draw = draw

    def __iter__(self) -> DrawnBatches:
        return self

    def __next__(self) -> Any:
        return self.draw()

    def state_dict(self) -> dict:
        return {}

    def load_state_dict(self, state: dict) -> None:
        if state != {}:
            raise ValueError("the data of the checkpoint have a place, those that are drawn none")


class Trainer:
    """Trains `model` on `batches`.

    optimizer: one, or several by name; schedulers likewise, which step with every step.
    batches: an endless iterator, with state_dict() and load_state_dict(): data.cycle(loader),
        text.RandomWindows, or DrawnBatches.
    loss: a function of (model, batch) that returns a scalar tensor, which a step descends.
    update: or instead a function of (trainer, batch) that does a whole step, by calls of
        `descend`, and returns the losses by name.
    grad_clip: the gradients of an optimizer's parameters are scaled down to this norm at most
        (Pascanu et al. 2013); None: never.
    ema: the decay of an exponential moving average of the weights, then in `trainer.ema.module`.
    ema_of: the part of the model that is averaged; None: all of it.
    checkpoint: the file to save to, or None.
    about: whatever else belongs into the checkpoint, such as the model's configuration.
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer | Mapping[str, Optimizer],
        batches: Iterator,
        loss: Callable[[Module, Any], Tensor] | None = None,
        *,
        update: Callable[[Trainer, Any], Mapping[str, float]] | None = None,
        scheduler: LRScheduler | Mapping[str, LRScheduler] | None = None,
        grad_clip: float | None = 1.0,
        ema: float | None = None,
        ema_of: Module | None = None,
        checkpoint: str | os.PathLike | None = None,
        about: dict | None = None,
    ):
        if (loss is None) == (update is None):
            raise TypeError(
                "Trainer takes a loss, or an update that does a whole step: one of them"
            )
        if update is None and isinstance(optimizer, Mapping):
            raise TypeError(
                f"Trainer: {len(optimizer)} optimizers need an update(trainer, batch) that says "
                "which loss each of them descends"
            )
        self.model, self.optimizer, self.batches, self.loss = model, optimizer, batches, loss
        self.update = update or descend_loss
        self.scheduler, self.grad_clip = scheduler, grad_clip
        self.averaged = ema_of or model
        self.ema: AveragedModel | None = None
        if ema is not None:
            self.ema = AveragedModel(self.averaged, multi_avg_fn=get_ema_multi_avg_fn(ema)).eval()
        self.checkpoint, self.about = checkpoint, about or {}
        self.step = 0  # how many steps were taken
        self.losses: dict[str, list[float]] = {}  # of each step, by name
        self.evaluations: list[dict] = []  # what `evaluate` returned, and at which step

    # ---- Training ----

    def descend(self, loss: Tensor, name: str = "") -> float:
        """The gradient of a loss, and a step of the optimizer of this name; the loss before it.

        With several optimizers only the gradients of this one's parameters are computed.
        """
        optimizer = self.optimizer
        parameters = list(self.model.parameters())
        if isinstance(optimizer, Mapping):
            if name not in optimizer:
                raise KeyError(f"there is no optimizer {name!r}, but {', '.join(optimizer)}")
            optimizer = optimizer[name]
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            loss.backward(inputs=parameters)
        else:
            loss.backward()
        if self.grad_clip is not None:
            clip_grad_norm_(parameters, self.grad_clip)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    def train_step(self) -> dict[str, float]:
        """One batch forward and backward, one update; the losses before it, by name."""
        losses = dict(self.update(self, next(self.batches)))
        for scheduler in _by_name("", self.scheduler).values():
            scheduler.step()
        if self.ema is not None:
            self.ema.update_parameters(self.averaged)
        self.step += 1
        for name, loss in losses.items():
            self.losses.setdefault(name, []).append(loss)
        return losses

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
                self.check_finite(self.train_step())
                if evaluate and (
                    self.step == steps or (eval_every and self.step % eval_every == 0)
                ):
                    found = evaluate()
                    self.model.train()
                    self.evaluations.append({"step": self.step, **found})
                    shown.update({name: f"{value:.3f}" for name, value in found.items()})
                    self.save_checkpoint()
                shown |= {name: f"{np.mean(x[-20:]):.3f}" for name, x in self.losses.items()}
                if units_per_step:
                    speed = units_per_step * (self.step - first) / (time.perf_counter() - begin)
                    shown[f"{unit}s/s"] = f"{speed:,.0f}"
                bar.set_postfix(shown, refresh=False)
                bar.update()
        if interrupted.is_set() or not evaluate:
            self.save_checkpoint()
        return self.step >= steps

    def check_finite(self, losses: Mapping[str, float]) -> None:
        for name, loss in losses.items():
            if not np.isfinite(loss):
                which = "loss" if name == "loss" else f"loss {name}"
                raise FloatingPointError(
                    f"the {which} of step {self.step} is {loss}; try a lower learning rate"
                )

    # ---- Checkpoints ----

    def state_dict(self) -> dict:
        return {
            **{name: part.state_dict() for name, part in self.stateful().items()},
            "rng": get_rng_state(),
            "step": self.step,
            "losses": {name: np.array(x, np.float64) for name, x in self.losses.items()},
            "evaluations": self.evaluations,
            "about": self.about,
        }

    def load_state_dict(self, state: dict) -> None:
        for name, part in self.stateful().items():
            part.load_state_dict(state[name])
        set_rng_state(state["rng"])
        self.step = state["step"]
        self.losses = {name: x.tolist() for name, x in state["losses"].items()}
        self.evaluations = state["evaluations"]
        self.about = state["about"]

    def stateful(self) -> dict[str, Any]:
        """All parts with a state of their own: "model", "optimizer" or "optimizer G", …"""
        kinds = ("model", "ema", "optimizer", "scheduler", "batches")
        return {k: v for kind in kinds for k, v in _by_name(kind, getattr(self, kind)).items()}

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


def descend_loss(trainer: Trainer, batch: Any) -> dict[str, float]:
    """The update of a trainer that has one loss and one optimizer."""
    assert trainer.loss is not None
    return {"loss": trainer.descend(trainer.loss(trainer.model, batch))}


def _by_name(kind: str, part: Any) -> dict[str, Any]:
    """One thing, several by name, or None: as a dict, in whose keys their kind comes first."""
    if isinstance(part, Mapping):
        return {f"{kind} {name}": one for name, one in part.items()}
    return {} if part is None else {kind: part}


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
