"""tinygen.nn.UNet in PyTorch, with the same names, so that weights can be exchanged."""

import torch
from torch import nn
from torch.nn import functional as F


class UNet(nn.Module):
    def __init__(
        self, in_channels=1, channels=32, channel_mults=(1, 2, 2), blocks=1, attention_levels=(1,),
        heads=1, groups=8, num_classes=None, class_dropout=0.1,
    ):  # fmt: skip
        super().__init__()
        T, last = 4 * channels, len(channel_mults) - 1
        self.embedding = Sinusoidal(channels)
        self.time = nn.Sequential(nn.Linear(channels, T), nn.SiLU(), nn.Linear(T, T))
        self.classes = None if num_classes is None else Classes(num_classes, T, class_dropout)
        self.first = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        into, kept = channels, [channels]
        for level, mult in enumerate(channel_mults):
            each = (channels * mult, T, groups, heads if level in attention_levels else 0)
            ins = [into] + [channels * mult] * (blocks - 1)
            self.down.append(Level([Block(i, *each) for i in ins]))
            into = channels * mult
            if level < last:
                self.down[-1].shrink = nn.Conv2d(into, into, 3, stride=2, padding=1)
            kept += [into] * (blocks + (level < last))
        self.middle1 = Block(into, into, T, groups, heads)
        self.middle2 = Block(into, into, T, groups, 0)
        for level, mult in reversed(list(enumerate(channel_mults))):
            each = (channels * mult, T, groups, heads if level in attention_levels else 0)
            ins = [into] + [channels * mult] * blocks
            self.up.append(Level([Block(i + kept.pop(), *each) for i in ins]))
            into = channels * mult
            if level:
                self.up[-1].grow = nn.Conv2d(into, into, 3, padding=1)
        self.norm, self.last = (
            nn.GroupNorm(groups, into),
            nn.Conv2d(into, in_channels, 3, padding=1),
        )
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x, t, condition=None):
        time = self.time(self.embedding(t))
        if self.classes is not None:
            time = time + self.classes(condition, len(x))
        time = F.silu(time)
        h = self.first(x)
        kept = [h]
        for level in self.down:
            for block in level.blocks:
                h = block(h, time)
                kept.append(h)
            if hasattr(level, "shrink"):
                h = level.shrink(h)
                kept.append(h)
        h = self.middle2(self.middle1(h, time), time)
        for level in self.up:
            for block in level.blocks:
                h = block(torch.cat([h, kept.pop()], 1), time)
            if hasattr(level, "grow"):
                h = level.grow(F.interpolate(h, scale_factor=2))
        return self.last(F.silu(self.norm(h)))


class Sinusoidal(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.register_buffer("frequencies", torch.logspace(0, 3, dim // 2), persistent=False)

    def forward(self, t):
        angles = t[:, None] * self.frequencies
        return torch.cat([angles.sin(), angles.cos()], -1)


class Classes(nn.Module):
    def __init__(self, num_classes, dim, dropout):
        super().__init__()
        self.null, self.dropout = num_classes, dropout
        self.embedding = nn.Embedding(num_classes + 1, dim)
        self.register_buffer("seen", torch.zeros(num_classes + 1, dtype=torch.bool))

    def forward(self, classes, B):
        if classes is None:
            classes = torch.full((B,), self.null)
        if self.training:
            classes = torch.where(torch.rand(B) < self.dropout, self.null, classes)
            self.seen[classes] = True
        return self.embedding(classes)


class Level(nn.Module):
    def __init__(self, blocks):
        super().__init__()
        self.blocks = nn.ModuleList(blocks)


class Block(nn.Module):
    def __init__(self, into, out, T, groups, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(groups, into), nn.GroupNorm(groups, out)
        self.conv1 = nn.Conv2d(into, out, 3, padding=1)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.time = nn.Linear(T, out)
        self.past = nn.Identity() if into == out else nn.Conv2d(into, out, 1)
        self.attention = Attention(out, groups, heads) if heads else nn.Identity()
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x, time):
        h = self.conv1(F.silu(self.norm1(x))) + self.time(time)[:, :, None, None]
        return self.attention(self.past(x) + self.conv2(F.silu(self.norm2(h))))


class Attention(nn.Module):
    def __init__(self, channels, groups, heads):
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)
        self.attention = nn.MultiheadAttention(channels, heads, batch_first=True)
        nn.init.zeros_(self.attention.out_proj.weight)

    def forward(self, x):
        h = self.norm(x).flatten(2).transpose(1, 2)
        h, _ = self.attention(h, h, h, need_weights=False)
        return x + h.transpose(1, 2).reshape(x.shape)
