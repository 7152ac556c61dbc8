"""Special functions under the names of torch.special, and SciPy's for those that PyTorch lacks; the
ops are in `tinygen.autograd.ops`.

Distribution functions and their inverses: of the normal `ndtr`, `ndtri`; of gamma variables
`gammainc`, `gammaincinv`; of beta variables `betainc`, `betaincinv`; of Student's t `stdtr`,
`stdtrit`. All can be differentiated in all arguments.
"""

from .autograd.ops.elementwise import erf, exp2, expm1, log1p
from .autograd.ops.incomplete_beta import betainc, betaincinv, stdtr, stdtrit
from .autograd.ops.incomplete_gamma import gammainc, gammaincc, gammaincinv
from .autograd.ops.reduce import logsumexp
from .autograd.ops.softmax import log_softmax, softmax
from .autograd.ops.special import (
    digamma,
    erfc,
    erfinv,
    expit,
    gammaln,
    logit,
    ndtr,
    ndtri,
    polygamma,
    psi,
    sinc,
    xlog1py,
    xlogy,
)

__all__ = [
    "betainc", "betaincinv", "digamma", "erf", "erfc", "erfinv", "exp2", "expit", "expm1",
    "gammainc", "gammaincc", "gammaincinv", "gammaln", "log1p", "log_softmax", "logit",
    "logsumexp", "ndtr", "ndtri", "polygamma", "psi", "sinc", "softmax", "stdtr", "stdtrit",
    "xlog1py", "xlogy",
]  # fmt: skip
