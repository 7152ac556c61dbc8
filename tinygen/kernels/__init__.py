"""The kernels: plain functions from NumPy arrays to NumPy arrays, compiled with Numba at first use.

Nothing here knows of tensors or gradients. Each module is one kernel: `matmul`, `attention`,
`layer_norm`, `cross_entropy`, `gelu`, `embedding`, `conv`, `optimizers`, `random`, `paths`. Next to
each lie the NumPy lines that it must equal; they run in its place under TINYGEN_JIT=0, and for
dtypes that it does not serve.

Below them lie `jit`, through which everything is compiled, `cache`, where that is kept, `simd`, a
vector of float32, `tile`, the part of a matrix product that stays in registers, and `philox`,
random bits. Read `layer_norm` first.
"""
