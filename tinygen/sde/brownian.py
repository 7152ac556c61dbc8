"""BrownianInterval: one Brownian path, of which any part can be asked for, in any order.

The interval is cut in two, and each part again, down to any length: a binary tree. Given its
increment over a part, that over the left half of it is normal, with a mean and a variance that are
known (the Brownian bridge), and the right half has the rest. The normals of a cut are Philox's
function of the entropy and of the number of the cut in the tree alone. So a path needs no memory:
what is asked for is computed from the top down, whatever was asked before, and what is kept of it,
for the next question is mostly about the neighbourhood, is bounded (the least recently used goes).
An increment is the sum of those of the fewest parts that make up [ta, tb], which makes increments
additive but for rounding, and of full precision if they are small. That takes one cut a step, if a
path is gone through in steps on `grid`, and a hundred or two at times that are far from it.

With space-time Lévy area the increment W of a part of length h is drawn together with

    H = (1/h) ∫ (W_r - (r - s)/h W) dr ~ N(0, h/12), independent of W      r from s to s + h

(Foster, Lyons & Oberhauser 2020, "An optimal polynomial approximation of Brownian motion", SIAM J.
Numer. Anal. 58, section 3), from which U = ∫ (W_r - W_s) dr = h (W/2 + H), as solvers want it. If
the part is cut into lengths l + r = h, then, W and H of both being independent,

    W = W_l + W_r,      H = (r W_l - l W_r) / 2h + (l H_l + r H_r) / h

and W_l, H_l given W, H are normal (ib., theorem 6.1 for l = r) with

    mean  l/h W + 6 l r/h² H,  l²/h² H
    covariance  [[l r/h - 3 l² r²/h³,  -l³ r/2h³],  [-l³ r/2h³,  l/12 - l⁴/12h³]]
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autograd.devices import check_place
from ..autograd.dtypes import get_default_dtype
from ..autograd.random import as_shape, default_generator
from ..autograd.tensor import Tensor
from ..kernels.random import normal, words

RESOLUTION = 2.0**-52  # of the whole interval: shorter parts are taken for straight
LEAST_PLACE = 2**62  # parts with a larger number are not cut again
ENTROPY_CALL = 2**63 - 1  # the call of Philox that makes a key of the entropy
AREAS = ("none", "space-time")

Values = tuple[np.ndarray, ...]  # W; or W and H


@dataclass(slots=True)
class Part:
    """A node of the tree: from `start` to `end`, which are the times `first` and `last` of the
    grid or lie between those. number: 1 for the whole; those of its halves are 2n and 2n + 1."""

    number: int
    start: float
    end: float
    first: int
    last: int
    parent: Part | None


class BrownianInterval:
    """A Brownian path of the shape `size` from t0 to t1, where it starts in 0.

    bm(ta, tb) -> W(tb) - W(ta), a tensor of shape `size`; bm(t) is bm(t0, t).
    bm(ta, tb, return_U=True) -> that and U = ∫ (W(r) - W(ta)) dr from ta to tb.

    size: mostly [batch, noise]. dtype: float32 or float64; None: the default one.
    entropy: an integer that determines the path; None: the default generator gives one.
    dt: the times t0 + n dt are those that will be asked for most. The tree is cut there first,
        which changes the path, but not its law; any other time can be asked for, too.
    cache_size: how many parts are kept at most, each with one or two arrays of shape `size`.
    levy_area_approximation: "none", or "space-time" for U.
    W, H: the increment from t0 to t1, and the space-time Lévy area over it, if they are known: the
        path is a bridge.
    grid: times that will be asked for most, if they are not a multiple of one dt.
    """

    def __init__(
        self,
        t0: float = 0.0,
        t1: float = 1.0,
        size: Sequence[int] | None = None,
        dtype: Any = None,
        device: Any = None,
        entropy: int | None = None,
        dt: float | None = None,
        cache_size: int = 45,
        levy_area_approximation: str = "none",
        W: Tensor | None = None,
        H: Tensor | None = None,
        *,
        grid: Sequence[float] | None = None,
    ):
        check_place(device)
        self.t0, self.t1 = float(t0), float(t1)
        if not -math.inf < self.t0 < self.t1 < math.inf:
            raise ValueError(f"t0 must lie before t1, both finite; got {self.t0:g}, {self.t1:g}")
        if levy_area_approximation not in AREAS:
            raise ValueError(
                f"levy_area_approximation is one of {AREAS}, not {levy_area_approximation!r}"
            )
        if size is None and W is None:
            raise ValueError("say what shape the path has: size=(batch, noise)")
        if H is not None and levy_area_approximation == "none":
            raise ValueError('with H, write levy_area_approximation="space-time"')
        self.shape = as_shape((size,)) if size is not None else W.shape  # pyright: ignore
        given = W.dtype if W is not None else get_default_dtype()
        self.dtype = np.dtype(dtype or given)
        if self.dtype not in (np.float32, np.float64):
            raise TypeError(f"dtype must be float32 or float64, not {self.dtype}")
        self.levy_area_approximation = levy_area_approximation
        self.key = key_of(entropy)
        self.grid = grid_of(self.t0, self.t1, dt, grid)
        self.cache_size, self.cache = cache_size, OrderedDict()
        self.root = Part(1, self.t0, self.t1, 0, len(self.grid) - 1, None)
        self.whole = self.values_of_whole(W, H)

    def __repr__(self) -> str:
        return (
            f"BrownianInterval(t0={self.t0:g}, t1={self.t1:g}, size={self.shape}, "
            f"dtype={self.dtype}, levy_area_approximation={self.levy_area_approximation!r})"
        )

    @property
    def size(self) -> tuple[int, ...]:
        return self.shape

    # ---- Questions -------------------------------------------------------------------------------

    def __call__(self, ta: Any, tb: Any = None, return_U: bool = False) -> Any:
        """W over [ta, tb]; with return_U the tuple (W, U). See the class."""
        ta, tb = (self.t0, float(ta)) if tb is None else (float(ta), float(tb))
        if not self.t0 <= ta <= tb <= self.t1:
            raise ValueError(
                f"[ta, tb] = [{ta:.17g}, {tb:.17g}] must run forwards, and lie in the interval "
                f"[{self.t0:.17g}, {self.t1:.17g}] of this BrownianInterval"
            )
        if return_U and self.levy_area_approximation == "none":
            raise ValueError(
                'U is not drawn with levy_area_approximation="none"; make the BrownianInterval '
                'with "space-time"'
            )
        W = np.zeros(self.shape, self.dtype)
        U = np.zeros(self.shape, self.dtype) if return_U else None
        for length, values in self.parts(ta, tb):
            if U is not None:
                U += length * (W + values[0] / 2 + values[1])
            W += values[0]
        return Tensor(W) if U is None else (Tensor(W), Tensor(U))

    def parts(self, ta: float, tb: float):
        """(length, values) of the parts that make up [ta, tb], from the first to the last."""
        waiting = [self.root] if ta < tb else []
        while waiting:
            part = waiting.pop()
            if ta <= part.start and part.end <= tb:
                yield part.end - part.start, self.values(part)
            elif halves := self.halves(part):
                left, right = halves
                waiting += [right] if tb > right.start else []
                waiting += [left] if ta < left.end else []
            else:
                length = min(tb, part.end) - max(ta, part.start)
                share = length / (part.end - part.start)
                W = share * self.values(part)[0]
                yield length, (W, np.zeros_like(W))

    # ---- The tree --------------------------------------------------------------------------------

    def halves(self, part: Part) -> tuple[Part, Part] | None:
        """The parts that a part is cut into: at the middle of the times of the grid in it, if there
        are such; else at its middle, unless it is too short for that."""
        if part.last - part.first > 1:
            first = last = (part.first + part.last) // 2
            middle = self.grid[first]
        else:
            first, last, middle = part.first, part.last, (part.start + part.end) / 2
            short = part.end - part.start <= RESOLUTION * (self.t1 - self.t0)
            if short or part.number >= LEAST_PLACE or not part.start < middle < part.end:
                return None
        number = 2 * part.number
        left = Part(number, part.start, middle, part.first, last, part)
        return left, Part(number + 1, middle, part.end, first, part.last, part)

    def values(self, part: Part) -> Values:
        """W, and H, of a part: from the cache, or by cutting the part that it is a half of."""
        if part.parent is None:
            return self.whole
        if (found := self.cache.get(part.number)) is not None:
            self.cache.move_to_end(part.number)
            return found
        halves = self.cut(part.parent, part.start if part.number % 2 else part.end)
        first = part.number & ~1
        for number, values in zip((first, first + 1), halves):
            self.cache[number] = values
        while len(self.cache) > self.cache_size:
            self.cache.popitem(last=False)
        return halves[part.number - first]

    def cut(self, part: Part, middle: float) -> tuple[Values, Values]:
        """The values of both halves. See the head of this file."""
        values, normals = self.values(part), self.normals(part.number)
        h = part.end - part.start
        l = (middle - part.start) / h  # lengths and times in units of h, W and H in those of √h
        r = 1 - l
        if len(values) == 1:
            (W,) = values
            W_l = l * W + math.sqrt(h * l * r) * normals[0]
            return (W_l,), (W - W_l,)
        W, H = values
        variance = l * r * (1 - 3 * l * r)
        covariance = -(l**3) * r / 2
        rest = l * (1 - l**3) / 12 - covariance**2 / variance
        std = math.sqrt(h * variance)
        along = math.sqrt(h) * covariance / math.sqrt(variance)
        W_l = l * W + 6 * l * r * H + std * normals[0]
        H_l = l * l * H + along * normals[0] + math.sqrt(h * rest) * normals[1]
        W_r = W - W_l
        H_r = (H - (r * W_l - l * W_r) / 2 - l * H_l) / r
        return (W_l, H_l), (W_r, H_r)

    def normals(self, number: int) -> np.ndarray:
        """[1 or 2, *size] normals that belong to a number."""
        count = 1 if self.levy_area_approximation == "none" else 2
        return normal((count, *self.shape), self.key, number, self.dtype.type)

    def values_of_whole(self, W: Tensor | None, H: Tensor | None) -> Values:
        length = self.t1 - self.t0
        stds = (math.sqrt(length), math.sqrt(length / 12))
        return tuple(
            self.fitted(name, given) if given is not None else self.dtype.type(std) * z
            for name, given, std, z in zip("WH", (W, H), stds, self.normals(0))
        )

    def fitted(self, name: str, given: Tensor) -> np.ndarray:
        if given.shape != self.shape:
            raise ValueError(f"{name} has the shape {given.shape}, and the path {self.shape}")
        return given.array.astype(self.dtype)


def key_of(entropy: int | None) -> int:
    """The key of 64 bits that makes the path: one that belongs to the entropy, but differs from it,
    for else tg.randn after tg.manual_seed(entropy) would draw the same normals."""
    seed, call = (int(entropy) % 2**64, ENTROPY_CALL) if entropy is not None else (
        default_generator.next_call())  # fmt: skip
    return int(words((2,), seed, call).view(np.uint64)[0])


def grid_of(t0: float, t1: float, dt: float | None, grid: Sequence[float] | None) -> list[float]:
    """The times, with both ends, at which the tree is cut first."""
    if dt is not None and grid is not None:
        raise ValueError("dt and grid exclude each other: give one of them")
    if dt is not None:
        if not dt > 0:
            raise ValueError(f"dt must be positive; got {dt}")
        steps = max(1, math.ceil((t1 - t0) / float(dt) - 1e-6))
        grid = [t0 + n * float(dt) for n in range(steps)]
    return [t0, *[float(t) for t in grid or () if t0 < t < t1], t1]
