"""nn: modules, and the functions, initialisations and utilities they are made of."""

from . import functional, init, utils
from .activations import *
from .attention import *
from .containers import ModuleDict, ModuleList, ParameterDict, ParameterList, Sequential
from .conv import *
from .denoisers import *
from .dit import *
from .dropout import *
from .layers import *
from .losses import *
from .module import Module
from .normalization import *
from .parameter import Parameter
from .pooling import *
from .recurrent import *
from .text_encoder import *
from .transformer import *
from .unet import *
from .vision import *
