"""nn: modules, and the functions, initialisations and utilities they are made of."""

from . import functional, init, utils
from .activations import *
from .containers import ModuleDict, ModuleList, ParameterDict, ParameterList, Sequential
from .layers import *
from .losses import *
from .module import Module
from .parameter import Parameter
