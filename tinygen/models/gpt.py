"""GPT: a transformer that predicts the next token (Radford et al. 2019, "Language models are
unsupervised multitask learners"; the layers are those of Vaswani et al. 2017, with the layer norm
moved in front, as in GPT-2).

    tokens [B, T] -> embeddings [B, T, C] -> n_layer × Block -> layer norm -> logits [B, T, vocab]

Shapes: B sequences of T tokens; C = n_embd channels; H = n_head heads of D = C / H channels.
Parameters have the names of Hugging Face's GPT-2: "transformer.h.0.attn.c_attn.weight".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .. import nn
from ..autograd.creation import arange, full
from ..autograd.grad_mode import no_grad
from ..autograd.ops.join import cat
from ..autograd.random import Generator
from ..autograd.tensor import Tensor
from ..nn import functional as F
from ..nn.fusion import activated
from ..text.sampling import next_token


@dataclass
class GPTConfig:
    """The size of a GPT; the defaults are GPT-2's smallest (124 million parameters)."""

    vocab_size: int = 50257
    block_size: int = 1024  # the most tokens that the model can look at
    n_layer: int = 12
    n_head: int = 12
    n_embd: int = 768
    dropout: float = 0.0
    bias: bool = True  # in Linear and LayerNorm

    def __post_init__(self):
        for name in ("vocab_size", "block_size", "n_layer", "n_head", "n_embd"):
            if getattr(self, name) < 1:
                raise ValueError(f"GPTConfig: {name} must be at least 1, not {getattr(self, name)}")
        if self.n_embd % self.n_head:
            raise ValueError(
                f"GPTConfig: n_embd ({self.n_embd}) must be a multiple of n_head ({self.n_head}), "
                "so that all heads are of one size"
            )


class KVCache:
    """The keys and values of the tokens that one attention layer has seen: [B, H, length, D] each.

    Old tokens never look at new ones, so their keys and values stay as they are: to generate the
    next token only that token has to pass through the model.
    """

    def __init__(self):
        self.keys: Tensor | None = None
        self.values: Tensor | None = None

    @property
    def length(self) -> int:
        return 0 if self.keys is None else self.keys.shape[2]

    def extended(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Append keys and values of new tokens [B, H, T, D]; return all there are."""
        if self.keys is not None:
            k, v = cat([self.keys, k], 2), cat([self.values, v], 2)
        self.keys, self.values = k, v
        return k, v


class CausalSelfAttention(nn.Module):
    """Every token gathers from itself and those before it (Vaswani et al. 2017, section 3.2)."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.n_head, self.dropout = config.n_head, config.dropout
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd, bias=config.bias)  # q, k and v
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
        self.resid_dropout = nn.Dropout(config.dropout)

    def heads(self, x: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values of x [B, T, C], each [B, H, T, D]."""
        B, T, C = x.shape
        qkv = self.c_attn(x).view(B, T, 3, self.n_head, C // self.n_head)
        return qkv.permute(2, 0, 3, 1, 4).unbind(0)

    def forward(self, x: Tensor, cache: KVCache | None = None) -> Tensor:
        """x [B, T, C] -> [B, T, C]. With a cache, x follows the tokens that are in it."""
        p = self.dropout if self.training else 0.0
        if cache is None:
            y = F.packed_scaled_dot_product_attention(
                self.c_attn(x), self.n_head, dropout_p=p, is_causal=True
            )
        else:
            y = self.continued(x, cache, p)
        return self.resid_dropout(self.c_proj(y))

    def continued(self, x: Tensor, cache: KVCache, p: float) -> Tensor:
        """Attention of x [B, T, C] to what is in the cache and to itself."""
        T, past = x.shape[1], cache.length
        q, k, v = self.heads(x)
        k, v = cache.extended(k, v)
        mask = None
        if past and T > 1:  # token i of the new ones sees all old ones and the new ones up to i
            mask = Tensor(np.tri(T, past + T, past, dtype=bool))
        causal = mask is None and T > 1
        y = F.scaled_dot_product_attention(q, k, v, mask, p, causal)  # [B, H, T, D]
        return y.transpose(1, 2).reshape(x.shape)

    def weights(self, x: Tensor) -> Tensor:
        """Who looks at whom, for x [B, T, C]: [B, H, T, T], rows adding up to 1. To look at."""
        q, k, _ = self.heads(x)
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        future = Tensor(np.triu(np.ones(scores.shape[-2:], bool), 1))
        return scores.masked_fill(future, -math.inf).softmax(-1)


class MLP(nn.Module):
    """Two layers on each token by itself, four times as wide in between."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.c_fc = nn.Linear(config.n_embd, 4 * config.n_embd, bias=config.bias)
        self.gelu = nn.GELU()
        self.c_proj = nn.Linear(4 * config.n_embd, config.n_embd, bias=config.bias)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.c_proj(activated(self.c_fc, self.gelu, x)))


class Block(nn.Module):
    """Tokens exchange information, then think about it; each step adds to what is there."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd, bias=config.bias)
        self.attn = CausalSelfAttention(config)
        self.ln_2 = nn.LayerNorm(config.n_embd, bias=config.bias)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, cache: KVCache | None = None) -> Tensor:
        x = x + self.attn(self.ln_1(x), cache)
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    """The whole model. Input and output embeddings share their weight (Press & Wolf 2017)."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.config = config
        self.transformer = nn.ModuleDict({
            "wte": nn.Embedding(config.vocab_size, config.n_embd),
            "wpe": nn.Embedding(config.block_size, config.n_embd),
            "drop": nn.Dropout(config.dropout),
            "h": nn.ModuleList([Block(config) for _ in range(config.n_layer)]),
            "ln_f": nn.LayerNorm(config.n_embd, bias=config.bias),
        })  # fmt: skip
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.lm_head.weight = self.transformer.wte.weight
        self.apply(self.init_weights)
        for name, p in self.named_parameters():
            # Each of the 2 n_layer residual additions adds variance: shrink them to add up to one.
            if name.endswith("c_proj.weight"):
                nn.init.normal_(p, 0.0, 0.02 / math.sqrt(2 * config.n_layer))

    def init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, 0.0, 0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)

    def forward(
        self, idx: Tensor, targets: Tensor | None = None, caches: list[KVCache] | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Tokens idx [B, T] -> (logits [B, T, vocab], loss).

        logits[:, t] are for the token after idx[:, t]. The loss is the mean cross-entropy in nats
        of targets [B, T] (which may hold -100 for "doesn't count"), or None without targets.
        caches, one for each layer, hold the tokens before idx (see `generate`).
        """
        if idx.ndim != 2:
            raise ValueError(f"GPT takes token ids [batch, length], not {idx.shape}: try idx[None]")
        T, past = idx.shape[1], caches[0].length if caches else 0
        if past + T > self.config.block_size:
            raise ValueError(
                f"GPT: a sequence of {past + T} tokens is longer than block_size, which is "
                f"{self.config.block_size}; pass its last {self.config.block_size} tokens"
            )
        positions = arange(past, past + T)  # [T]
        x = self.transformer.wte(idx) + self.transformer.wpe(positions)  # [B, T, C]
        x = self.transformer.drop(x)
        for i, block in enumerate(self.transformer.h):
            x = block(x, caches[i] if caches else None)
        logits = self.lm_head(self.transformer.ln_f(x))  # [B, T, vocab]
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))

    @no_grad()
    def attention_maps(self, idx: Tensor) -> list[np.ndarray]:
        """Who looks at whom in the first sequence of idx [B, T]: for each layer, [H, T, T]."""
        maps: list[np.ndarray] = []
        hooks = [
            block.attn.register_forward_pre_hook(
                lambda attn, inputs: maps.append(attn.weights(inputs[0]).array[0])
            )
            for block in self.transformer.h
        ]
        was_training = self.training
        self.eval()
        try:
            self(idx)
        finally:
            self.train(was_training)
            for hook in hooks:
                hook.remove()
        return maps

    def parameter_groups(self, weight_decay: float) -> list[dict]:
        """For the optimizer: decay matrices and embeddings, but no biases and norms."""
        parameters = list(self.parameters())
        return [
            {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ]

    @no_grad()
    def generate(
        self,
        input_ids: Tensor,
        max_new_tokens: int = 20,
        *,
        do_sample: bool = False,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        eos_token_id: int | None = None,
        pad_token_id: int | None = None,
        use_cache: bool = True,
        generator: Generator | None = None,
    ) -> Tensor:
        """Continue input_ids [B, T]: [B, T + new]. Keywords as in Hugging Face's generate.

        do_sample: False takes the likeliest token each time; True draws it, see `next_token` for
            temperature, top_k and top_p.
        eos_token_id: a row ends with this token, and is filled up with pad_token_id (by default the
            same token); generation ends when all rows have ended.
        use_cache: keep keys and values (see KVCache): the same tokens, sooner.

        When the text outgrows block_size, the model goes on with the last half of its window (the
        positions of all tokens change then, so nothing in the caches is of use any longer).
        """
        if input_ids.ndim != 2 or not input_ids.shape[1]:
            raise ValueError(
                f"generate takes token ids [batch, length] with length at least 1, not "
                f"{input_ids.shape}: for a single prompt write input_ids[None]"
            )
        was_training = self.training
        self.eval()
        try:
            return self._generate(
                input_ids, max_new_tokens, eos_token_id, pad_token_id, use_cache,
                {"do_sample": do_sample, "temperature": temperature, "top_k": top_k, "top_p": top_p,
                 "generator": generator},
            )  # fmt: skip
        finally:
            self.train(was_training)

    def _generate(self, ids, max_new_tokens, eos_token_id, pad_token_id, use_cache, choice):
        block_size = self.config.block_size
        pad = eos_token_id if pad_token_id is None else pad_token_id
        ended = full((ids.shape[0],), False)
        window, caches = ids[:, -block_size:], None  # what the model looks at, and what it has seen
        for _ in range(max_new_tokens):
            if window.shape[1] > block_size:
                window, caches = window[:, -max(1, block_size // 2) :], None
            if not use_cache:
                logits, _ = self(window)
            elif caches is None:
                caches = [KVCache() for _ in self.transformer.h]
                logits, _ = self(window, caches=caches)
            else:
                logits, _ = self(window[:, -1:], caches=caches)
            token = next_token(logits[:, -1], **choice)  # [B]
            if eos_token_id is not None:
                token = ended.logical_not() * token + ended * pad
                ended = ended | (token == eos_token_id)
            ids, window = (cat([seq, token[:, None]], 1) for seq in (ids, window))
            if ended.all():
                break
        return ids
