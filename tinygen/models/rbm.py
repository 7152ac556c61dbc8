"""Restricted Boltzmann machine: bits that are seen, and bits behind them that explain how they hang
together.

    E(v, h) = −v·W h − b·v − c·h,    p(v, h) = e^{−E(v, h)} / Z

There are weights between the two layers only. So given one layer, the bits of the other are
independent of each other, and Gibbs sampling draws a whole layer at once; and the sum over the
hidden bits has a closed form, the free energy F(v) = −log Σ_h e^{−E(v, h)} (Smolensky 1986;
Hinton 2012, "A practical guide to training restricted Boltzmann machines").

Log-likelihood rises along −∇F(data) + E ∇F(v), v drawn from the model. Contrastive divergence takes
such v to be few Gibbs steps away from the data (Hinton 2002, "Training products of experts by
minimizing contrastive divergence"); its persistent form, from where they were at the last step of
training (Tieleman 2008, "Training restricted Boltzmann machines using approximations to the
likelihood gradient").

Shapes: B samples; V visible and H hidden bits, which are floats that are 0 or 1.
"""

from __future__ import annotations

import math

import numpy as np

from .. import nn
from ..autograd.creation import full, zeros
from ..autograd.grad_mode import no_grad
from ..autograd.ops.join import stack
from ..autograd.random import Generator, bernoulli
from ..autograd.tensor import Tensor
from ..nn import functional as F

LARGEST = 22  # bits of a layer of which all states can be enumerated, within seconds
CHUNK = 2**14  # states at a time


# ---- Bits ----------------------------------------------------------------------------------------


def check_bits(v: Tensor, size: int, name: str) -> Tensor:
    """v, refused unless it is bits [B, size]."""
    if v.ndim != 2 or v.shape[1] != size:
        raise ValueError(f"{name} takes bits [batch, {size}], not {list(v.shape)}")
    if not ((v.array == 0) | (v.array == 1)).all():
        found = v.array[(v.array != 0) & (v.array != 1)][0]
        raise ValueError(
            f"{name} takes bits, 0 or 1, but there is a {found:.4g}: write (x > 0.5).float(), or "
            "tg.bernoulli(x) for grey values in [0, 1]"
        )
    return v


def check_steps(k: int) -> None:
    if k < 1:
        raise ValueError(f"k, the number of Gibbs steps, must be at least 1; got {k}")


def states(n: int, start: int = 0, stop: int | None = None, dtype=np.float64) -> Tensor:
    """All 2^n states of n bits, or those from number `start` to `stop`: [stop − start, n]"""
    numbers = np.arange(start, 2**n if stop is None else stop)
    return Tensor((numbers[:, None] >> np.arange(n) & 1).astype(dtype))


def bit_log_prob(bits: Tensor, logits: Tensor) -> Tensor:
    """log p(bits) of independent bits that are 1 with probability σ(logits): [B, n] -> [B]"""
    return (bits * logits - F.softplus(logits)).sum(1)


def summed_out(v: Tensor, weight: Tensor, bias: Tensor, other_bias: Tensor) -> Tensor:
    """log Σ_h e^{−E(v, h)}, which is −F(v): [B, V] -> [B]. By its symmetry the energy of hidden
    bits, visible ones summed out, is had with weight.T and the biases the other way round."""
    return v @ bias + F.softplus(v @ weight + other_bias).sum(1)


# ---- The machine ---------------------------------------------------------------------------------


class RBM(nn.Module):
    """A Bernoulli-Bernoulli restricted Boltzmann machine.

    visible, hidden: how many bits each layer has.
    chains: of persistent contrastive divergence; they are a buffer, so that a checkpoint has them.

    Weights start small, from N(0, 0.01²), biases from 0 (Hinton 2012, section 8); `fit_biases`
    sets those of visible bits to the log odds of the data, which spares the first steps.
    """

    particles: Tensor

    def __init__(self, visible: int, hidden: int, *, chains: int = 100):
        super().__init__()
        for name, n in (("visible", visible), ("hidden", hidden), ("chains", chains)):
            if n < 1:
                raise ValueError(f"RBM: {name} must be at least 1; got {n}")
        self.visible, self.hidden = visible, hidden
        self.weight = nn.Parameter(nn.init.normal_(zeros(visible, hidden), 0.0, 0.01))
        self.visible_bias = nn.Parameter(zeros(visible))
        self.hidden_bias = nn.Parameter(zeros(hidden))
        self.register_buffer("particles", bernoulli(full((chains, visible), 0.5)))

    def fit_biases(self, v: Tensor) -> None:
        """Set the visible biases to the log odds of the bits of data v [N, V], with one bit of each
        kind more, so that all are finite; the independent bits that an RBM without weights is then
        have the data's means."""
        v = check_bits(v, self.visible, "RBM.fit_biases")
        p = (v.array.sum(0) + 1) / (len(v) + 2)
        self.visible_bias.array[...] = np.log(p) - np.log1p(-p)

    # ---- Energies and probabilities ----

    def energy(self, v: Tensor, h: Tensor) -> Tensor:
        """E(v, h) of bits v [B, V] and h [B, H]: [B]"""
        return -((v @ self.weight * h).sum(1) + v @ self.visible_bias + h @ self.hidden_bias)

    def free_energy(self, v: Tensor) -> Tensor:
        """F(v) = −b·v − Σ_j softplus(c_j + v·W_j), of v [B, V]: [B]. p(v) = e^{−F(v)} / Z"""
        return -summed_out(v, self.weight, self.visible_bias, self.hidden_bias)

    def forward(self, v: Tensor) -> Tensor:
        return self.free_energy(check_bits(v, self.visible, "RBM"))

    def hidden_logits(self, v: Tensor) -> Tensor:
        """The log odds of p(h = 1 | v): [B, V] -> [B, H]"""
        return v @ self.weight + self.hidden_bias

    def visible_logits(self, h: Tensor) -> Tensor:
        """The log odds of p(v = 1 | h): [B, H] -> [B, V]"""
        return h @ self.weight.T + self.visible_bias

    @no_grad()
    def reconstruct(self, v: Tensor) -> Tensor:
        """Probabilities of v, given those of h, given v: [B, V] -> [B, V]"""
        v = check_bits(v, self.visible, "RBM.reconstruct")
        return F.sigmoid(self.visible_logits(F.sigmoid(self.hidden_logits(v))))

    def hidden_log_prob(self, h: Tensor, v: Tensor) -> Tensor:
        """log p(h | v) of h [B, H] and v [B, V]: [B]"""
        return bit_log_prob(h, self.hidden_logits(v))

    def visible_log_prob(self, v: Tensor, h: Tensor) -> Tensor:
        """log p(v | h) of v [B, V] and h [B, H]: [B]"""
        return bit_log_prob(v, self.visible_logits(h))

    # ---- Sampling ----

    @no_grad()
    def sample_hidden(self, v: Tensor, *, generator: Generator | None = None) -> Tensor:
        """h ~ p(h | v): [B, V] -> [B, H]"""
        return bernoulli(F.sigmoid(self.hidden_logits(v)), generator=generator)

    @no_grad()
    def sample_visible(self, h: Tensor, *, generator: Generator | None = None) -> Tensor:
        """v ~ p(v | h): [B, H] -> [B, V]"""
        return bernoulli(F.sigmoid(self.visible_logits(h)), generator=generator)

    def gibbs(self, v: Tensor, k: int = 1, *, generator: Generator | None = None) -> Tensor:
        """k times h ~ p(h | v) and v ~ p(v | h), from v [B, V]: [B, V]"""
        check_steps(k)
        for _ in range(k):
            h = self.sample_hidden(v, generator=generator)
            v = self.sample_visible(h, generator=generator)
        return v

    def sample(self, n: int, k: int = 1000, *, generator: Generator | None = None) -> Tensor:
        """n chains from random bits, after k Gibbs steps: [n, V]"""
        half = full((n, self.visible), 0.5, dtype=self.weight.dtype)
        return self.gibbs(bernoulli(half, generator=generator), k, generator=generator)

    # ---- Training ----

    def contrastive_divergence(
        self, v: Tensor, k: int = 1, *, persistent: bool = False, generator: Generator | None = None
    ) -> Tensor:
        """E F(data) − E F(samples), for bits v [B, V]: its gradient is the estimate of CD-k (Hinton
        2002, equation 5), its value says little, as F has no zero.

        persistent: go on with the chains of the last call, instead of with v (PCD, Tieleman 2008).
            Their number is that of `chains`, whatever B is.
        """
        check_bits(v, self.visible, "RBM.contrastive_divergence")
        samples = self.gibbs(self.particles if persistent else v, k, generator=generator)
        if persistent:
            self.particles.array[...] = samples.array
        return self.free_energy(v).mean() - self.free_energy(samples).mean()

    # ---- Likelihood ----

    def log_partition(self) -> Tensor:
        """log Z, exact, by enumeration of the states of the smaller layer: 0-d, in float64. It can
        be differentiated, if all of its states fit into memory."""
        weight, bias, other_bias = (
            p.double() for p in (self.weight, self.visible_bias, self.hidden_bias)
        )
        if self.hidden < self.visible:
            weight, bias, other_bias = weight.T, other_bias, bias
        n = len(weight)
        if n > LARGEST:
            raise ValueError(
                f"RBM.log_partition goes through all 2^{n} states of the smaller layer, which is "
                f"done up to {LARGEST} bits; estimate it with annealed_importance_sampling"
            )
        parts = [
            summed_out(states(n, i, min(i + CHUNK, 2**n)), weight, bias, other_bias).logsumexp(0)
            for i in range(0, 2**n, CHUNK)
        ]
        return stack(parts).logsumexp(0)

    def log_prob(self, v: Tensor, log_partition: Tensor | float | None = None) -> Tensor:
        """log p(v) in nats of bits v [B, V]: [B]. `log_partition` is log Z, if it is known."""
        log_z = self.log_partition() if log_partition is None else log_partition
        return -self(v) - log_z

    @no_grad()
    def annealed_importance_sampling(
        self,
        chains: int = 100,
        steps: int = 1000,
        *,
        base_bias: Tensor | None = None,
        generator: Generator | None = None,
    ) -> tuple[float, float]:
        """An estimate of log Z, and its standard error (Salakhutdinov & Murray 2008, "On the
        quantitative analysis of deep belief networks", equations 14 to 18).

        Chains go from independent bits to the model, through p_β(v) ∝ e^{(1 − β) b₀·v + β b·v}
        Π_j (1 + e^{β (c_j + v·W_j)}), β from 0 to 1 in `steps`; E Π p_β(v) / p_β'(v) = Z / Z₀.
        base_bias: b₀ [V]; by default b. The log odds of the data's means are better still.
        """
        if chains < 2 or steps < 1:
            raise ValueError("AIS needs at least 2 chains, for an error, and a step; "
                             f"got chains={chains} and steps={steps}")  # fmt: skip
        weight, b, c = self.weight, self.visible_bias, self.hidden_bias
        start = b if base_bias is None else base_bias
        v = bernoulli(F.sigmoid(start + zeros(chains, self.visible)), generator=generator)
        log_z0 = F.softplus(start).sum().item() + self.hidden * math.log(2)
        log_weights = np.zeros(chains)
        log_density = lambda v, t: summed_out(v, t * weight, (1 - t) * start + t * b, t * c).array
        for i in range(steps):
            t, before = (i + 1) / steps, i / steps
            log_weights += log_density(v, t) - log_density(v, before)
            h = bernoulli(F.sigmoid(t * self.hidden_logits(v)), generator=generator)
            logits = t * self.visible_logits(h) + (1 - t) * start
            v = bernoulli(F.sigmoid(logits), generator=generator)
        largest = log_weights.max()
        ratios = np.exp(log_weights - largest)
        error = ratios.std(ddof=1) / ratios.mean() / math.sqrt(chains)
        return float(log_z0 + largest + np.log(ratios.mean())), float(error)
