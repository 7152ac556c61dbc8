"""mnist: handwritten digits of 28×28 pixels (LeCun, Cortes, Burges), from their IDX files.

A file is looked for in the folder $TINYGEN_DATA, then in the cache, as it is or packed as .gz; then
it is downloaded into the cache. Wherever it comes from, its content must have the right SHA-256.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import secrets
import zlib
from pathlib import Path

import numpy as np

from ..autograd.tensor import Tensor
from ..kernels.cache import say
from .digits import part_of

__all__ = ["mnist", "mnist_10k", "read_idx"]

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    "https://storage.googleapis.com/cvdf-datasets/mnist",
)
SHA256 = {  # of what is in the .gz, as somebody else may have packed it
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
SECONDS = 30  # without an answer, after which a mirror is given up


def mnist(split: str = "train") -> tuple[Tensor, Tensor]:
    """Images [n, 1, 28, 28], float32 in [0, 1], and labels [n], int64, 0 to 9.

    split: "train", 60,000 images (a download of 10 MB), or "test", 10,000 (1.6 MB).

    Raises FileNotFoundError if a file is neither there nor to be had, and says where to put it;
    ValueError for a damaged one.
    """
    if split not in ("train", "test"):
        raise ValueError(f'split is "train" or "test", got {split!r}')
    prefix = "train" if split == "train" else "t10k"
    images, labels = (
        _parsed(*_found(f"{prefix}-{what}-ubyte")) for what in ("images-idx3", "labels-idx1")
    )
    return Tensor(images[:, None] / np.float32(255)), Tensor(labels.astype(np.int64))


def mnist_10k(split: str = "all") -> tuple[Tensor, Tensor]:
    """MNIST from the 10,000 images of its test files, a small download and enough to learn from.

    split: "all"; "test", a tenth, 1,000; "train", the 9,000 others. Otherwise as `mnist`.
    """
    return part_of(*mnist("test"), split)


# ---- Finding a file ------------------------------------------------------------------------------


def _folders() -> list[Path]:
    """Where files are looked for; what is downloaded goes into the last."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    cache = os.environ.get("TINYGEN_CACHE") or os.path.join(base, "tinygen")
    data = os.environ.get("TINYGEN_DATA")
    return [Path(folder) for folder in (data, os.path.join(cache, "data")) if folder]


def _found(name: str) -> tuple[bytes, str]:
    """The content of the file `name`, unpacked and checked, and where it was found."""
    for folder in _folders():
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return _checked(name, path.read_bytes(), path), str(path)
    return _downloaded(name), name


def _checked(name: str, data: bytes, source: object) -> bytes:
    """`data`, unpacked if it is packed. Raises ValueError if it isn't what it should be."""
    try:
        content = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        damage = "" if _sha256(content) == SHA256[name] else f"its SHA-256 is {_sha256(content)}"
    except (EOFError, OSError, zlib.error) as error:
        content, damage = b"", str(error)
    if damage:
        raise ValueError(
            f"{source} is damaged, or is not MNIST's {name} ({damage}): delete it, and it will be"
            " downloaded again"
        )
    return content


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _downloaded(name: str) -> bytes:
    """The content of the file `name` from the first mirror that has it; kept in the cache."""
    import urllib.request  # here, as it takes long to import
    from http.client import HTTPException

    cache, failures = _folders()[-1], []
    for mirror in MIRRORS:
        url = f"{mirror}/{name}.gz"
        say(f"downloading {url} into {cache}")
        try:
            with urllib.request.urlopen(url, timeout=SECONDS) as answer:
                data = answer.read()
            content = _checked(name, data, url)
        except (OSError, ValueError, HTTPException) as error:  # no answer, a wrong one, half of one
            failures.append(f"{url}: {error}")
            continue
        _write(data, cache / f"{name}.gz")
        return content
    raise FileNotFoundError(
        f"MNIST's file {name}.gz is neither here nor to be had ({'; '.join(failures)}). Put it into"
        f" the folder {' or '.join(map(str, _folders()))}, or name its folder in TINYGEN_DATA"
    )


def _write(data: bytes, path: Path) -> None:
    """The whole file or none, also if two processes write it at once."""
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        say(f"{error}; the file is not kept, and must be downloaded again the next time")
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


# ---- Reading a file ------------------------------------------------------------------------------


def read_idx(path: str | os.PathLike) -> np.ndarray:
    """The array of bytes in an IDX file, packed as .gz or not; such as Fashion-MNIST's.

    The format: two zero bytes, 8 for unsigned bytes, the number of dimensions, the size of each as
    four bytes (largest first), then the numbers, the last dimension running fastest.
    Raises ValueError for another or an incomplete file.
    """
    data = Path(path).read_bytes()
    try:
        content = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path} is damaged ({error}); get it again") from None
    return _parsed(content, path)


def _parsed(content: bytes, source: object) -> np.ndarray:
    dimensions = content[3] if content[:3] == b"\0\0\x08" and len(content) > 3 else 0
    begin = 4 + 4 * dimensions
    if not dimensions or len(content) < begin:
        raise ValueError(f"{source} is not an IDX file of bytes: it begins with {content[:4]!r}")
    shape = tuple(np.frombuffer(content, ">u4", dimensions, 4).tolist())
    numbers = np.frombuffer(content, np.uint8, offset=begin)
    if numbers.size != np.prod(shape):
        raise ValueError(f"{source} says it has shape {shape}, but holds {numbers.size} bytes")
    return numbers.reshape(shape)
