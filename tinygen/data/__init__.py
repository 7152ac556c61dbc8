"""Data: datasets and loaders with PyTorch's names, two-dimensional toys, small real images."""

from . import toys
from .collate import default_collate, default_convert
from .cycle import Cycle, cycle
from .dataset import (
    ConcatDataset,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    random_split,
)
from .digits import digits
from .loader import DataLoader, get_worker_info
from .mnist import mnist, mnist_10k, read_idx
from .sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from .toys import TOYS

__all__ = [
    "BatchSampler",
    "ConcatDataset",
    "Cycle",
    "DataLoader",
    "Dataset",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "SubsetRandomSampler",
    "TOYS",
    "TensorDataset",
    "WeightedRandomSampler",
    "cycle",
    "default_collate",
    "default_convert",
    "digits",
    "get_worker_info",
    "mnist",
    "mnist_10k",
    "random_split",
    "read_idx",
    "toys",
]
