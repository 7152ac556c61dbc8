"""nn.functional: layers, activations and losses as functions; conventionally imported as F.

    activation       what is applied to every element
    softmax          what mixes the elements along an axis
    layer            linear, embedding, layer norm, dropout
    attention        scaled dot-product attention
    regression       losses that compare numbers with numbers
    classification   losses that compare scores with labels

All are ops or compositions of ops, so none needs a gradient of its own.
"""

from .activation import *
from .attention import *
from .classification import *
from .layer import *
from .regression import *
from .softmax import *
