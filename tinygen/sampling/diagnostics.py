"""Whether Markov chains have forgotten their start, and how much they know.

Vehtari, Gelman, Simpson, Carpenter & Bürkner 2021, "Rank-normalization, folding, and localization:
an improved R-hat for assessing convergence of MCMC", as in Stan. Samples are [draws, chains] or
[draws, chains, dim]; results 0-d or [dim]. Each chain is split in two, so that one which drifts
disagrees with itself.
"""

from __future__ import annotations

import numpy as np

from ..autograd.ops.special import ndtri_array
from ..autograd.registry import ShapeError
from ..autograd.tensor import Tensor

__all__ = ["effective_sample_size", "r_hat"]


def split(samples: Tensor) -> np.ndarray:
    """Both halves of each chain, in float64: [draws // 2, 2 · chains, dim]"""
    x = np.asarray(samples.array, np.float64)
    if x.ndim not in (2, 3) or len(x) < 4:
        raise ShapeError(
            "samples must be [draws, chains] or [draws, chains, dim] with at least 4 draws; got "
            f"shape {x.shape}"
        )
    x = x.reshape(*x.shape[:2], -1)
    half = len(x) // 2
    return np.concatenate([x[:half], x[-half:]], 1)


def shaped_like(samples: Tensor, numbers: np.ndarray) -> Tensor:
    return Tensor(numbers.reshape(samples.shape[2:]))


def variances(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """W, the mean variance within chains, and an estimate that includes that between them [dim]"""
    draws = len(x)
    within = x.var(0, ddof=1).mean(0)
    return within, (draws - 1) / draws * within + x.mean(0).var(0, ddof=1)


def r_hat(samples: Tensor, *, rank_normalized: bool = True) -> Tensor:
    """√(variance of all draws / variance within chains): 1 if the chains agree; above 1.01 they
    have not run long enough. With rank_normalized, the larger of that of the ranks, and of the
    ranks of distances from the median, which see other locations and other widths even where there
    is no variance (equations 3, 4, 14)."""
    x = split(samples)
    if not rank_normalized:
        return shaped_like(samples, plain_r_hat(x))
    folded = np.abs(x - np.median(x, (0, 1)))
    both = [plain_r_hat(normal_ranks(y)) for y in (x, folded)]
    return shaped_like(samples, np.maximum(*both))


def plain_r_hat(x: np.ndarray) -> np.ndarray:
    within, whole = variances(x)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt(whole / within)


def normal_ranks(x: np.ndarray) -> np.ndarray:
    """Normal quantiles of the ranks among all draws of all chains; equal numbers share a rank"""
    draws, chains, dim = x.shape
    out = np.empty_like(x)
    for d in range(dim):
        _, place, count = np.unique(x[..., d], return_inverse=True, return_counts=True)
        rank = np.cumsum(count) - (count - 1) / 2
        out[..., d] = ndtri_array((rank - 0.375) / (draws * chains + 0.25))[place].reshape(
            draws, chains
        )
    return out


def autocovariance(x: np.ndarray) -> np.ndarray:
    """γ_t of each chain, t = 0, 1, ...: [draws, chains, dim], by the Wiener-Khinchin theorem"""
    draws = len(x)
    spectrum = np.fft.rfft(x - x.mean(0), 2 * draws, axis=0)
    return np.fft.irfft(np.abs(spectrum) ** 2, axis=0)[:draws] / draws


def effective_sample_size(samples: Tensor) -> Tensor:
    """How many independent draws would tell the mean as well: N / (1 + 2 Σ ρ_t), N the number of
    draws of all chains, ρ_t the autocorrelation of all chains combined (equations 10-13).

    The sum ends where the sum of a pair ρ_2t + ρ_2t+1, which is positive and falls with t for a
    reversible chain, is not positive; before, it is not let grow (Geyer 1992, section 3.3). It is
    nan where a chain never moved.
    """
    x = split(samples)
    draws, chains, dim = x.shape
    within, whole = variances(x)
    with np.errstate(divide="ignore", invalid="ignore"):
        correction = draws / (draws - 1)  # γ is divided by draws, the variance within by draws - 1
        rho = 1 - (within - correction * autocovariance(x).mean(1)) / whole
    sizes = [draws * chains / integrated_time(rho[:, d], draws * chains) for d in range(dim)]
    return shaped_like(samples, np.array(sizes))


def integrated_time(rho: np.ndarray, count: int) -> float:
    """1 + 2 Σ ρ_t, t >= 1, of one quantity, by Geyer's initial monotone sequence; at least
    1 / log10(count), as the estimate for chains that swing to and fro is unsafe"""
    rho = np.append(1.0, rho[1:])
    pairs = rho[: len(rho) // 2 * 2].reshape(-1, 2).sum(1)
    if np.isnan(pairs).any():
        return np.nan
    end = int(np.argmax(pairs <= 0)) if (pairs <= 0).any() else len(pairs)
    total = 2 * np.minimum.accumulate(pairs[:end]).sum() - 1
    return max(float(total), 1 / np.log10(count))
