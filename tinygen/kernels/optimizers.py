"""One step of an optimizer for many arrays at once, in place.

With g the gradient, or its opposite to maximize, and λ the weight decay:

    SGD      g += λ p;   b = μ b + (1 - dampening) g, or at first g;
             p -= lr b,  or with Nesterov's momentum  p -= lr (g + μ b)
    Adam     g += λ p, or decoupled (AdamW): p *= 1 - lr λ
             m += (1 - β1) (g - m);   v = β2 v + (1 - β2) g²;   AMSGrad: w = max(w, v), else w = v
             p -= lr / (1 - β1^t) m / (sqrt(w) / sqrt(1 - β2^t) + eps)
    RMSprop  g += λ p;   v = α v + (1 - α) g²;   centered: m += (1 - α) (g - m), else m = 0
             b = μ b + g / (sqrt(v - m²) + eps);   p -= lr b
    Adagrad  g += λ p;   s += g²;   p -= lr / (1 + (t - 1) decay) g / (sqrt(s) + eps)

t = 1, 2, ... is the number of the step. The papers stand in tinygen/optim. The NumPy lines do their
operations in PyTorch's order, the kernel as is quickest. Elements don't depend on one another: one
loop over those of all arrays, end to end, of which each thread takes an equal part.

The arrays lie where they are. The kernel gets their addresses, in tables.
"""

import math
from operator import is_
from typing import Any

import numpy as np

from tinygen.kernels.jit import ENABLED, kernel, plain, prange, threads_for
from tinygen.kernels.pointwise import filled_in

# pyright: reportPossiblyUnboundVariable=false
if ENABLED:
    from tinygen.kernels.simd import (
        LANES,
        floats_at,
        integer_at,
        load_first,
        maximum,
        sqrt,
        store_first,
    )

PARALLEL = 16_384  # elements: there one thread takes 18 µs, and to share work costs about 4
PIECE = 16_384  # elements that the NumPy lines take at a time: few enough to stay in the cache
SGD, ADAM, RMSPROP, ADAGRAD = range(4)

# ---- NumPy lines ---------------------------------------------------------------------------------


def sgd_reference(t, options, p, g, b=None):
    lr, momentum, dampening, decay, nesterov, sign, _, _ = options
    g = sign * g + decay * p
    if momentum:
        b[...] = g if t == 1 else momentum * b + (1 - dampening) * g
        g = g + momentum * b if nesterov else b
    p -= lr * g


def adam_reference(t, options, p, g, m, v, w=None):
    lr, beta1, beta2, eps, decay, decoupled, amsgrad, sign = options
    g = sign * g
    if decoupled:
        p *= 1 - lr * decay
    else:
        g += decay * p
    m += (1 - beta1) * (g - m)
    v *= beta2
    v += (1 - beta2) * g * g
    if amsgrad:
        np.maximum(w, v, out=w)
    root = np.sqrt(w if amsgrad else v) / math.sqrt(1 - beta2**t) + eps
    p -= lr / (1 - beta1**t) * (m / root)


def rmsprop_reference(t, options, p, g, v, *buffers):
    lr, alpha, eps, decay, momentum, centered, sign, _ = options
    g = sign * g + decay * p
    v *= alpha
    v += (1 - alpha) * g * g
    square = v
    if centered:
        m = buffers[-1]
        m += (1 - alpha) * (g - m)
        square = np.maximum(v - m * m, 0)  # which rounding could make negative
    step = g / (np.sqrt(square) + eps)
    if momentum:
        b = buffers[0]
        b *= momentum
        b += step
        step = b
    p -= lr * step


def adagrad_reference(t, options, p, g, s):
    lr, lr_decay, eps, decay, sign, _, _, _ = options
    g = sign * g + decay * p
    s += g * g
    p -= lr / (1 + (t - 1) * lr_decay) * (g / (np.sqrt(s) + eps))


REFERENCES = (sgd_reference, adam_reference, rmsprop_reference, adagrad_reference)


def step_reference(form, arrays, t, options):
    """`arrays` are p, g and the state, of one shape."""
    p, _, *state = arrays
    with np.errstate(invalid="ignore", over="ignore"):
        if not all(a.flags.c_contiguous for a in (p, *state)):
            REFERENCES[form](t, options, *arrays)
            return
        arrays = [a.reshape(-1) for a in arrays]
        for begin in range(0, p.size, PIECE):
            piece = slice(begin, begin + PIECE)
            REFERENCES[form](t, options, *(a[piece] for a in arrays))


# ---- Public functions ----------------------------------------------------------------------------


class Table:
    """The addresses of arrays: looked up anew only when they are other ones than before."""

    def __init__(self):
        self.arrays: list[np.ndarray] = []

    def served(self, kept: list[list[np.ndarray]]) -> bool:
        """Whether the kernel takes these arrays: their addresses are then in `places` [4, n]."""
        arrays = [a for arrays in kept for a in arrays]
        if len(arrays) != len(self.arrays) or not all(map(is_, arrays, self.arrays)):
            self.arrays = arrays  # nobody else can get these addresses while they are held here
            self.fit = ENABLED and all(a.dtype == np.float32 and a.flags.carray for a in arrays)
            if self.fit:
                self.places = np.zeros((4, len(kept[0])), np.int64)
                self.places[: len(kept)] = [addresses(arrays) for arrays in kept]
                self.ends = np.cumsum([a.size for a in kept[0]])
        return self.fit

    def __reduce__(self):  # the arrays of a copy lie elsewhere
        return Table, ()


HEADER = object.__basicsize__  # bytes of every Python object; an array's data pointer comes next


def addresses(arrays: list[np.ndarray]) -> np.ndarray:
    """[n] Where each array begins: as array.ctypes.data, which takes 1 µs an array, in 0.05."""
    places = np.fromiter(map(id, arrays), np.int64, len(arrays))
    places += HEADER
    follow(places)
    return places


def step(form: int, params: list, grads: list, states: list[list], steps: list[int], options,
         table: Table) -> None:  # fmt: skip
    """One step for each of `params` and its gradient in `grads`, lists of arrays.

    states: lists of arrays too, of what the NumPy line of `form` takes after p and g.
    steps: for each parameter, the number of this step: 1, 2, ...
    options: the eight numbers that it unpacks.
    table: one and the same for the same parameters, in which addresses are remembered.
    """
    options = tuple(map(float, options))
    if table.served([params, *states]):
        grads = [plain(g) for g in grads]  # held here until the kernel has read them
        threads = threads_for(int(table.ends[-1]), PARALLEL)
        KERNELS[form](table.ends, table.places, addresses(grads), np.array(steps), options, threads)
    else:
        for t, *arrays in zip(steps, params, grads, *states):
            step_reference(form, arrays, t, options)


@kernel(signature="void(int64[::1])")
def follow(places):
    """Replace each address by the one that is written there."""
    for i in range(places.size):
        places[i] = integer_at(places[i])


# ---- The formulas, of vectors --------------------------------------------------------------------


@kernel
def sgd(t, p, g, velocity, _b, _c, options, first, last):
    lr, momentum, dampening, decay, nesterov, sign, _, _ = options
    for i in range(first, last, LANES):
        left = last - i
        x = load_first(p, i, left)
        gradient = load_first(g, i, left) * sign + x * decay
        if momentum != 0:
            v = gradient
            if t > 1:
                v = load_first(velocity, i, left) * momentum + gradient * (1 - dampening)
            store_first(velocity, i, v, left)
            gradient = gradient + v * momentum if nesterov != 0 else v
        store_first(p, i, x - gradient * lr, left)


@kernel
def adam(t, p, g, mean, square, largest, options, first, last):
    lr, beta1, beta2, eps, decay, decoupled, amsgrad, sign = options
    penalty, shrink = (0.0, 1 - lr * decay) if decoupled != 0 else (decay, 1.0)
    correction = math.sqrt(1 - beta2**t)
    pace, eps = lr / (1 - beta1**t) * correction, eps * correction  # for one division, not two
    for i in range(first, last, LANES):
        left = last - i
        x = load_first(p, i, left)
        gradient = load_first(g, i, left) * sign + x * penalty
        m = load_first(mean, i, left)
        m = m + (gradient - m) * (1 - beta1)
        v = load_first(square, i, left) * beta2 + gradient * (1 - beta2) * gradient
        store_first(mean, i, m, left)
        store_first(square, i, v, left)
        if amsgrad != 0:
            v = maximum(load_first(largest, i, left), v)
            store_first(largest, i, v, left)
        store_first(p, i, x * shrink - m / (sqrt(v) + eps) * pace, left)


@kernel
def rmsprop(t, p, g, square, second, third, options, first, last):
    lr, alpha, eps, decay, momentum, centered, sign, _ = options
    velocity, mean = second, third if momentum != 0 else second
    for i in range(first, last, LANES):
        left = last - i
        x = load_first(p, i, left)
        gradient = load_first(g, i, left) * sign + x * decay
        v = load_first(square, i, left) * alpha + gradient * (1 - alpha) * gradient
        store_first(square, i, v, left)
        if centered != 0:
            m = load_first(mean, i, left)
            m = m + (gradient - m) * (1 - alpha)
            store_first(mean, i, m, left)
            v = maximum(v - m * m, 0.0)
        step = gradient / (sqrt(v) + eps)
        if momentum != 0:
            step = load_first(velocity, i, left) * momentum + step
            store_first(velocity, i, step, left)
        store_first(p, i, x - step * lr, left)


@kernel
def adagrad(t, p, g, total, _b, _c, options, first, last):
    lr, lr_decay, eps, decay, sign, _, _, _ = options
    pace = lr / (1 + (t - 1) * lr_decay)
    for i in range(first, last, LANES):
        left = last - i
        x = load_first(p, i, left)
        gradient = load_first(g, i, left) * sign + x * decay
        s = load_first(total, i, left) + gradient * gradient
        store_first(total, i, s, left)
        store_first(p, i, x - gradient / (sqrt(s) + eps) * pace, left)


# ---- Templates of the loops: `update` and `part` are named when they are filled in ---------------

update: Any = None
part: Any = None


def step_all(ends, places, grads, steps, options, threads):
    n = ends[-1]
    if threads == 1:
        part(ends, places, grads, steps, options, 0, n)
    else:
        for t in prange(threads):
            part(ends, places, grads, steps, options, t * n // threads, (t + 1) * n // threads)


def step_part(ends, places, grads, steps, options, begin, end):
    """Elements `begin` to `end` of all arrays, counted from the first one of the first array."""
    start = 0
    for k in range(ends.size):
        first, last = max(begin - start, 0), min(end, ends[k]) - start
        start = ends[k]
        if first < last:
            p, g = floats_at(places[0, k]), floats_at(grads[k])
            a, b, c = floats_at(places[1, k]), floats_at(places[2, k]), floats_at(places[3, k])
            update(steps[k], p, g, a, b, c, options, first, last)


def over_all(update):
    """The loops with one formula in them: nobody waits for the compilation of the other three."""
    inner = filled_in(step_part, f"step_part_{update.__name__}", update=update)
    outer = filled_in(step_all, f"step_all_{update.__name__}", part=kernel(inner))
    return kernel(
        outer,
        parallel=True,
        signature="void(int64[::1], int64[:, ::1], int64[::1], int64[::1], "
        "UniTuple(float64, 8), intp)",
    )


KERNELS = tuple(map(over_all, (sgd, adam, rmsprop, adagrad)))
