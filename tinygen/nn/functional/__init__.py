"""nn.functional: layers, activations and losses as functions; conventionally imported as F.

    activation       what is applied to every element, and the softmax
    layer            linear, embedding, layer norm, dropout
    attention        scaled dot-product attention
    regression       losses that compare numbers with numbers
    classification   losses that compare scores with labels

All are ops or compositions of ops, so none needs a gradient of its own.
"""

from .activation import (
    elu,
    gelu,
    glu,
    hardtanh,
    leaky_relu,
    log_softmax,
    logsigmoid,
    mish,
    relu,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    softsign,
    tanh,
)  # fmt: skip
from .attention import scaled_dot_product_attention
from .classification import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    kl_div,
    nll_loss,
)  # fmt: skip
from .layer import dropout, embedding, layer_norm, linear, one_hot
from .regression import gaussian_nll_loss, huber_loss, l1_loss, mse_loss, smooth_l1_loss

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "dropout", "elu",
    "embedding", "gaussian_nll_loss", "gelu", "glu", "hardtanh", "huber_loss", "kl_div", "l1_loss",
    "layer_norm", "leaky_relu", "linear", "log_softmax", "logsigmoid", "mish", "mse_loss",
    "nll_loss", "one_hot", "relu", "scaled_dot_product_attention", "selu", "sigmoid", "silu",
    "smooth_l1_loss", "softmax", "softplus", "softsign", "tanh",
]  # fmt: skip
