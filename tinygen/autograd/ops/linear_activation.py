"""A linear layer with its activation: one product that writes back the activation's values."""

from ...kernels import matmul as kernels
from ...kernels import write_back as forms
from ..fused import Fused, gelu, rows
from ..grad_mode import grad_mode
from .activation import leaky_relu, silu
from .elementwise import relu, sigmoid, tanh
from .linalg.products import check_features, linear

ACTIVATIONS = {
    "relu": (forms.RELU, relu),
    "leaky_relu": (forms.LEAKY_RELU, leaky_relu),
    "tanh": (forms.TANH, tanh),
    "sigmoid": (forms.SIGMOID, sigmoid),
    "gelu": (forms.GELU_ERF, gelu),
    "gelu_tanh": (forms.GELU_TANH, lambda x: gelu(x, "tanh")),
    "silu": (forms.SILU, silu),
}


@Fused
def linear_activation(x, weight, bias=None, activation="relu", slope=0.01):
    """f(x weight' + bias): x [..., in], weight [out, in], bias [out]; [..., out]. f is "relu",
    "leaky_relu" (with a slope > 0), "tanh", "sigmoid", "gelu", "gelu_tanh" or "silu"."""
    _, function = chosen(activation, slope)
    z = linear(x, weight, bias)
    return function(z, slope) if activation == "leaky_relu" else function(z)


def chosen(activation, slope):
    if activation not in ACTIVATIONS:
        names = ", ".join(f'"{name}"' for name in ACTIVATIONS)
        raise ValueError(f"linear_activation: activation must be one of {names}: {activation!r}")
    if activation == "leaky_relu" and not slope > 0:
        raise ValueError(f"linear_activation: the slope of leaky_relu must be > 0, not {slope}")
    return ACTIVATIONS[activation]


@linear_activation.kernel
def _(x, weight, bias, activation, slope):
    form, _ = chosen(activation, slope)
    check_features(x, weight)
    dtype = next(a.dtype for a in (weight, x, bias) if a is not None and a.dtype.kind == "f")
    of_type = lambda a: a.astype(dtype, copy=False)
    y, kept = kernels.linear(
        of_type(rows(x)), of_type(weight), bias, form, slope, keep=grad_mode.enabled
    )
    out = y.reshape(*x.shape[:-1], len(weight))
    return out, (out if kept is y else kept,)


@linear_activation.gradient
def _(g, saved, wanted, x, weight, bias, activation, slope):
    form, _ = ACTIVATIONS[activation]
    dz, dbias = forms.gradient(form, slope, rows(g), rows(saved[0]))
    dx = kernels.matmul(dz, weight).reshape(x.shape) if wanted[0] else None
    dweight = kernels.matmul(dz.T, rows(x).astype(dz.dtype, copy=False)) if wanted[1] else None
    return dx, dweight, dbias if wanted[2] else None, None, None
