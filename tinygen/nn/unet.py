"""The U-Net that removes noise from images: (x, t, condition) -> a prediction of the shape of x.

Ho, Jain & Abbeel 2020, "Denoising diffusion probabilistic models", appendix B, after Ronneberger,
Fischer & Brox 2015, "U-Net": on the way down images get smaller and channels more; on the way up
each block also sees, by concatenation, what the block at its place on the way down has made. The
time, and a class if there is one, are added in every block. With two levels of one block each:

    x ─ first ─ block ─ shrink ─ block ─ middle ─ block ─ block ─ grow ─ block ─ block ─ last
          │       │       │        └────────────────┘       │              │       │
          │       │       └─────────────────────────────────┘              │       │
          │       └────────────────────────────────────────────────────────┘       │
          └────────────────────────────────────────────────────────────────────────┘

Shapes: images [B, C, H, W]; times t [B] and classes [B], as in denoisers.py; time [B, T], which is
an embedding of both.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..autograd.ops.join import cat
from ..autograd.tensor import Tensor
from . import functional as F
from .activations import SiLU
from .attention import MultiheadAttention
from .containers import ModuleList, Sequential
from .conv import Conv2d
from .denoisers import ClassEmbedding, SinusoidalEmbedding, check_conditional
from .init import zeros_
from .layers import Identity, Linear
from .module import Module
from .normalization import GroupNorm

__all__ = ["UNet"]


class UNet(Module):
    """A U-Net on images [B, in_channels, H, W], H and W being multiples of 2^(levels - 1).

    channels, channel_mults: level i has channels · channel_mults[i] of them; so many levels there
        are, and one halving of the image less.
    blocks: of each level on the way down; on the way up there is one more.
    attention_levels: those, counted from 0, whose blocks end in self-attention, as that in the
        middle does, of `heads` heads.
    groups: of each group norm.
    num_classes, class_dropout: as in MLPDenoiser.

    Raises ValueError for images of other sides.
    """

    def __init__(
        self,
        in_channels: int = 1,
        channels: int = 32,
        channel_mults: Sequence[int] = (1, 2, 2),
        blocks: int = 1,
        attention_levels: Collection[int] = (1,),
        heads: int = 1,
        groups: int = 8,
        num_classes: int | None = None,
        class_dropout: float = 0.1,
    ):
        super().__init__()
        check_levels(channel_mults, attention_levels, channels, heads, groups)
        self.in_channels, self.halvings = in_channels, len(channel_mults) - 1
        T = 4 * channels
        self.embedding = SinusoidalEmbedding(channels)
        self.time = Sequential(Linear(channels, T), SiLU(), Linear(T, T))
        self.classes = None
        if num_classes is not None:
            self.classes = ClassEmbedding(num_classes, T, class_dropout)
        self.first = Conv2d(in_channels, channels, 3, padding=1)
        self.down, self.up = ModuleList(), ModuleList()
        into, kept = channels, [channels]  # the channels that come in, and of each map that is kept
        for level, mult in enumerate(channel_mults):
            each = (channels * mult, T, groups, heads if level in attention_levels else 0)
            self.down.append(Down(into, *each, blocks, shrinks=level < self.halvings))
            into = channels * mult
            kept += [into] * (blocks + (level < self.halvings))
        self.middle1 = Block(into, into, T, groups, heads)
        self.middle2 = Block(into, into, T, groups)
        for level, mult in reversed(list(enumerate(channel_mults))):
            each = (channels * mult, T, groups, heads if level in attention_levels else 0)
            self.up.append(Up(into, *each, [kept.pop() for _ in range(blocks + 1)], level > 0))
            into = channels * mult
        self.norm, self.last = GroupNorm(groups, into), Conv2d(into, in_channels, 3, padding=1)
        zeros_(self.last.weight)
        zeros_(self.last.bias)

    def null_condition(self, condition: Tensor) -> Tensor:
        """The condition that is none, of the shape of one."""
        return check_conditional(self, self.classes).null(condition)

    def forward(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        self.check_images(x)
        time = self.time(self.embedding(t))  # [B, T]
        if self.classes is not None:
            time = time + self.classes(condition, x.shape[0])
        elif condition is not None:
            check_conditional(self, None)
        time = F.silu(time)
        h = self.first(x)  # [B, channels, H, W]
        kept = [h]
        for level in self.down:
            h = level(h, time, kept)
        h = self.middle2(self.middle1(h, time), time)  # [B, C, H / 2^halvings, W / 2^halvings]
        for level in self.up:
            h = level(h, time, kept)
        return self.last(F.silu(self.norm(h)))  # [B, in_channels, H, W]

    def check_images(self, x: Tensor) -> None:
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise ValueError(
                f"UNet takes images [B, {self.in_channels}, H, W]; got {list(x.shape)}"
            )
        H, W = x.shape[2:]
        multiple = 2**self.halvings
        if not H or not W or H % multiple or W % multiple:
            up = [max(-(-side // multiple), 1) * multiple for side in (H, W)]
            raise ValueError(
                f"UNet: images are halved {self.halvings} times, so their sides must be multiples "
                f"of {multiple}; got {H} × {W}: pad them to {up[0]} × {up[1]}, or take fewer "
                "channel_mults"
            )


def check_levels(channel_mults, attention_levels, channels: int, heads: int, groups: int) -> None:
    if not channel_mults:
        raise ValueError("UNet: channel_mults has a number for each level, and there is none")
    if missing := sorted(set(attention_levels) - set(range(len(channel_mults)))):
        raise ValueError(
            f"UNet: attention_levels has {missing[0]}, but levels are counted from 0 to "
            f"{len(channel_mults) - 1}"
        )
    for mult in channel_mults:
        if channels * mult % groups or channels * mult % heads:
            raise ValueError(
                f"UNet: the channels of each level must be divisible by groups={groups} and "
                f"heads={heads}; {channels} · {mult} = {channels * mult} are not"
            )


# ---- Levels --------------------------------------------------------------------------------------


class Down(Module):
    """Blocks from `into` to `out` channels, and unless it is the last level, half the sides."""

    def __init__(
        self, into: int, out: int, T: int, groups: int, heads: int, blocks: int, shrinks: bool
    ):
        super().__init__()
        self.blocks = ModuleList(
            [Block(out if i else into, out, T, groups, heads) for i in range(blocks)]
        )
        self.shrink = Conv2d(out, out, 3, stride=2, padding=1) if shrinks else None

    def forward(self, h: Tensor, time: Tensor, kept: list[Tensor]) -> Tensor:
        for block in self.blocks:
            h = block(h, time)
            kept.append(h)
        if self.shrink is not None:
            h = self.shrink(h)  # [B, C, H / 2, W / 2]
            kept.append(h)
        return h


class Up(Module):
    """Blocks that also see what was kept, of `kept` channels; unless it is the first level, twice
    the sides, by the nearest pixel and a convolution."""

    def __init__(
        self, into: int, out: int, T: int, groups: int, heads: int, kept: list[int], grows: bool
    ):
        super().__init__()
        self.blocks = ModuleList(
            [Block((out if i else into) + k, out, T, groups, heads) for i, k in enumerate(kept)]
        )
        self.grow = Conv2d(out, out, 3, padding=1) if grows else None

    def forward(self, h: Tensor, time: Tensor, kept: list[Tensor]) -> Tensor:
        for block in self.blocks:
            h = block(cat([h, kept.pop()], 1), time)
        if self.grow is not None:
            h = self.grow(F.interpolate(h, scale_factor=2))  # [B, C, 2 H, 2 W]
        return h


class Block(Module):
    """Two convolutions past which the input goes, too, and with `heads`, attention. Both begin as
    nothing (Ho et al. 2020, in code): the last weights are zeros."""

    def __init__(self, into: int, out: int, T: int, groups: int, heads: int = 0):
        super().__init__()
        self.norm1, self.norm2 = GroupNorm(groups, into), GroupNorm(groups, out)
        self.conv1 = Conv2d(into, out, 3, padding=1)
        self.conv2 = Conv2d(out, out, 3, padding=1)
        self.time = Linear(T, out)
        self.past = Identity() if into == out else Conv2d(into, out, 1)
        self.attention = ImageAttention(out, groups, heads) if heads else Identity()
        zeros_(self.conv2.weight)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x))) + self.time(time)[:, :, None, None]
        h = self.past(x) + self.conv2(F.silu(self.norm2(h)))  # [B, out, H, W]
        return self.attention(h)


class ImageAttention(Module):
    """Every pixel looks at all of them (Wang et al. 2018, "Non-local neural networks")."""

    def __init__(self, channels: int, groups: int, heads: int):
        super().__init__()
        self.norm = GroupNorm(groups, channels)
        self.attention = MultiheadAttention(channels, heads, batch_first=True)
        zeros_(self.attention.out_proj.weight)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x).flatten(2).transpose(1, 2)  # [B, H W, C]
        h, _ = self.attention(h, h, h, need_weights=False)
        return x + h.transpose(1, 2).reshape(x.shape)
