"""What a matrix product does to C on its way out, and the gradient of that.

    Z = A B + bias,   C = f(Z);        dZ = dC f'(Z),   dbias = column sums of dZ

The product calls `write_back` on every finished panel of C, which then still lies in the cache:
a pass over memory less than for a bias, and another one for an activation f. Backward is one pass
as well: it reads dC and what was kept, writes dZ, and adds up its columns.

What is kept for the gradient is C itself, from which f' can be told; but Z for GELU and SiLU, which
take the same value twice.
"""

import numpy as np

from tinygen.kernels import activations, gelu
from tinygen.kernels.jit import ENABLED, c_function, kernel, plain, prange, serves, threads_for

# pyright: reportPossiblyUnboundVariable=false
if ENABLED:
    from tinygen.kernels.simd import LANES, load_first, maximum, store_first, tanh, where
    from tinygen.kernels.tile import POINTER

    sigmoid, silu = activations.sigmoid.of_vectors, activations.silu.of_vectors
    relu_gradient = activations.relu_gradient.of_vectors
    leaky_relu_gradient = activations.leaky_relu_gradient.of_vectors
    tanh_gradient = activations.tanh_gradient.of_vectors
    sigmoid_gradient = activations.sigmoid_gradient.of_vectors
    silu_gradient = activations.silu_gradient.of_vectors
    erf_gelu, tanh_gelu = gelu.erf_gelu.of_vectors, gelu.tanh_gelu.of_vectors
    erf_gelu_gradient = gelu.erf_gelu_gradient.of_vectors
    tanh_gelu_gradient = gelu.tanh_gelu_gradient.of_vectors
else:
    LANES, POINTER = 1, ""

IDENTITY, RELU, LEAKY_RELU, TANH, SIGMOID, GELU_ERF, GELU_TANH, SILU = range(8)
KEEPS_Z = GELU_ERF  # this form and those after it


# ---- NumPy lines ---------------------------------------------------------------------------------


def value_reference(form: int, z: np.ndarray, slope: float) -> np.ndarray:
    """f(z), elementwise. `slope` is that of leaky ReLU, of a positive number."""
    if form == RELU:
        return np.maximum(z, 0)
    if form == LEAKY_RELU:
        return np.where(z > 0, z, z * z.dtype.type(slope))
    if form == TANH:
        return np.tanh(z)
    if form == SIGMOID:
        return activations.sigmoid.of_arrays(z)
    if form == SILU:
        return activations.silu.of_arrays(z)
    if form in GELU:
        return gelu.FORMS[GELU[form]][0].of_arrays(z)
    return z


def gradient_reference(form, slope, g, kept):
    """g f'(z): from C, or from Z in the forms that keep it."""
    if form == RELU:
        return activations.relu_gradient.of_arrays(g, kept)
    if form == LEAKY_RELU:
        return activations.leaky_relu_gradient.of_arrays(g, kept, slope)
    if form == TANH:
        return activations.tanh_gradient.of_arrays(g, kept)
    if form == SIGMOID:
        return activations.sigmoid_gradient.of_arrays(g, kept)
    if form == SILU:
        return activations.silu_gradient.of_arrays(g, kept)
    if form in GELU:
        return gelu.FORMS[GELU[form]][1].of_arrays(g, kept)
    return g


GELU = {GELU_ERF: "none", GELU_TANH: "tanh"}


# ---- Forward: one panel of C ---------------------------------------------------------------------


@c_function(
    f"void(intp, float32, {POINTER}, intp, intp, intp, intp, {POINTER}, intp, {POINTER}, boolean)"
)
def write_back(form, slope, c, c_at, c_row, rows, width, bias, bias_at, kept, keeps):
    """C[rows, width] = f(Z), Z = C + bias (without bias if bias_at < 0); with `keeps`, Z is written
    to `kept`, where C is in its own array."""
    for at in range(c_at, c_at + rows * c_row, c_row):
        for j in range(0, width, LANES):
            left = width - j
            z = load_first(c, at + j, left)
            if bias_at >= 0:
                z = z + load_first(bias, bias_at + j, left)
            if keeps:
                store_first(kept, at + j, z, left)
            store_first(c, at + j, value(form, slope, z), left)


@kernel
def value(form, slope, z):
    """f(z) of a vector."""
    if form == IDENTITY:
        return z
    if form == RELU:
        return maximum(z, 0.0)
    if form == LEAKY_RELU:
        return where(z > 0.0, z, z * slope)
    if form == TANH:
        return tanh(z)
    if form == SIGMOID:
        return sigmoid(z)
    if form == GELU_ERF:
        return erf_gelu(z)
    if form == GELU_TANH:
        return tanh_gelu(z)
    return silu(z)


# ---- Backward ------------------------------------------------------------------------------------

CHUNKS = 16  # pieces in which rows are summed up, whatever the number of threads
STRIP = 8  # rows whose sum stays in a register: what was just stored is slow to be loaded again
PARALLEL = 16_384  # elements: there GELU takes one thread 32 µs and two 25, ReLU 12 and 15
PARALLEL_SUM = 131_072  # elements that are only added up: there both take 13 µs


def gradient(
    form: int, slope: float, g: np.ndarray, kept: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """g f'(z) [rows, columns], the gradient of the product, and the sum of its rows [columns], that
    of the bias, for the cotangent g of C; `kept` is C, or Z in the forms that keep it."""
    if form == IDENTITY:
        return g, column_sum(g)
    if not (serves(g) and serves(kept)) or g.size == 0:
        dz = gradient_reference(form, slope, g, kept)
        return dz, dz.sum(0)
    dz, sums = np.empty(g.shape, np.float32), np.zeros((CHUNKS, g.shape[1]), np.float32)
    threads = threads_for(g.size, PARALLEL)
    gradient_chunks(form, slope, plain(g), plain(kept), dz, sums, threads)
    return dz, np.add.reduce(sums)


def column_sum(x: np.ndarray) -> np.ndarray:
    """The sum [columns] of the rows of x [rows, columns]: the gradient of a bias."""
    if not serves(x) or x.size == 0:
        return x.sum(0)
    x, sums = plain(x), np.zeros((CHUNKS, x.shape[1]), np.float32)
    gradient_chunks(IDENTITY, 0.0, x, x, x, sums, threads_for(x.size, PARALLEL_SUM))
    return np.add.reduce(sums)


@c_function(f"void(intp, intp, intp, float32, {', '.join([POINTER] * 4)}, intp, intp)")
def gradient_part(begin, end, form, slope, g, kept, dz, sums, rows, columns):
    """Some chunks of rows: each row of dZ is written, and added to the sum of its chunk. Within a
    strip of rows, down the columns; so that memory is read nearly as it lies."""
    for chunk in range(begin, end):
        stop = (chunk + 1) * rows // CHUNKS
        for top in range(chunk * rows // CHUNKS, stop, STRIP):
            bottom = min(top + STRIP, stop)
            for j in range(0, columns, LANES):
                left = columns - j
                total = load_first(sums, chunk * columns + j, left)
                for row in range(top, bottom):
                    d = load_first(g, row * columns + j, left)
                    if form != IDENTITY:
                        d = through(form, slope, d, load_first(kept, row * columns + j, left))
                        store_first(dz, row * columns + j, d, left)
                    total = total + d
                store_first(sums, chunk * columns + j, total, left)


@kernel
def through(form, slope, g, kept):
    """g f' of vectors, from C, or from Z in the forms that keep it."""
    if form == RELU:
        return relu_gradient(g, kept)
    if form == LEAKY_RELU:
        return leaky_relu_gradient(g, kept, slope)
    if form == TANH:
        return tanh_gradient(g, kept)
    if form == SIGMOID:
        return sigmoid_gradient(g, kept)
    if form == GELU_ERF:
        return erf_gelu_gradient(g, kept)
    if form == GELU_TANH:
        return tanh_gelu_gradient(g, kept)
    return silu_gradient(g, kept)


@kernel(
    parallel=True,
    calls=(gradient_part,),
    signature="void(intp, float32, const(float32[:, ::1]), const(float32[:, ::1]),"
    " float32[:, ::1], float32[:, ::1], intp)",
)
def gradient_chunks(form, slope, g, kept, dz, sums, threads):
    rows, columns = g.shape
    if threads == 1:
        gradient_part(0, CHUNKS, form, slope, g.ctypes, kept.ctypes, dz.ctypes, sums.ctypes,
                      rows, columns)  # fmt: skip
    else:
        for t in prange(threads):
            gradient_part(t * CHUNKS // threads, (t + 1) * CHUNKS // threads, form, slope,
                          g.ctypes, kept.ctypes, dz.ctypes, sums.ctypes, rows, columns)  # fmt: skip
