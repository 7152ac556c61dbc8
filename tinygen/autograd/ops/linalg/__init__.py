"""Linear algebra, a file a topic. What PyTorch has in torch.linalg alone is public in
tinygen/linalg.py."""

from . import contraction, distances, exponential, factors, lu, matrices, products, spectra, systems
from .contraction import *
from .distances import *
from .exponential import *
from .factors import old_cholesky as cholesky
from .factors import old_qr as qr
from .lu import *
from .matrices import *
from .products import *
from .products import linear
from .spectra import old_svd as svd
from .systems import *

__all__: list[str] = []  # what is tg.<name>, too, and a method of tensors
__all__ += contraction.__all__
__all__ += distances.__all__
__all__ += exponential.__all__
__all__ += factors.__all__
__all__ += lu.__all__
__all__ += matrices.__all__
__all__ += products.__all__
__all__ += spectra.__all__
__all__ += systems.__all__
