"""tinygen's GPT in PyTorch, with the initial weights of GPT-2; see tinygen/models/gpt.py."""

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, n_embd: int, n_head: int, dropout: float):
        super().__init__()
        self.n_head, self.dropout = n_head, nn.Dropout(dropout)
        self.ln_1, self.c_attn = nn.LayerNorm(n_embd), nn.Linear(n_embd, 3 * n_embd)
        self.c_proj = nn.Linear(n_embd, n_embd)
        self.ln_2, self.c_fc = nn.LayerNorm(n_embd), nn.Linear(n_embd, 4 * n_embd)
        self.c_out = nn.Linear(4 * n_embd, n_embd)

    def forward(self, x):
        B, T, C = x.shape
        heads = self.c_attn(self.ln_1(x)).view(B, T, 3, self.n_head, -1).permute(2, 0, 3, 1, 4)
        p = self.dropout.p if self.training else 0.0
        y = F.scaled_dot_product_attention(*heads, dropout_p=p, is_causal=True)
        x = x + self.dropout(self.c_proj(y.transpose(1, 2).reshape(B, T, C)))
        return x + self.dropout(self.c_out(F.gelu(self.c_fc(self.ln_2(x)))))


class GPT(nn.Module):
    """Its parameters come in the order of tinygen's."""

    def __init__(
        self, vocab_size: int, block_size: int, n_layer: int, n_head: int, n_embd: int,
        dropout: float = 0.0,
    ):  # fmt: skip
        super().__init__()
        self.wte = nn.Embedding(vocab_size, n_embd)
        self.wpe = nn.Embedding(block_size, n_embd)
        self.dropout = nn.Dropout(dropout)
        self.h = nn.ModuleList([Block(n_embd, n_head, dropout) for _ in range(n_layer)])
        self.ln_f = nn.LayerNorm(n_embd)
        for name, p in self.named_parameters():
            if p.ndim == 2:
                last = name.endswith(("c_proj.weight", "c_out.weight"))
                nn.init.normal_(p, 0.0, 0.02 / (2 * n_layer) ** 0.5 if last else 0.02)
            elif "ln" not in name:
                nn.init.zeros_(p)

    def forward(self, ids):
        x = self.dropout(self.wte(ids) + self.wpe(torch.arange(ids.shape[1])))
        for block in self.h:
            x = block(x)
        return self.ln_f(x) @ self.wte.weight.T
