"""tinygen: generative models by hand, and the autodiff engine under them.

    import tinygen as tg

    w = tg.randn(3, requires_grad=True)
    loss = ((tg.tensor([1.0, 2.0, 3.0]) * w).sum() - 1) ** 2
    loss.backward()
    w.grad

The names are PyTorch's. The engine is in `tinygen.autograd`; read it from `autograd/tensor.py` on.
"""

from . import autograd, nn, optim
from .autograd.creation import (
    arange,
    as_tensor,
    empty,
    empty_like,
    eye,
    from_dlpack,
    from_numpy,
    full,
    full_like,
    is_floating_point,
    is_tensor,
    linspace,
    numel,
    ones,
    ones_like,
    tensor,
    zeros,
    zeros_like,
)
from .autograd.devices import backends, cuda, device
from .autograd.dtypes import (
    bool_ as bool,
)
from .autograd.dtypes import (
    float16,
    float32,
    float64,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    set_default_dtype,
    uint8,
)
from .autograd.grad_mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .autograd.ops.compare import (
    allclose,
    ceil,
    eq,
    floor,
    ge,
    gt,
    isclose,
    isfinite,
    isinf,
    isnan,
    le,
    logical_and,
    logical_not,
    logical_or,
    lt,
    ne,
    round,
    sign,
    trunc,
)
from .autograd.ops.composed import (
    cosh,
    lerp,
    log2,
    log10,
    logaddexp,
    reciprocal,
    rsqrt,
    sinh,
    square,
    tan,
    xlogy,
)
from .autograd.ops.elementwise import (
    abs,
    add,
    atan,
    atan2,
    clamp,
    clone,
    cos,
    div,
    erf,
    exp,
    expm1,
    floor_divide,
    log,
    log1p,
    maximum,
    minimum,
    mul,
    neg,
    pow,
    relu,
    remainder,
    sigmoid,
    sin,
    sqrt,
    sub,
    tanh,
    where,
)
from .autograd.ops.index import (
    gather,
    index_select,
    masked_fill,
    masked_select,
    nonzero,
    scatter,
    scatter_add,
    take_along_dim,
)
from .autograd.ops.linalg import bmm, dot, matmul, mm, mv, outer
from .autograd.ops.order import argmax, argmin, argsort, max, min, sort, topk
from .autograd.ops.reduce import (
    all,
    amax,
    amin,
    any,
    cumsum,
    log_softmax,
    logsumexp,
    mean,
    norm,
    prod,
    softmax,
    std,
    sum,
    var,
)
from .autograd.ops.shape import (
    cat,
    chunk,
    flatten,
    flip,
    movedim,
    narrow,
    permute,
    repeat,
    reshape,
    roll,
    split,
    squeeze,
    stack,
    transpose,
    tril,
    triu,
    unbind,
    unflatten,
    unsqueeze,
)
from .autograd.random import (
    Generator,
    bernoulli,
    default_generator,
    get_rng_state,
    manual_seed,
    multinomial,
    normal,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
    set_rng_state,
)
from .autograd.tensor import Tensor
from .kernels.jit import get_num_threads, set_num_threads
from .serialization import load, save

__version__ = "0.1.0"

float = float32
double = float64
half = float16
long = int64
int = int32
short = int16
concat = concatenate = cat
inference_mode = no_grad
