"""Linear algebra under the names of torch.linalg; the ops are in `tinygen.autograd.ops.linalg`.

Matrices are the last two dimensions, [..., m, n]; those before are a stack of them. Everything can
be differentiated, as often as you like; eigenvectors and singular vectors, as far as they are
determined. A matrix for which there is no result is a LinAlgError, which names it.
"""

from .autograd.ops.linalg.common import LinAlgError
from .autograd.ops.linalg.exponential import matrix_exp
from .autograd.ops.linalg.factors import cholesky, cholesky_ex, qr
from .autograd.ops.linalg.lu import lu, lu_factor, lu_factor_ex
from .autograd.ops.linalg.lu import solve_lu as lu_solve
from .autograd.ops.linalg.matrices import linalg_cross as cross
from .autograd.ops.linalg.matrices import linalg_diagonal as diagonal
from .autograd.ops.linalg.matrices import (
    matrix_power,
    multi_dot,
    vander,
    vecdot,
)
from .autograd.ops.linalg.norms import cond, matrix_norm, norm, vector_norm
from .autograd.ops.linalg.products import matmul
from .autograd.ops.linalg.spectra import eigh, eigvalsh, svd, svdvals
from .autograd.ops.linalg.systems import (
    det,
    inv,
    inv_ex,
    lstsq,
    matrix_rank,
    pinv,
    slogdet,
    solve,
    solve_ex,
    solve_triangular,
    tensorinv,
    tensorsolve,
)

__all__ = [
    "LinAlgError", "cholesky", "cholesky_ex", "cond", "cross", "det", "diagonal", "eigh",
    "eigvalsh", "inv", "inv_ex", "lstsq", "lu", "lu_factor", "lu_factor_ex", "lu_solve", "matmul",
    "matrix_exp", "matrix_norm", "matrix_power", "matrix_rank", "multi_dot", "norm", "pinv", "qr",
    "slogdet", "solve", "solve_ex", "solve_triangular", "svd", "svdvals", "tensorinv",
    "tensorsolve", "vander", "vecdot", "vector_norm",
]  # fmt: skip
