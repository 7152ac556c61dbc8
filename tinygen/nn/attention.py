"""Multi-head attention (Vaswani et al. 2017, section 3.2.2)."""

from __future__ import annotations

import math

from tinygen.autograd import Tensor
from tinygen.autograd.creation import empty, full, zeros
from tinygen.autograd.ops.attention import attention_weights
from tinygen.autograd.ops.choose import where
from tinygen.autograd.ops.join import cat

from . import functional as F
from . import init
from .layers import Linear
from .module import Module
from .parameter import Parameter

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """Attention in several subspaces at once: `num_heads` heads, each of embed_dim/num_heads.

    Queries [L, N, embed_dim], keys [S, N, kdim] and values [S, N, vdim] give [L, N, embed_dim];
    with `batch_first` N comes first, and without a batch there is no N.

    `in_proj_weight` [3 embed_dim, embed_dim] holds the projections of queries, keys and values,
    one below the other; they are three weights where kdim or vdim is not embed_dim. `add_bias_kv`
    appends a key and a value that are learnt, `add_zero_attn` a key and a value of zeros.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device=None,
        dtype=None,
    ):
        if embed_dim <= 0 or num_heads <= 0 or embed_dim % num_heads:
            raise ValueError(
                f"embed_dim must be divisible by num_heads, got {embed_dim} and {num_heads}"
            )
        super().__init__()
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim, self.vdim = kdim or embed_dim, vdim or embed_dim
        self.dropout, self.batch_first, self.add_zero_attn = dropout, batch_first, add_zero_attn

        def parameter(name: str, *shape: int, present: bool = True) -> None:
            values = empty(*shape, device=device, dtype=dtype) if present else None
            self.register_parameter(name, None if values is None else Parameter(values))

        packed = self.kdim == self.vdim == embed_dim
        parameter("q_proj_weight", embed_dim, embed_dim, present=not packed)
        parameter("k_proj_weight", embed_dim, self.kdim, present=not packed)
        parameter("v_proj_weight", embed_dim, self.vdim, present=not packed)
        parameter("in_proj_weight", 3 * embed_dim, embed_dim, present=packed)
        parameter("in_proj_bias", 3 * embed_dim, present=bias)
        self.out_proj = Linear(embed_dim, embed_dim, bias, device=device, dtype=dtype)
        parameter("bias_k", 1, 1, embed_dim, present=add_bias_kv)
        parameter("bias_v", 1, 1, embed_dim, present=add_bias_kv)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights, as PyTorch does."""
        for weight in (*self._projections(), self.in_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                init.xavier_normal_(bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The output, and with `need_weights` who looked at whom: [N, L, S], averaged over heads
        or else [N, num_heads, L, S].

        key_padding_mask: [N, S], True for keys that nobody may look at.
        attn_mask: [L, S] or [N · num_heads, L, S], True where a query may *not* look at a key (the
            opposite of `scaled_dot_product_attention`). Both masks may be numbers that are added.
        is_causal: a hint that `attn_mask` is the causal mask, so that it need not be read.

        A query that may look at nothing gets zeros (PyTorch gives NaN if weights are needed).
        Without weights the fused kernel does the work (see `scaled_dot_product_attention`), of
        self-attention without copying queries, keys and values out of their common projection.
        """
        batched = query.ndim == 3
        self._check(query, key, value)
        if is_causal and attn_mask is None:
            raise RuntimeError(
                "is_causal is a hint of what attn_mask holds, so give attn_mask as well: "
                "nn.Transformer.generate_square_subsequent_mask(L)"
            )
        if not batched and key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
        to_itself = query is key is value
        query, key, value = (self._batch_first(x) for x in (query, key, value))
        causal = is_causal and key_padding_mask is None and not need_weights
        mask = None if causal else self._mask(attn_mask, key_padding_mask, query, key)
        p = self.dropout if self.training else 0.0
        weights = None
        if to_itself and self._in_one_piece() and not need_weights:
            qkv = F.linear(query, self.in_proj_weight, self.in_proj_bias)
            heads = F.packed_scaled_dot_product_attention(qkv, self.num_heads, mask, p, causal)
        else:
            q, k, v = self._projected(query, key, value, to_itself)
            if need_weights:
                weights = F.dropout(attention_weights(q, k, mask), p)
                heads = weights @ v
            else:
                heads = F.scaled_dot_product_attention(q, k, v, mask, p, causal)
            heads = heads.transpose(1, 2).flatten(2)
        out = self.out_proj(heads)  # [N, L, embed_dim]
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if not batched:
            return out.squeeze(0), None if weights is None else weights.squeeze(0)
        return out if self.batch_first else out.transpose(0, 1), weights

    def _check(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        shapes = f"got query {query.shape}, key {key.shape} and value {value.shape}"
        if query.ndim not in (2, 3) or not query.ndim == key.ndim == value.ndim:
            raise RuntimeError(
                f"MultiheadAttention takes three tensors of 3 axes, or of 2 (no batch), {shapes}"
            )
        sizes = (self.embed_dim, self.kdim, self.vdim)
        if (query.shape[-1], key.shape[-1], value.shape[-1]) != sizes:
            raise RuntimeError(f"MultiheadAttention: the last axes must be {sizes}, {shapes}")
        if key.shape[:-1] != value.shape[:-1]:
            raise RuntimeError(f"MultiheadAttention: there must be a value for each key, {shapes}")

    def _batch_first(self, x: Tensor) -> Tensor:
        """[N, L, E] of whatever came in."""
        if x.ndim == 2:
            return x.unsqueeze(0)
        return x if self.batch_first else x.transpose(0, 1)

    def _projections(self) -> tuple[Parameter | None, ...]:
        return self.q_proj_weight, self.k_proj_weight, self.v_proj_weight

    def _in_one_piece(self) -> bool:
        """Whether one product makes all queries, keys and values of self-attention."""
        return not (self.in_proj_weight is None or self.bias_k is not None or self.add_zero_attn)

    def _projected(
        self, query: Tensor, key: Tensor, value: Tensor, to_itself: bool
    ) -> list[Tensor]:
        """Queries, keys and values of all heads: [N, num_heads, L or S, head_dim]."""
        if to_itself and self.in_proj_weight is not None:  # one product for all three
            found = F.linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
        else:
            weights, biases = self._projections(), (None, None, None)
            if self.in_proj_weight is not None:
                weights = self.in_proj_weight.chunk(3)
            if self.in_proj_bias is not None:
                biases = self.in_proj_bias.chunk(3)
            found = [F.linear(*each) for each in zip((query, key, value), weights, biases)]
        q, k, v = found
        if self.bias_k is not None:
            N = len(k)
            k = cat([k, self.bias_k.expand(N, 1, self.embed_dim)], 1)
            v = cat([v, self.bias_v.expand(N, 1, self.embed_dim)], 1)
        if self.add_zero_attn:
            k, v = (cat([x, zeros(len(x), 1, self.embed_dim, dtype=x.dtype)], 1) for x in (k, v))
        return [x.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2) for x in (q, k, v)]

    def _mask(
        self, attn_mask: Tensor | None, key_padding_mask: Tensor | None, query: Tensor, key: Tensor
    ) -> Tensor | None:
        """One mask [N or 1, heads or 1, L, S] for `scaled_dot_product_attention`, of the two."""
        (N, L, _), S, H = query.shape, key.shape[1], self.num_heads
        appended = (self.bias_k is not None) + self.add_zero_attn
        masks = []
        if attn_mask is not None:
            if attn_mask.shape not in ((L, S), (N * H, L, S)):
                raise RuntimeError(
                    f"The shape of attn_mask is {attn_mask.shape}, but should be {(L, S)} or "
                    f"{(N * H, L, S)}"
                )
            masks.append(attn_mask.reshape(*((1, 1) if attn_mask.ndim == 2 else (N, H)), L, S))
        if key_padding_mask is not None:
            if key_padding_mask.shape != (N, S):
                raise RuntimeError(
                    f"The shape of key_padding_mask is {key_padding_mask.shape}, but should be "
                    f"{(N, S)}"
                )
            masks.append(key_padding_mask.reshape(N, 1, 1, S))
        if not masks:
            return None
        if all(m.dtype == bool for m in masks):
            mask = ~masks[0] if len(masks) == 1 else ~(masks[0] | masks[1])
        else:
            minus_infinity = full((), -math.inf, dtype=query.dtype)
            added = [where(m, minus_infinity, 0.0) if m.dtype == bool else m for m in masks]
            mask = added[0] if len(added) == 1 else added[0] + added[1]
        if not appended:
            return mask
        open_to_all = zeros(*mask.shape[:-1], appended, dtype=mask.dtype)
        return cat([mask, open_to_all == 0 if mask.dtype == bool else open_to_all], -1)
