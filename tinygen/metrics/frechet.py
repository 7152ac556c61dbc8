"""The Fréchet distance between two normal distributions, by itself and as a metric of samples.

    d² = |μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2 (Σ₁^½ Σ₂ Σ₁^½)^½),

the squared W_2 distance between the two (Dowson & Landau 1982, "The Fréchet distance between
multivariate normal distributions", eq. 16). Of the features of a classifier it is what Heusel et
al. 2017, "GANs trained by a two time-scale update rule", call FID.
"""

from __future__ import annotations

import numpy as np

from .samples import Samples, as_pair, plain

__all__ = ["frechet_distance", "gaussian_frechet_distance"]


def frechet_distance(x: Samples, y: Samples) -> float:
    """d² between the normals with the means and covariances of x [n, ...] and y [m, ...].

    It sees nothing but these two moments. It is too large for few samples, by about 1/n of what it
    is made of: compare at the same n only, and with that of real samples to other real ones. With n
    at most d the covariances are singular, which is allowed, and the bias is large.
    """
    first, second = as_pair(x, y, at_least=2)
    moments = [(s.mean(0), np.atleast_2d(np.cov(s, rowvar=False))) for s in (first, second)]
    return gaussian_frechet_distance(*moments[0], *moments[1])


def gaussian_frechet_distance(mean_1: Samples, cov_1: Samples, mean_2: Samples, cov_2: Samples):
    """d² between N(mean_1, cov_1) and N(mean_2, cov_2): means [d], covariances [d, d].

    Raises ValueError for shapes that don't fit, and what is no covariance.
    """
    means = [plain(mean) for mean in (mean_1, mean_2)]
    covs = [plain(cov) for cov in (cov_1, cov_2)]
    d = means[0].shape[-1] if means[0].ndim else 0
    if any(m.shape != (d,) for m in means) or any(c.shape != (d, d) for c in covs):
        raise ValueError(
            f"means are [d] and covariances [d, d] with one d; got {[m.shape for m in means]} and"
            f" {[c.shape for c in covs]}"
        )
    root = _square_root(covs[0])
    overlap = np.linalg.eigvalsh(root @ _symmetric(covs[1]) @ root)
    trace = covs[0].trace() + covs[1].trace() - 2 * np.sqrt(np.maximum(overlap, 0)).sum()
    return float(((means[0] - means[1]) ** 2).sum() + max(trace, 0))


def _symmetric(cov: np.ndarray) -> np.ndarray:
    scale = np.abs(cov).max(initial=0)
    if not np.isfinite(scale) or not np.allclose(cov, cov.T, atol=1e-8 * scale):
        raise ValueError("a covariance is a symmetric matrix of finite numbers; this one is not")
    return (cov + cov.T) / 2


def _square_root(cov: np.ndarray) -> np.ndarray:
    """The symmetric root of a covariance, from its eigenvalues."""
    values, vectors = np.linalg.eigh(_symmetric(cov))
    if values.size and values[0] < -1e-8 * abs(values[-1]):
        raise ValueError(
            f"a covariance has no negative eigenvalue; this one has {values[0]:.3g}, beside its"
            f" largest {values[-1]:.3g}"
        )
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
