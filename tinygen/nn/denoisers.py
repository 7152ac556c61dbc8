"""Networks that remove noise: (x, t, condition) -> a prediction of the shape of x.

t [B] is a time of a noise schedule, between 0 and 1 (see tinygen.sde.schedules); what is predicted,
the noise or one of its relatives, says tinygen.sde.denoiser. condition is None, or a class a sample
[B]. The last layer of each network starts with zeros, so that at first it predicts 0.
"""

from __future__ import annotations

import numpy as np

from ..autograd.creation import full_like
from ..autograd.dtypes import get_default_dtype
from ..autograd.grad_mode import is_grad_enabled
from ..autograd.ops.choose import where
from ..autograd.ops.elementwise import cos, sin
from ..autograd.ops.join import cat
from ..autograd.random import rand
from ..autograd.tensor import Tensor
from . import functional as F
from .activations import SiLU
from .containers import ModuleList, Sequential
from .init import zeros_
from .layers import Embedding, Linear
from .module import Module
from .normalization import LayerNorm

__all__ = ["ClassEmbedding", "MLPDenoiser", "SinusoidalEmbedding"]


class SinusoidalEmbedding(Module):
    """Times t [B] as sines and cosines [B, dim] (Vaswani et al. 2017, section 3.5), at dim/2
    frequencies from 1 to max_frequency, evenly spaced on the logarithmic scale. For t up to 1 the
    largest resolves the steps of a chain of 1,000 (Ho, Jain & Abbeel 2020 have 0.1 to 1,000)."""

    frequencies: Tensor

    def __init__(self, dim: int, max_frequency: float = 1000.0):
        super().__init__()
        if dim < 2 or dim % 2:
            raise ValueError(
                f"SinusoidalEmbedding: dim must be even, one half for sines and one for cosines, "
                f"not {dim}"
            )
        frequencies = np.geomspace(1, max_frequency, dim // 2).astype(get_default_dtype())
        self.register_buffer("frequencies", Tensor(frequencies), persistent=False)

    def forward(self, t: Tensor) -> Tensor:
        if t.ndim != 1:
            raise ValueError(f"SinusoidalEmbedding: t has a time a sample, [B]; got {t.shape}")
        angles = t[:, None] * self.frequencies  # [B, dim / 2]
        return cat([sin(angles), cos(angles)], -1)  # [B, dim]


class ClassEmbedding(Module):
    """Classes [B] (or None for all, which is none in particular) as vectors [B, dim].

    dropout: the probability with which training takes a class away, so that the network learns what
        it would predict without one: classifier-free guidance needs both (Ho & Salimans 2022).

    It keeps in mind which classes it was trained with. Raises ValueError for others.
    """

    seen: Tensor

    def __init__(self, num_classes: int, dim: int, dropout: float = 0.1):
        super().__init__()
        self.num_classes, self.dropout = num_classes, dropout
        self.embedding = Embedding(num_classes + 1, dim)  # the last is for no class
        self.register_buffer("seen", Tensor(np.zeros(num_classes + 1, np.bool_)))

    def null(self, classes: Tensor) -> Tensor:
        """As many times no class."""
        return full_like(classes, self.num_classes)

    def forward(self, classes: Tensor | None, B: int) -> Tensor:
        if classes is None:
            classes = Tensor(np.full(B, self.num_classes))
        self.check(classes, B)
        if self.training and is_grad_enabled():  # samples are drawn of what was asked for
            drop = rand(B) < self.dropout
            classes = where(drop, self.null(classes), classes)
            self.seen.array[classes.array] = True
        else:
            self.check_seen(classes.array)
        return self.embedding(classes)

    def check(self, classes: Tensor, B: int) -> None:
        asked = classes.array
        if asked.shape != (B,) or asked.dtype.kind not in "iu":
            raise ValueError(
                f"ClassEmbedding: the condition is a whole number a sample, [{B}]; got "
                f"{list(asked.shape)} of {asked.dtype}"
            )
        wrong = (asked < 0) | (asked > self.num_classes)
        if wrong.any():
            raise ValueError(
                f"ClassEmbedding: there is no class {asked[wrong][0]}; there are 0 to "
                f"{self.num_classes - 1}, and {self.num_classes} for none"
            )

    def check_seen(self, asked: np.ndarray) -> None:
        strange = asked[~self.seen.array[asked]]
        if len(strange) and strange[0] == self.num_classes:
            raise ValueError(
                "ClassEmbedding: the network was never trained without a class, so it cannot go "
                "without one, nor be guided away from that; train it with dropout above 0"
            )
        if len(strange):
            raise ValueError(
                f"ClassEmbedding: class {strange[0]} was never trained; those that were: "
                f"{np.flatnonzero(self.seen.array[:-1]).tolist()}"
            )


class MLPDenoiser(Module):
    """A residual network on vectors [B, features] that is told the time in every block.

    x -> first -> blocks: h + W₂ silu(W₁ norm(h) + U time) -> last(silu(h))

    num_classes: of a condition [B], whose embedding is added to that of the time; None: there is no
    condition. class_dropout: see ClassEmbedding.
    """

    def __init__(
        self,
        features: int = 2,
        width: int = 128,
        blocks: int = 3,
        num_classes: int | None = None,
        class_dropout: float = 0.1,
    ):
        super().__init__()
        self.features = features
        self.embedding = SinusoidalEmbedding(width)
        self.time = Sequential(Linear(width, width), SiLU())
        self.classes = None
        if num_classes is not None:
            self.classes = ClassEmbedding(num_classes, width, class_dropout)
        self.first, self.last = Linear(features, width), Linear(width, features)
        self.blocks = ModuleList([MLPBlock(width) for _ in range(blocks)])
        zeros_(self.last.weight)
        zeros_(self.last.bias)

    def null_condition(self, condition: Tensor) -> Tensor:
        """The condition that is none, of the shape of one."""
        return check_conditional(self, self.classes).null(condition)

    def forward(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        if x.ndim != 2 or x.shape[1] != self.features:
            raise ValueError(f"MLPDenoiser takes x [B, {self.features}]; got {list(x.shape)}")
        B = x.shape[0]
        time = self.time(self.embedding(t))  # [B, width]
        if self.classes is not None:
            time = time + self.classes(condition, B)
        elif condition is not None:
            check_conditional(self, None)
        h = self.first(x)  # [B, width]
        for block in self.blocks:
            h = block(h, time)
        return self.last(F.silu(h))  # [B, features]


class MLPBlock(Module):
    def __init__(self, width: int):
        super().__init__()
        self.norm = LayerNorm(width)
        self.time = Linear(width, width)
        self.into, self.out = Linear(width, width), Linear(width, width)

    def forward(self, h: Tensor, time: Tensor) -> Tensor:
        return h + self.out(F.silu(self.into(self.norm(h)) + self.time(time)))


def check_conditional(network: Module, classes: ClassEmbedding | None) -> ClassEmbedding:
    if classes is None:
        raise ValueError(
            f"this {type(network).__name__} knows no classes: make it with num_classes=…, and "
            "train it with a condition"
        )
    return classes
