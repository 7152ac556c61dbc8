"""Samples of every op, a file a topic; table.py explains how a row is written."""

from . import (
    conv,
    elementwise,
    index,
    linalg,
    matrices,
    nn,
    normalization,
    ode,
    order,
    reduce,
    scan,
    shape,
    special,
    statistics,
    vision,
)
from .table import FUSED, OPS, SAMPLES, Draw, Sample, is_float

BY_OP = {name: [s for s in SAMPLES if s.op == name] for name in OPS}
