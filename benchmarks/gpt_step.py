"""One training step of a GPT: forward, backward, gradient clipping, AdamW; the same in each engine.

python benchmarks/side_by_side.py benchmarks/gpt_step.py tinygen,torch
"""

import math

import numpy as np

THREADS = 2
VOCAB = 65
SIZES = {  # n_layer, n_head, n_embd, block_size, batch_size
    "width 64": (4, 4, 64, 64, 12),
    "width 128 (nanoGPT's CPU setting)": (4, 4, 128, 64, 12),
    "width 128, 128 characters": (4, 4, 128, 128, 8),
    "width 384": (6, 6, 384, 128, 8),
}


def make(engine):
    return {name: {"tinygen": tinygen_step, "torch": torch_step}[engine](*size)
            for name, size in SIZES.items()}  # fmt: skip


def batch(block_size, batch_size):
    random = np.random.default_rng(0)
    return random.integers(0, VOCAB, (2, batch_size, block_size))


def tinygen_step(n_layer, n_head, n_embd, block_size, batch_size):
    import tinygen as tg
    from tinygen.models.gpt import GPT, GPTConfig

    tg.set_num_threads(THREADS)
    model = GPT(GPTConfig(VOCAB, block_size, n_layer, n_head, n_embd, bias=False))
    optimizer = tg.optim.AdamW(model.parameter_groups(0.1), lr=1e-3)
    x, y = (tg.from_numpy(a) for a in batch(block_size, batch_size))

    def step():
        _, loss = model(x, y)
        loss.backward()
        tg.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def torch_step(n_layer, n_head, n_embd, block_size, batch_size):
    import torch
    from torch import nn
    from torch.nn import functional as F

    torch.set_num_threads(THREADS)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.ln_1, self.ln_2 = (nn.LayerNorm(n_embd, bias=False) for _ in range(2))
            self.c_attn = nn.Linear(n_embd, 3 * n_embd, bias=False)
            self.c_proj = nn.Linear(n_embd, n_embd, bias=False)
            self.c_fc = nn.Linear(n_embd, 4 * n_embd, bias=False)
            self.mlp_proj = nn.Linear(4 * n_embd, n_embd, bias=False)

        def forward(self, x):
            B, T, C = x.shape
            qkv = self.c_attn(self.ln_1(x)).view(B, T, 3, n_head, C // n_head)
            q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.c_proj(y.transpose(1, 2).reshape(B, T, C))
            return x + self.mlp_proj(F.gelu(self.c_fc(self.ln_2(x))))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.wte, self.wpe = nn.Embedding(VOCAB, n_embd), nn.Embedding(block_size, n_embd)
            self.blocks = nn.Sequential(*[Block() for _ in range(n_layer)])
            self.ln_f = nn.LayerNorm(n_embd, bias=False)
            for p in self.parameters():
                if p.dim() == 2:
                    nn.init.normal_(p, 0.0, 0.02 / math.sqrt(2 * n_layer))

        def forward(self, idx):
            x = self.wte(idx) + self.wpe(torch.arange(idx.shape[1]))
            return self.ln_f(self.blocks(x)) @ self.wte.weight.T

    model = Model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    x, y = (torch.from_numpy(a) for a in batch(block_size, batch_size))

    def step():
        loss = F.cross_entropy(model(x).view(-1, VOCAB), y.view(-1))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step
