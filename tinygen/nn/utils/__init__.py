"""nn.utils: what is done to gradients, parameters and weights from outside of a module.

clip_grad            gradients of bounded size
convert_parameters   all parameters as one vector
parametrize          a weight computed from something else whenever it is read
parametrizations     such computations: spectral norm, weight norm
reparametrize        the older form of the two, before each `forward`
rnn                  sequences of different lengths
"""

from . import parametrizations, parametrize, rnn
from .clip_grad import *
from .convert_parameters import *
from .reparametrize import *
