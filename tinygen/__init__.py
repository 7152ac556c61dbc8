"""tinygen: generative models by hand, and the autodiff engine under them.

    import tinygen as tg

    w = tg.randn(3, requires_grad=True)
    loss = ((tg.tensor([1.0, 2.0, 3.0]) * w).sum() - 1) ** 2
    loss.backward()
    w.grad

The names are PyTorch's. The engine is in `tinygen.autograd`; read it from `autograd/tensor.py` on.
"""

from . import (
    autograd,
    data,
    distributions,
    linalg,
    nn,
    ode,
    optim,
    sampling,
    sde,
    special,
    utils,
    viz,
)
from .autograd.creation import *
from .autograd.devices import backends, cuda, device
from .autograd.dtypes import (
    bool_ as bool,
)
from .autograd.dtypes import (
    can_cast,
    finfo,
    float16,
    float32,
    float64,
    get_default_dtype,
    iinfo,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    result_type,
    set_default_dtype,
    uint8,
)
from .autograd.grad_mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .autograd.ops.aliases import *
from .autograd.ops.along import *
from .autograd.ops.arrange import *
from .autograd.ops.choose import *
from .autograd.ops.compare import *
from .autograd.ops.composed import *
from .autograd.ops.diagonal import *
from .autograd.ops.elementwise import *
from .autograd.ops.index import *
from .autograd.ops.join import *
from .autograd.ops.linalg import *
from .autograd.ops.mask import *
from .autograd.ops.order import *
from .autograd.ops.reduce import *
from .autograd.ops.scan import *
from .autograd.ops.scatter import *
from .autograd.ops.shape import *
from .autograd.ops.slices import *
from .autograd.ops.softmax import *
from .autograd.ops.special import *
from .autograd.ops.statistics import *
from .autograd.random import *
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
inference_mode = no_grad
