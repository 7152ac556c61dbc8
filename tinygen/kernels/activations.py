"""Activations: the formula of each, and what its gradient does to the cotangent g of its output.

Formulas of elements, read by NumPy and by the loops of pointwise.py. No exponential overflows into
a result; where a slope is 0 the gradient is, too, whatever g. The numbers that some take follow
their array. gelu.py has the GELU.
"""

from numpy import abs, exp, expm1, log1p, maximum, minimum, tanh, where

from tinygen.kernels.pointwise import of_one, of_two

# ---- Smooth --------------------------------------------------------------------------------------


@of_one
def sigmoid(x):
    return 1 / (1 + exp(-x))


@of_two
def sigmoid_gradient(g, y):
    """From the output."""
    return g * y * (1 - y)


@of_two
def tanh_gradient(g, y):
    """From the output."""
    return g * (1 - y * y)


@of_one
def silu(x):
    """(Elfwing et al. 2017)"""
    return x * sigmoid(x)


@of_two
def silu_gradient(g, x):
    s = sigmoid(x)
    return g * (s * (1 + x * (1 - s)))


@of_one
def softplus(x, beta, threshold):
    """log(1 + e^bx) / b, but x itself where bx is above the threshold."""
    z = x * beta
    return where(z > threshold, x, (maximum(z, 0) + log1p(exp(-abs(z)))) / beta)


@of_two
def softplus_gradient(g, x, beta, threshold):
    z = x * beta
    return where(z > threshold, g, g * sigmoid(z))


@of_one
def logsigmoid(x):
    return minimum(x, 0) - log1p(exp(-abs(x)))


@of_two
def logsigmoid_gradient(g, x):
    return g * sigmoid(-x)


@of_one
def mish(x):
    """x tanh(log(1 + e^x)) (Misra 2020), which is x n / (n + 2) with n = e^x (e^x + 2)."""
    e = exp(minimum(x, 30))  # beyond it the tanh is 1
    n = e * (e + 2)
    return x * (n / (n + 2))


@of_two
def mish_gradient(g, x):
    e = exp(minimum(x, 30))
    n = e * (e + 2)
    t = n / (n + 2)
    return g * (t + maximum(x, -100) * sigmoid(x) * (1 - t * t))


@of_one
def softsign(x):
    return x / (1 + abs(x))


@of_two
def softsign_gradient(g, x):
    d = 1 + abs(x)
    return g / d / d


@of_one
def tanhshrink(x):
    return x - tanh(x)


@of_two
def tanhshrink_gradient(g, x):
    t = tanh(x)
    return g * t * t


# ---- Straight on one side ------------------------------------------------------------------------


@of_two
def relu_gradient(g, y):
    """From the output."""
    return where(y <= 0, 0, g)


@of_one
def leaky_relu(x, slope):
    return where(x > 0, x, x * slope)


@of_two
def leaky_relu_gradient(g, x, slope):
    return where(x > 0, g, g * slope)


@of_one
def elu(x, alpha, scale, width):
    """Also selu and celu. (Clevert, Unterthiner and Hochreiter 2016)"""
    return where(x > 0, x * scale, scale * alpha * expm1(minimum(x, 0) / width))


@of_two
def elu_gradient(g, x, alpha, scale, width):
    return where(x > 0, g * scale, g * (scale * alpha / width * exp(minimum(x, 0) / width)))


# ---- In straight pieces --------------------------------------------------------------------------


@of_one
def hardtanh(x, low, high):
    return minimum(maximum(x, low), high)


@of_two
def hardtanh_gradient(g, x, low, high):
    return where(x <= low, 0, where(x >= high, 0, g))


@of_one
def hardsigmoid(x):
    return minimum(maximum(x + 3, 0), 6) / 6


@of_two
def hardsigmoid_gradient(g, x):
    return where(x <= -3, 0, where(x >= 3, 0, g / 6))


@of_one
def hardswish(x):
    """(Howard et al. 2019, section 5.2)"""
    return x * (minimum(maximum(x + 3, 0), 6) / 6)


@of_two
def hardswish_gradient(g, x):
    return where(x <= -3, 0, where(x >= 3, g, g * (x / 3 + 0.5)))


@of_one
def hardshrink(x, width):
    return where(abs(x) <= width, 0, x)


@of_one
def softshrink(x, width):
    return x - minimum(maximum(x, -width), width)


@of_two
def shrink_gradient(g, x, width):
    """Of both."""
    return where(abs(x) <= width, 0, g)
