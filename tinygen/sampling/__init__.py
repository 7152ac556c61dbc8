"""Drawing from a distribution of which only the density is known, up to a constant.

    log_prob = lambda x: -0.5 * (x * x).sum(-1)             # [chains, dim] -> [chains]
    chains = tg.sampling.hmc(log_prob, tg.randn(8, 2), 1000, warmup=500)
    chains.samples                                          # [1000, 8, 2]
    tg.sampling.r_hat(chains.samples), tg.sampling.effective_sample_size(chains.samples)

    independent         inverse transform, rejection, importance: every draw by itself
    metropolis          Metropolis-Hastings with any proposal, and Gibbs: chains without gradients
    langevin_dynamics   unadjusted, Metropolis-adjusted, annealed
    hamiltonian         Hamiltonian Monte Carlo
    diagnostics         how many independent draws a chain is worth, and whether chains agree

All chains are run at once, as rows of a tensor [chains, dim]. Randomness comes from `generator`.
"""

from .diagnostics import *
from .hamiltonian import *
from .independent import *
from .langevin_dynamics import *
from .metropolis import *
