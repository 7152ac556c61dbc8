"""tinygen.nn.MLPDenoiser in PyTorch, and how tinygen's samplers and likelihoods take it."""

import torch
from torch import nn
from torch.nn import functional as F

import tinygen as tg


class Block(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.norm, self.time = nn.LayerNorm(width), nn.Linear(width, width)
        self.into, self.out = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, h, time):
        return h + self.out(F.silu(self.into(self.norm(h)) + self.time(time)))


class MLPDenoiser(nn.Module):
    def __init__(self, features: int, width: int, blocks: int):
        super().__init__()
        self.register_buffer("frequencies", torch.logspace(0, 3, width // 2))
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU())
        self.first, self.last = nn.Linear(features, width), nn.Linear(width, features)
        self.blocks = nn.ModuleList([Block(width) for _ in range(blocks)])
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x, t):
        angles = t[:, None] * self.frequencies
        time = self.time(torch.cat([angles.sin(), angles.cos()], -1))
        h = self.first(x)
        for block in self.blocks:
            h = block(h, time)
        return self.last(F.silu(h))


class Differentiable(tg.autograd.Function):
    """A network of PyTorch's inside of tinygen, for the same measurements."""

    @staticmethod
    def forward(ctx, x, t, network):
        with torch.enable_grad():
            ctx.x = to_torch(x).requires_grad_()
            ctx.y = network(ctx.x, to_torch(t))
        return tg.from_numpy(ctx.y.detach().numpy())

    @staticmethod
    def backward(ctx, g):
        (found,) = torch.autograd.grad(ctx.y, ctx.x, to_torch(g), retain_graph=True)
        return tg.from_numpy(found.numpy()), None, None


def to_torch(x: tg.Tensor) -> torch.Tensor:
    return torch.from_numpy(x.detach().numpy().copy())


def as_function(network: nn.Module):
    """(x, t) -> prediction, of tensors of tinygen."""
    return lambda x, t: Differentiable.apply(x, t, network)


class Average:
    """The exponential moving average of a network's weights, as tinygen.train.Trainer keeps it."""

    def __init__(self, network: nn.Module, averaged: nn.Module, decay: float):
        self.network, self.averaged, self.decay, self.begun = network, averaged, decay, False

    @torch.no_grad()
    def update(self) -> None:
        share = 1 - self.decay if self.begun else 1.0
        for mean, p in zip(self.averaged.parameters(), self.network.parameters()):
            mean.lerp_(p, share)
        self.begun = True
