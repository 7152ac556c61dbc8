"""DiT: a transformer that removes noise from images, and is told the time, and a class or a text.

    x [B, C, H, W] -> N patches [B, N, width], their places added -> blocks -> norm -> [B, C, H, W]

Peebles & Xie 2023, "Scalable diffusion models with transformers", of which all sections are, unless
said otherwise. The time and the class shift, scale and gate what each block does (adaLN-Zero); a
text, of which each patch may need another word, is looked at through cross-attention (Rombach et
al. 2022, "High-resolution image synthesis with latent diffusion models", section 3.3).
"""

from __future__ import annotations

import numpy as np

from ..autograd.ops.join import cat
from ..autograd.tensor import Tensor
from . import functional as F
from .activations import GELU, SiLU
from .attention import MultiheadAttention
from .containers import ModuleList, Sequential
from .denoisers import ClassEmbedding, SinusoidalEmbedding, check_conditional
from .init import zeros_
from .layers import Linear
from .module import Module
from .text_encoder import TextEncoder

__all__ = ["DiT"]


class DiT(Module):
    """A denoising network of images [B, channels, H, W], H and W multiples of `patch`.

    patch: the side of a square of pixels that becomes one vector. Each block costs N² for N
        patches, so the smaller they are the better and the slower (section 3.2).
    num_classes: of a condition [B], whose embedding is added to that of the time; class_dropout:
        see ClassEmbedding.
    text: what encodes a condition of tokens [B, T]. There is one kind of condition, or none.

    Raises ValueError for sides that cannot be cut into patches.
    """

    def __init__(
        self,
        channels: int = 1,
        patch: int = 2,
        width: int = 64,
        blocks: int = 4,
        heads: int = 4,
        num_classes: int | None = None,
        class_dropout: float = 0.1,
        text: TextEncoder | None = None,
    ):
        super().__init__()
        if width % 4 or width % heads:
            raise ValueError(
                f"DiT: width must be a multiple of 4, for sines and cosines of rows and of "
                f"columns, and of the {heads} heads; got {width}"
            )
        if num_classes is not None and text is not None:
            raise ValueError("DiT: the condition is a class or a text; give num_classes or text")
        self.channels, self.patch = channels, patch
        self.embedding = SinusoidalEmbedding(width)
        self.time = Sequential(Linear(width, width), SiLU(), Linear(width, width))
        self.classes = None
        if num_classes is not None:
            self.classes = ClassEmbedding(num_classes, width, class_dropout)
        self.text = text
        self.places = SinusoidalEmbedding(width // 2, 1e-4)
        self.first = Linear(channels * patch**2, width)
        text_width = None if text is None else text.width
        self.blocks = ModuleList(DiTBlock(width, heads, text_width) for _ in range(blocks))
        self.modulation = zero(Linear(width, 2 * width))
        self.last = zero(Linear(width, channels * patch**2))

    def null_condition(self, condition: Tensor) -> Tensor:
        """The condition that is none, of the shape of one."""
        known = self.text or check_conditional(self, self.classes)
        return known.null(condition)

    def forward(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        self.check(x)
        told, text, padding = self.told(t, condition, len(x))
        h = F.pixel_unshuffle(x, self.patch)  # [B, C patch², H / patch, W / patch]
        B, _, rows, columns = h.shape
        h = self.first(h.flatten(2).transpose(1, 2)) + self.positions(rows, columns, x.dtype)
        for block in self.blocks:
            h = block(h, told, text, padding)  # [B, N, width]
        shift, scale = self.modulation(told).unsqueeze(1).chunk(2, -1)
        y = self.last(modulated(h, shift, scale))  # [B, N, C patch²]
        return F.pixel_shuffle(y.transpose(1, 2).reshape(B, -1, rows, columns), self.patch)

    def check(self, x: Tensor) -> None:
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise ValueError(f"DiT takes x [B, {self.channels}, H, W]; got {list(x.shape)}")
        _, _, H, W = x.shape
        if H % self.patch or W % self.patch:
            raise ValueError(
                f"DiT: images of {H} × {W} cannot be cut into patches of {self.patch} × "
                f"{self.patch}; pad them, or take a patch that divides both sides"
            )

    def told(self, t: Tensor, condition: Tensor | None, B: int):
        """What is known beside the image: a vector [B, width] of time and class, the vectors of the
        text [B, T, width], and which of these are padding [B, T]."""
        told, text, padding = self.time(self.embedding(t)), None, None
        if self.text is not None:
            text, padding = self.text(condition, B)
        elif self.classes is not None:
            told = told + self.classes(condition, B)
        elif condition is not None:
            check_conditional(self, None)
        return F.silu(told), text, padding

    def positions(self, rows: int, columns: int, dtype) -> Tensor:
        """Sines and cosines [rows · columns, width] of the row, and then of the column."""
        row, column = np.indices((rows, columns)).reshape(2, -1).astype(dtype)
        return cat([self.places(Tensor(row)), self.places(Tensor(column))], -1)


class DiTBlock(Module):
    """Self-attention, a look at the text if there is one, and a network of two layers, each added
    to what came in. It starts as the identity: gates are 0, and what is read of the text is not
    used yet (as in Chen et al. 2024, "PixArt-α", section 2.3)."""

    def __init__(self, width: int, heads: int, text_width: int | None = None):
        super().__init__()
        self.modulation = zero(Linear(width, 6 * width))
        self.attention = MultiheadAttention(width, heads, batch_first=True)
        self.look_up = None
        if text_width is not None:
            self.look_up = MultiheadAttention(
                width, heads, kdim=text_width, vdim=text_width, batch_first=True
            )
            zero(self.look_up.out_proj)
        self.mlp = Sequential(
            Linear(width, 4 * width), GELU(approximate="tanh"), Linear(4 * width, width)
        )

    def forward(
        self, h: Tensor, told: Tensor, text: Tensor | None, padding: Tensor | None
    ) -> Tensor:
        """h [B, N, width], told [B, width], text [B, T, text_width], padding [B, T]"""
        told = self.modulation(told).unsqueeze(1)  # [B, 1, 6 width]
        shift, scale, gate, shift_mlp, scale_mlp, gate_mlp = told.chunk(6, -1)
        y = modulated(h, shift, scale)
        h = h + gate * self.attention(y, y, y, need_weights=False)[0]
        if self.look_up is not None:
            assert text is not None
            h = h + self.look_up(normalised(h), text, text, padding, need_weights=False)[0]
        return h + gate_mlp * self.mlp(modulated(h, shift_mlp, scale_mlp))


def normalised(h: Tensor) -> Tensor:
    return F.layer_norm(h, h.shape[-1:], eps=1e-6)


def modulated(h: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return normalised(h) * (1 + scale) + shift


def zero(layer: Linear) -> Linear:
    """The same layer, with zeros for its weights."""
    zeros_(layer.weight)
    zeros_(layer.bias)
    return layer
