"""nn.functional: layers, activations and losses as functions; conventionally imported as F.

    activation       what is applied to every element
    softmax          what mixes the elements along an axis
    layer            linear, embedding
    dropout          zeros at random, while training
    normalization    layer, group, batch, instance norm; cosine similarity
    conv             convolutions, their transposes, unfold and fold
    pooling          the largest element or the mean of windows
    vision           padding, interpolation, the arrangement of pixels
    grid             reading images at any places
    attention        scaled dot-product attention
    regression       losses that compare numbers with numbers
    classification   losses that compare scores with labels
    margin           losses that ask for a margin

All are ops or compositions of ops, so none needs a gradient of its own.
"""

from .activation import *
from .attention import *
from .classification import *
from .conv import *
from .dropout import *
from .grid import *
from .layer import *
from .margin import *
from .normalization import *
from .pooling import *
from .regression import *
from .softmax import *
from .vision import *
