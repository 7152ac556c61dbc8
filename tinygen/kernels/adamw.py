"""One step of AdamW, or of Adam, in place (Loshchilov and Hutter 2019, algorithm 2).

    m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g²                   (lines 7, 8)
    m̂ = m / (1 - beta1^step),      v̂ = v / (1 - beta2^step)                       (lines 9, 10)
    p = p (1 - lr weight_decay) - lr m̂ / (sqrt(v̂) + eps)                          (line 12)

With decoupled=False weight decay is an L2 penalty, Adam's: g + weight_decay p takes the place of g,
and p is not shrunk (the other colour of the algorithm). p, g, m and v are arrays of one shape: one
loop over all elements. The order of operations is PyTorch's.
"""

import math

import numpy as np

from tinygen.kernels.jit import ENABLED, kernel, prange, threads_for

PARALLEL = 16_384  # elements: there one thread takes 18 µs, and to share work costs about 4


def step_reference(p, g, m, v, shrink, penalty, rate1, beta2, rate2, correction, eps, pace):
    g = g + penalty * p
    p *= shrink
    m += rate1 * (g - m)
    v *= beta2
    v += rate2 * g * g
    p -= pace * (m / (np.sqrt(v) / correction + eps))


def step(
    param: np.ndarray,
    grad: np.ndarray,
    exp_avg: np.ndarray,
    exp_avg_sq: np.ndarray,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    step: int,
    decoupled: bool = True,
) -> None:
    """Update param, exp_avg (m) and exp_avg_sq (v) in place, in step number `step` = 1, 2, ...

    All are of the same shape and dtype; those updated are C-contiguous."""
    coefficients = np.array(
        (
            1 - lr * weight_decay if decoupled else 1,
            0 if decoupled else weight_decay,
            1 - beta1,
            beta2,
            1 - beta2,
            math.sqrt(1 - beta2**step),
            eps,
            lr / (1 - beta1**step),
        ),
        param.dtype,
    )
    if ENABLED and param.dtype in (np.float32, np.float64):
        arrays = (a.reshape(-1) for a in (param, grad, exp_avg, exp_avg_sq))
        update_all(*arrays, coefficients, threads_for(param.size, PARALLEL))
    else:
        step_reference(param, grad, exp_avg, exp_avg_sq, *coefficients)


@kernel(parallel=True)
def update_all(p, g, m, v, coefficients, threads):
    if threads == 1:
        update(p, g, m, v, coefficients)
    else:
        for t in prange(threads):
            part = slice(t * p.size // threads, (t + 1) * p.size // threads)
            update(p[part], g[part], m[part], v[part], coefficients)


@kernel(fastmath={"contract"})
def update(p, g, m, v, coefficients):
    shrink, penalty, rate1, beta2, rate2, correction, eps, pace = (
        coefficients[0], coefficients[1], coefficients[2], coefficients[3],
        coefficients[4], coefficients[5], coefficients[6], coefficients[7],
    )  # fmt: skip
    for i in range(p.size):  # an index that might be negative would keep LLVM from vectors
        gradient = g[i] + penalty * p[i]
        m[i] += rate1 * (gradient - m[i])
        v[i] = beta2 * v[i] + rate2 * gradient * gradient
        p[i] = shrink * p[i] - pace * (m[i] / (math.sqrt(v[i]) / correction + eps))
