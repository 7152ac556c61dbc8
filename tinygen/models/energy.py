"""Energy-based model: any network that gives a sample a number, its energy, is a density

    p(x) = e^{−E(x)} / Z

but for Z, which nobody knows, and nothing here needs. Two ways to train one:

    EnergyModel                                 lower the energy of data, raise that of samples
    explicit_, sliced_, denoising_score_matching    fit the slope of log p, where Z drops out

The score is ∇ log p(x) = −∇E(x). Score matching takes second derivatives of E, so E has to be
smooth: with ReLUs these are 0 and the loss says nothing; SiLU, softplus and tanh will do.

Shapes: B samples of `shape`, which is (features,) for points and (C, H, W) for images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from .. import nn
from ..autograd.engine import grad
from ..autograd.grad_mode import enable_grad
from ..autograd.ops.choose import where
from ..autograd.ops.join import stack
from ..autograd.random import Generator, rand, randn, randperm
from ..autograd.tensor import Tensor
from ..sampling.langevin_dynamics import langevin

Energy = Callable[[Tensor], Tensor]


class MLPEnergy(nn.Module):
    """Samples [B, *shape] to energies [B], through layers of SiLUs, which have second derivatives.

    confine: c of a term c ‖x‖² / 2. With c > 0, e^{−E} has a finite integral whatever the network
        does: as a SiLU grows no faster than x, the network grows no faster than ‖x‖.
    """

    def __init__(
        self, shape: Sequence[int], hidden: Sequence[int] = (128, 128), *, confine: float = 0.0
    ):
        super().__init__()
        self.shape, self.confine = tuple(shape), confine
        sizes, layers = (math.prod(self.shape), *hidden), []
        for into, out in zip(sizes, hidden):
            layers += [nn.Linear(into, out), nn.SiLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1:] != self.shape:
            expected = ", ".join(map(str, ("batch", *self.shape)))
            raise ValueError(f"MLPEnergy takes samples [{expected}], not {list(x.shape)}")
        x = x.flatten(1)
        energy = self.layers(x).squeeze(1)
        return energy + 0.5 * self.confine * (x * x).sum(1) if self.confine else energy


# ---- The score -----------------------------------------------------------------------------------


def check_samples(x: Tensor, name: str) -> Tensor:
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: samples must be floats, not {x.dtype}; pass x.float()")
    finite = np.isfinite(x.array).reshape(len(x), -1).all(1)
    if not finite.all():
        raise ValueError(
            f"{name}: {(~finite).sum()} of the {len(x)} samples holds NaN or infinity; leave such "
            "samples out of the data, or repair them"
        )
    return x


def energies(energy: Energy, x: Tensor) -> Tensor:
    """energy(x), refused unless it is one number for every sample."""
    found = energy(x)
    if found.shape != x.shape[:1]:
        raise ValueError(
            f"an energy of samples {list(x.shape)} is one number each, [{len(x)}]; got "
            f"{list(found.shape)}: end the network in .squeeze(1), or sum over the features"
        )
    return found


def score(energy: Energy, x: Tensor) -> Tensor:
    """−∇E(x) of every sample of x [B, *shape], in its shape; in the graph of x, if x requires grad.

    The gradient of the sum is that of each only because no sample's energy depends on the others.
    """
    create_graph = x.requires_grad
    with enable_grad():
        x = x if create_graph else x.detach().requires_grad_()
        missing = "the energy does not depend on the samples, so it has no score"
        return -derivative(energies(energy, x), x, create_graph, missing)


def derivative(y: Tensor, x: Tensor, create_graph: bool, missing: str) -> Tensor:
    """∂ y_b / ∂ x_b of every sample, y [B] and x [B, *shape]: [B, *shape]"""
    found = None
    if y.requires_grad:
        (found,) = grad(y.sum(), x, create_graph=create_graph, allow_unused=True)
    if found is None:
        raise ValueError(missing)
    return found


def derivative_of_score(y: Tensor, x: Tensor) -> Tensor:
    """∂ y_b / ∂ x_b, in the graph, of y [B] made of the scores of x [B, *shape]: [B, *shape]"""
    missing = (
        "score matching needs second derivatives of the energy, and this one has none; take SiLU, "
        "softplus or tanh in place of ReLUs"
    )
    return derivative(y, x, True, missing)


# ---- Score matching ------------------------------------------------------------------------------


def explicit_score_matching(energy: Energy, x: Tensor) -> Tensor:
    """E [½ ‖s(x)‖² + tr ∇s(x)], s = −∇E (Hyvärinen 2005, "Estimation of non-normalized statistical
    models by score matching", equation 4): E ½ ‖s − ∇ log p‖² up to a constant, for data x
    [B, *shape] of density p. The trace of the Hessian costs a backward a feature.
    """
    x = check_samples(x, "explicit_score_matching").detach().requires_grad_()
    with enable_grad():
        s = score(energy, x).flatten(1)  # [B, features]
        trace = sum(
            derivative_of_score(s[:, i], x).flatten(1)[:, i] for i in range(s.shape[1])
        )  # [B]
        return (0.5 * (s * s).sum(1) + trace).mean()


def sliced_score_matching(
    energy: Energy,
    x: Tensor,
    *,
    projections: int = 1,
    variance_reduction: bool = True,
    generator: Generator | None = None,
) -> Tensor:
    """E [vᵀ ∇s(x) v + ½ (v·s(x))²] over random directions v ~ N(0, 1) (Song et al. 2019, "Sliced
    score matching", equation 7), as many for each sample as `projections`; a backward each.

    variance_reduction: ½ ‖s‖² in place of its estimate ½ (v·s)² (equation 8).
    """
    if projections < 1:
        raise ValueError(f"sliced_score_matching needs at least 1 projection; got {projections}")
    x = check_samples(x, "sliced_score_matching").detach().requires_grad_()
    with enable_grad():
        s = score(energy, x)
        terms = []
        for _ in range(projections):
            v = randn(*x.shape, dtype=x.dtype, generator=generator)
            along = (s * v).flatten(1).sum(1)  # [B]
            curvature = (derivative_of_score(along, x) * v).flatten(1).sum(1)
            square = (s * s).flatten(1).sum(1) if variance_reduction else along * along
            terms.append(curvature + 0.5 * square)
        return stack(terms).mean()


def denoising_score_matching(
    energy: Energy, x: Tensor, sigma: float, *, generator: Generator | None = None
) -> Tensor:
    """E ½ ‖s(x̃) − (x − x̃) / σ²‖² at x̃ = x + σ z, z ~ N(0, 1) (Vincent 2011, "A connection between
    score matching and denoising autoencoders", equation 11): needs no second derivatives, and is
    least if s is the score of the data with this noise, p * N(0, σ²).
    """
    if not 0 < sigma < math.inf:
        raise ValueError(f"denoising_score_matching needs noise, sigma above 0; got {sigma}")
    x = check_samples(x, "denoising_score_matching").detach()
    z = randn(*x.shape, dtype=x.dtype, generator=generator)
    with enable_grad():
        difference = score(energy, (x + sigma * z).requires_grad_()) + z / sigma
        return 0.5 * (difference * difference).flatten(1).sum(1).mean()


# ---- Training with samples -----------------------------------------------------------------------


class EnergyModel(nn.Module):
    """An energy trained by maximum likelihood, with samples from Langevin dynamics.

    The gradient of E −log p(x) is E ∇E(data) − E ∇E(samples). Samples are taken from a buffer of
    chains, moved on by some Langevin steps, and put back (Tieleman 2008; Du & Mordatch 2019,
    "Implicit generation and modeling with energy-based models"; Nijkamp et al. 2019).

    energy: samples [B, *shape] -> [B]; a network that says its `shape`.
    steps, step_size: of x ← x − h ∇E(x) + √(2h) z. It has to be well below twice the variance of
        the narrowest part of the data.
    chains: how many there are in the buffer, which checkpoints hold.
    fresh: the share of samples that start anew instead, from N(0, scale²), to find new modes.
    """

    chains: Tensor

    def __init__(
        self,
        energy: nn.Module,
        *,
        steps: int = 20,
        step_size: float = 0.01,
        chains: int = 5000,
        fresh: float = 0.05,
        scale: float = 1.0,
    ):
        super().__init__()
        if min(steps, chains) < 1 or min(step_size, scale) <= 0 or not 0 <= fresh <= 1:
            raise ValueError(
                "EnergyModel: steps and chains must be at least 1, step_size and scale above 0, "
                f"and fresh between 0 and 1; got {steps=}, {chains=}, {step_size=}, {scale=}, "
                f"{fresh=}"
            )
        if any(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in energy.modules()):
            raise ValueError(
                "EnergyModel: with batch norm a sample's energy depends on the other samples, and "
                "there is no density; use layer norm, or none"
            )
        self.energy, self.steps, self.step_size = energy, steps, step_size
        self.fresh, self.scale = fresh, scale
        self.register_buffer("chains", self.start(chains))

    def start(self, n: int, generator: Generator | None = None) -> Tensor:
        """Where chains begin, N(0, scale²): [n, *shape]"""
        dtype = next(self.energy.parameters()).dtype
        return self.scale * randn(n, *self.energy.shape, dtype=dtype, generator=generator)

    def move(self, x: Tensor, steps: int, *, generator: Generator | None = None) -> Tensor:
        """x [n, *shape] after so many steps of Langevin dynamics, in its shape."""
        flat_score = lambda flat: score(self.energy, flat.view(x.shape)).flatten(1)
        with np.errstate(over="ignore", invalid="ignore"):  # what diverges is told of below
            run = langevin(flat_score, x.flatten(1), 1, thinning=steps, step_size=self.step_size,
                           generator=generator)  # fmt: skip
        moved = run.flat.view(x.shape)
        if not np.isfinite(moved.array).all():
            raise FloatingPointError(
                f"EnergyModel: Langevin chains went to infinity, with step_size={self.step_size}; "
                "make it smaller, or give the energy a term that confines them"
            )
        return moved

    def sample(self, n: int, steps: int = 1000, *, generator: Generator | None = None) -> Tensor:
        """n samples [n, *shape]: chains from noise, of so many steps."""
        return self.move(self.start(n, generator), steps, generator=generator)

    def negatives(self, n: int, *, generator: Generator | None = None) -> Tensor:
        """n samples [n, *shape] of the buffer, moved on; the buffer has them thereafter."""
        if n > len(self.chains):
            raise ValueError(f"EnergyModel: a batch of {n} needs as many chains; there are "
                             f"{len(self.chains)}")  # fmt: skip
        chosen = randperm(len(self.chains), generator=generator)[:n]
        anew = rand(n, *[1] * len(self.energy.shape), generator=generator) < self.fresh
        x = where(anew, self.start(n, generator), self.chains[chosen])
        x = self.move(x, self.steps, generator=generator)
        self.chains.array[chosen.array] = x.array
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Energies of x [B, *shape]: [B]"""
        return energies(self.energy, x)

    def loss(
        self, x: Tensor, *, penalty: float = 0.0, generator: Generator | None = None
    ) -> Tensor:
        """E E(x) − E E(samples), as many samples as there are data x [B, *shape].

        penalty: times E [E(x)² + E(samples)²], which keeps energies near 0 (Du & Mordatch 2019,
            section 3.3).
        """
        check_samples(x, "EnergyModel.loss")
        data, samples = self(x), self(self.negatives(len(x), generator=generator))
        loss = data.mean() - samples.mean()
        if penalty:
            loss = loss + penalty * ((data * data).mean() + (samples * samples).mean())
        return loss
