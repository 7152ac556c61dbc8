"""TextEncoder: captions as vectors, for a network that looks at them through cross-attention."""

from __future__ import annotations

import numpy as np

from ..autograd.creation import full_like
from ..autograd.grad_mode import is_grad_enabled
from ..autograd.ops.choose import where
from ..autograd.random import rand
from ..autograd.tensor import Tensor
from . import functional as F
from .containers import ModuleList
from .denoisers import SinusoidalEmbedding
from .layers import Embedding
from .module import Module
from .normalization import LayerNorm
from .transformer import TransformerEncoderLayer

__all__ = ["TextEncoder"]


class TextEncoder(Module):
    """Captions of tokens [B, T] (or None: all are empty) as vectors [B, T, width], and which of
    them are padding [B, T].

    tokens -> embedding + position -> layers of self-attention -> norm

    vocab_size: tokens are 0 to vocab_size - 1; vocab_size itself is padding, at the end of captions
        that are shorter than T. A caption of padding only is empty.
    dropout: the probability with which training empties a caption, so that the network learns what
        it would predict without one: classifier-free guidance needs both (Ho & Salimans 2022).

    It keeps in mind which tokens it was trained with. Raises ValueError for others. Positions are
    sines and cosines (Vaswani et al. 2017, section 3.5), so captions may have any length.
    """

    seen: Tensor

    def __init__(
        self, vocab_size: int, width: int = 64, layers: int = 1, heads: int = 4,
        dropout: float = 0.1,
    ):  # fmt: skip
        super().__init__()
        self.padding, self.width, self.dropout = vocab_size, width, dropout
        self.embedding = Embedding(vocab_size + 1, width)
        self.places = SinusoidalEmbedding(width, 1e-4)
        self.layers = ModuleList(
            TransformerEncoderLayer(
                width, heads, 4 * width, 0.0, F.gelu, batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.norm = LayerNorm(width)
        self.register_buffer("seen", Tensor(np.zeros(vocab_size + 1, np.bool_)))

    def null(self, tokens: Tensor) -> Tensor:
        """As many empty captions."""
        return full_like(tokens, self.padding)

    def forward(self, tokens: Tensor | None, B: int) -> tuple[Tensor, Tensor]:
        if tokens is None:
            tokens = Tensor(np.full((B, 1), self.padding))
        self.check(tokens, B)
        if self.training and is_grad_enabled():  # samples are drawn of what was asked for
            drop = rand(B, 1) < self.dropout
            tokens = where(drop, self.null(tokens), tokens)
            self.seen.array[self.said(tokens)] = True
        else:
            self.check_seen(self.said(tokens))
        padding = tokens.eq(self.padding)  # [B, T]
        places = self.places(Tensor(np.arange(tokens.shape[1], dtype=self.norm.weight.dtype)))
        h = self.embedding(tokens) + places  # [B, T, width]
        for layer in self.layers:
            h = layer(h, src_key_padding_mask=padding)
        return self.norm(h), padding

    def said(self, tokens: Tensor) -> np.ndarray:
        """All tokens [n] that are not padding; padding, too, if some caption is empty."""
        padding = tokens.array == self.padding
        return tokens.array[padding.all(1, keepdims=True) | ~padding]

    def check(self, tokens: Tensor, B: int) -> None:
        asked = tokens.array
        if asked.ndim != 2 or len(asked) != B or asked.dtype.kind not in "iu" or not asked.size:
            raise ValueError(
                f"TextEncoder: the condition is a caption of whole numbers a sample, [{B}, T], "
                f"shorter ones with {self.padding} at the end; got {list(asked.shape)} of "
                f"{asked.dtype}"
            )
        wrong = (asked < 0) | (asked > self.padding)
        if wrong.any():
            raise ValueError(
                f"TextEncoder: there is no token {asked[wrong][0]}; there are 0 to "
                f"{self.padding - 1}, and {self.padding} for padding"
            )

    def check_seen(self, asked: np.ndarray) -> None:
        strange = asked[~self.seen.array[asked]]
        if (strange == self.padding).any():
            raise ValueError(
                "TextEncoder: the network was never trained without a text, so it cannot go "
                "without one, nor be guided away from that; train it with dropout above 0"
            )
        if len(strange):
            raise ValueError(
                f"TextEncoder: token {strange[0]} was in no caption of the training, so it means "
                f"nothing yet; {int(self.seen.array[:-1].sum())} of {self.padding} tokens were"
            )
