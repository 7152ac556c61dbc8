"""The band of examples/text_to_digit.py: the same network, with the same budget, in PyTorch.

python benchmarks/bands/text_to_digit.py 0 1
"""

import copy
import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import text_to_digit as example

import tinygen as tg
from tinygen.data import digits
from tinygen.models.diffusion import DDPM

WIDTH, HEADS, PATCH = example.WIDTH, example.HEADS, example.PATCH
PADDING = example.TOKENIZER.vocab_size
torch.backends.mha.set_fastpath_enabled(False)  # gives NaN for empty captions


def waves(x, dim: int, highest: float):
    angles = x[:, None] * torch.logspace(0, torch.log10(torch.tensor(highest)).item(), dim // 2)
    return torch.cat([angles.sin(), angles.cos()], -1)


class Text(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(PADDING + 1, WIDTH)
        layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, 4 * WIDTH, 0.0, F.gelu, batch_first=True, norm_first=True
        )
        self.layers, self.norm = nn.ModuleList([layer]), nn.LayerNorm(WIDTH)

    def forward(self, tokens):
        padding = tokens == PADDING
        h = self.embedding(tokens) + waves(torch.arange(tokens.shape[1]), WIDTH, 1e-4)
        return self.norm(self.layers[0](h, src_key_padding_mask=padding)), padding


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.modulation = zero(nn.Linear(WIDTH, 6 * WIDTH))
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.look_up = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        zero(self.look_up.out_proj)
        self.mlp = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH), nn.GELU("tanh"), nn.Linear(4 * WIDTH, WIDTH)
        )

    def forward(self, h, told, text, padding):
        b1, g1, a1, b2, g2, a2 = self.modulation(told)[:, None].chunk(6, -1)
        y = normalised(h) * (1 + g1) + b1
        h = h + a1 * self.attention(y, y, y, need_weights=False)[0]
        h = h + self.look_up(normalised(h), text, text, padding, need_weights=False)[0]
        return h + a2 * self.mlp(normalised(h) * (1 + g2) + b2)


class DiT(nn.Module):
    def __init__(self):
        super().__init__()
        self.time = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH))
        self.text, self.first = Text(), nn.Linear(PATCH**2, WIDTH)
        self.blocks = nn.ModuleList([Block() for _ in range(example.BLOCKS)])
        self.modulation = zero(nn.Linear(WIDTH, 2 * WIDTH))
        self.last = zero(nn.Linear(WIDTH, PATCH**2))

    def forward(self, x, t, tokens):
        told, (text, padding) = F.silu(self.time(waves(t, WIDTH, 1000.0))), self.text(tokens)
        h, side = F.pixel_unshuffle(x, PATCH).flatten(2).transpose(1, 2), x.shape[-1] // PATCH
        row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
        places = [waves(part.flatten(), WIDTH // 2, 1e-4) for part in (row, column)]
        h = self.first(h) + torch.cat(places, -1)
        for block in self.blocks:
            h = block(h, told, text, padding)
        shift, scale = self.modulation(told)[:, None].chunk(2, -1)
        y = self.last(normalised(h) * (1 + scale) + shift)
        return F.pixel_shuffle(y.transpose(1, 2).unflatten(2, (side, side)), PATCH)


def normalised(h):
    return F.layer_norm(h, (WIDTH,), eps=1e-6)


def zero(layer):
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


# ---- Training and measuring ----------------------------------------------------------------------


def train(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    tg.manual_seed(seed)  # of the data, which are tinygen's
    network, batches = DiT(), example.Captioned(*digits("train"))
    dropout, steps = example.make_model().network.text.dropout, 1000  # steps: of the chain
    schedule = example.make_model().schedule
    averaged = copy.deepcopy(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=example.LR)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, example.STEPS)
    for step in range(example.STEPS):
        x0, tokens = (torch.from_numpy(part.numpy()) for part in batches())
        t = torch.randint(1, steps + 1, (len(x0),)) * (schedule.end / steps)
        tokens = torch.where(torch.rand(len(x0), 1) < dropout, PADDING, tokens)
        alpha, sigma = (
            torch.from_numpy(f(tg.from_numpy(t.numpy())).numpy())[:, None, None, None]
            for f in (schedule.alpha, schedule.sigma)
        )
        noise = torch.randn_like(x0)
        loss = F.mse_loss(
            network(alpha * x0 + sigma * noise, t, tokens), alpha * noise - sigma * x0
        )
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        decay.step()
        with torch.no_grad():
            for mean, p in zip(averaged.parameters(), network.parameters()):
                mean.lerp_(p, 1 - example.EMA if step else 1.0)
    return averaged


class Called(tg.nn.Module):
    """PyTorch's network inside of tinygen, for the same measurements."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.call = [network]

    def null_condition(self, tokens):
        return tg.full_like(tokens, PADDING)

    def forward(self, x, t, tokens):
        given = (torch.from_numpy(part.numpy().copy()) for part in (x, t, tokens))
        with torch.no_grad():
            return tg.from_numpy(self.call[0](*given).numpy())


def measure(network: nn.Module) -> dict[str, float]:
    model = DDPM(Called(network), example.make_model().schedule, prediction="v")
    model.steps_trained.fill_(1)
    return example.measure(model)


if __name__ == "__main__":
    for seed in map(int, sys.argv[1:] or ["0", "1"]):
        for what, value in measure(train(seed)).items():
            print(f"seed {seed}: {what:46s} {value:.4f}", flush=True)
