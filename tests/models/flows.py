"""What the tests of flows share."""

import numpy as np

from tinygen.models.flow import Flow


def randomized(flow: Flow, spread: float = 0.15, seed: int = 0) -> Flow:
    """The flow in float64 and evaluation mode, its weights different from those of the identity."""
    rng = np.random.default_rng(seed)
    for p in flow.double().eval().parameters():
        p.array[...] += spread * rng.standard_normal(p.shape)
    return flow
