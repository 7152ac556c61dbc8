"""Dropout as modules: they drop while training, and do nothing in evaluation."""

from __future__ import annotations

from collections.abc import Callable

from tinygen.autograd import Tensor

from . import functional as F
from .functional.dropout import checked_probability
from .module import Module

__all__ = [
    "AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout",
]  # fmt: skip


class _Dropout(Module):
    function: Callable

    def __init__(self, p: float = 0.5, inplace: bool = False):
        super().__init__()
        self.p, self.inplace = checked_probability(p), inplace

    def forward(self, input: Tensor) -> Tensor:
        return self.function(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}" + (", inplace=True" if self.inplace else "")


class Dropout(_Dropout):
    """While training, zero each element with probability `p` and scale the others by 1/(1 − p).

    The expected value stays the same, so evaluation changes nothing (Srivastava et al. 2014).
    """

    function = staticmethod(F.dropout)


class Dropout1d(_Dropout):
    """While training, zero each channel of [N, C, L] with probability `p`, scale the others."""

    function = staticmethod(F.dropout1d)


class Dropout2d(_Dropout):
    """While training, zero each channel of [N, C, H, W] with probability `p`, scale the others."""

    function = staticmethod(F.dropout2d)


class Dropout3d(_Dropout):
    """While training, zero each channel of [N, C, D, H, W] with probability `p`, scale others."""

    function = staticmethod(F.dropout3d)


class AlphaDropout(_Dropout):
    """Dropout for SELU networks: mean 0 and variance 1 stay (Klambauer et al. 2017)."""

    function = staticmethod(F.alpha_dropout)


class FeatureAlphaDropout(_Dropout):
    """AlphaDropout of whole channels of [N, C, *sizes]."""

    function = staticmethod(F.feature_alpha_dropout)
