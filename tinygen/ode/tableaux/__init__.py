"""The methods, by name: `METHODS["dopri5"]`. A file gives the source of its numbers."""

from .bosh3 import BOSH3
from .classical import EULER, HEUN2, MIDPOINT, RK4
from .dopri5 import DOPRI5
from .dopri8 import DOPRI8
from .tsit5 import TSIT5

METHODS = {t.name: t for t in (EULER, MIDPOINT, HEUN2, RK4, BOSH3, DOPRI5, TSIT5, DOPRI8)}
