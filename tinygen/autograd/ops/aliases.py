"""Other names that PyTorch has for the same ops."""

from .choose import clamp as clip
from .compare import ge as greater_equal
from .compare import gt as greater
from .compare import le as less_equal
from .compare import lt as less
from .compare import ne as not_equal
from .compare import trunc as fix
from .composed import div as divide
from .elementwise import abs as absolute
from .elementwise import acos as arccos
from .elementwise import acosh as arccosh
from .elementwise import asin as arcsin
from .elementwise import asinh as arcsinh
from .elementwise import atan as arctan
from .elementwise import atan2 as arctan2
from .elementwise import atanh as arctanh
from .elementwise import mul as multiply
from .elementwise import neg as negative
from .elementwise import sub as subtract

__all__ = [
    "absolute", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "clip",
    "divide", "fix", "greater", "greater_equal", "less", "less_equal", "multiply", "negative",
    "not_equal", "subtract",
]  # fmt: skip
