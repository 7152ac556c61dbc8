"""save and load: any nesting of containers, tensors and numbers as one safetensors file. No pickle.

A safetensors file is a header (JSON: name, dtype, shape and place of each tensor; `__metadata__`,
strings by name), then the raw numbers (https://github.com/huggingface/safetensors#format). Loading
one runs no code. Tensors and arrays are stored under readable names, such as "model/h.0.ln_1.bias".
Everything around them is the *tree*, kept as JSON under `__metadata__["tinygen"]`. For
`{"step": 7, "model": {"bias": tensor}}` that is

    {"version": 1,
     "tree": {"dict": [["step", 7], ["model", {"dict": [["bias", {"Tensor": "model/bias"}]]}]]}}

In the tree a JSON object always has exactly one entry, {kind: content}, and stands for what JSON
cannot say itself; JSON's other types stand for themselves. As the tree says which name belongs
where, names need only be unique, and none is ever taken apart again.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
from collections import OrderedDict
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from .autograd.tensor import Tensor

_VERSION = 1
_SAVABLE = {"bool", "float16", "float32", "float64"} | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}
_LOADABLE = {"BOOL", "F16", "F32", "F64", "BF16"} | {
    f"{sign}{bits}" for sign in "IU" for bits in (8, 16, 32, 64)
}
_MAX_DEPTH = 100  # of nesting; real checkpoints have about five levels
_MAX_JSON_INT = 2**53  # up to here every JSON reader is exact

Place = tuple[str | int, ...]  # the keys that lead from the whole object to a part of it


class CheckpointError(ValueError):
    """A file that cannot be written or read as a checkpoint; the message names it, and the key."""


def save(obj: Any, path: str | os.PathLike) -> None:
    """Write `obj` to `path`, whole or not at all: a crash leaves what was there before.

    `obj` is any nesting of dict (str or int keys), list and tuple around Tensor, ndarray, NumPy
    scalar, str, int, float, bool and None. `load` gives it back with the same types, dtypes and
    order. Only values are stored: tensors come back as leaves without `requires_grad`, an
    OrderedDict as a dict, and a tensor that occurs twice is stored twice.

    A flat dict of tensors, such as a `state_dict`, has its own keys as names in the file, where any
    other safetensors reader finds them.

    Raises TypeError, before anything is written, for what cannot be stored, and says where it sits;
    FileNotFoundError for a missing folder; CheckpointError if `path` is there and not a file.
    """
    path = os.fsdecode(path)
    arrays: dict[str, np.ndarray] = {}
    tree = _encode(obj, (), arrays)
    description = json.dumps({"version": _VERSION, "tree": tree}, allow_nan=False)
    # "format" promises nothing; Hugging Face's transformers refuse a file whose metadata lacks it.
    _write(arrays, {"format": "pt", "tinygen": description}, path)


def load(path: str | os.PathLike, map_location: Any = None, *, weights_only: bool = True) -> Any:
    """The object that `save` wrote to `path`; from any other safetensors file a dict of Tensors.

    What tinygen saved keeps its dtypes; from other files **BF16 and F16 are converted to float32**.
    `map_location` and `weights_only` are PyTorch's, and change nothing here: the only place is the
    CPU, and no file can run code.

    Raises FileNotFoundError for a missing file, and CheckpointError (a ValueError) for one that is
    damaged, cut short, of another format, or whose parts do not fit together.
    """
    if map_location is not None and str(map_location) != "cpu":
        raise ValueError(
            f"load: tinygen has no device but the CPU, got {map_location=!s}; leave it out"
        )
    path = os.fsdecode(path)
    if os.path.exists(path) and not os.path.isfile(path):
        raise CheckpointError(
            f"cannot load {path}: it is not a file; give the path of a checkpoint"
        )
    try:
        with safe_open(path, "np") as file:
            tree = (file.metadata() or {}).get("tinygen")
            arrays = {name: _read_array(file, name, path) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        message = f"cannot load {path}: not a safetensors file, or not a whole one ({error})"
        raise CheckpointError(message) from error
    if tree is None:
        return {name: Tensor(_widened(array)) for name, array in arrays.items()}
    try:
        return _restore(tree, arrays)
    except CheckpointError as error:
        raise CheckpointError(f"cannot load {path}: {error}") from error


# ---- From an object to the tree, and the arrays by name ------------------------------------------


def _encode(value: Any, place: Place, arrays: dict[str, np.ndarray]) -> Any:
    """The tree of `value`, which sits at `place`; its arrays are added to `arrays`."""
    if len(place) > _MAX_DEPTH:
        raise TypeError(
            f"cannot save {_show(place[:3])}...: it is nested more than {_MAX_DEPTH} levels deep;"
            " does a container contain itself?"
        )
    # The exact type, as a subclass (IntEnum, namedtuple, MaskedArray) would come back as another.
    kind = type(value)
    if value is None or kind in (bool, str):
        return value
    if kind is int:
        return value if abs(value) <= _MAX_JSON_INT else {"int": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {"float": str(value)}
    if kind is list:
        return [_encode(item, (*place, i), arrays) for i, item in enumerate(value)]
    if kind is tuple:
        return {"tuple": [_encode(item, (*place, i), arrays) for i, item in enumerate(value)]}
    if kind in (dict, OrderedDict):
        return {"dict": [_encode_item(item, place, arrays) for item in value.items()]}
    if isinstance(value, Tensor):
        return {"Tensor": _add(value.array, place, arrays)}
    if kind is np.ndarray:
        return {"ndarray": _add(value, place, arrays)}
    if isinstance(value, np.generic):
        return {"scalar": _add(np.asarray(value), place, arrays)}
    raise TypeError(
        f"cannot save {_show(place)}: it is of type {kind.__module__}.{kind.__qualname__};"
        " leave it out, or convert it to a dict, list, tuple, Tensor, ndarray, str, int, float,"
        " bool or None"
    )


def _encode_item(item: tuple[Any, Any], place: Place, arrays: dict[str, np.ndarray]) -> list:
    key, value = item
    if type(key) not in (str, int):
        raise TypeError(
            f"cannot save {_show(place)}: its key {key!r} is of type {type(key).__qualname__};"
            " use str or int keys"
        )
    return [_encode(key, place, arrays), _encode(value, (*place, key), arrays)]


def _add(array: np.ndarray, place: Place, arrays: dict[str, np.ndarray]) -> str:
    """Put `array` among `arrays`; the name that it got there."""
    if array.dtype.name not in _SAVABLE:
        raise TypeError(
            f"cannot save {_show(place)}: an array of dtype {array.dtype} does not fit into"
            " safetensors; convert it to a float, integer or bool dtype"
        )
    name = wanted = _name(place)
    copies = 1
    # No name at all, and the one that the header itself uses, are as good as taken.
    while name in arrays or name in ("", "__metadata__"):
        copies += 1
        name = f"{wanted}#{copies}"
    # safetensors copies memory as it lies. (ascontiguousarray would give a 0-d array a dimension.)
    arrays[name] = np.asarray(array, order="C")
    return name


def _name(place: Place) -> str:
    """The name for other readers of the file: "model/h.0.bias" from ("model", "h.0.bias")."""
    keys = "/".join(key if isinstance(key, str) else _digits(key) for key in place)
    return keys.encode("utf-8", "backslashreplace").decode()  # half a surrogate pair is not UTF-8


def _show(place: Place) -> str:
    """The place as one writes it in Python: `checkpoint["model"][3]` from ("model", 3)."""
    keys = (json.dumps(key) if isinstance(key, str) else _digits(key) for key in place)
    return "checkpoint" + "".join(f"[{key}]" for key in keys)


def _digits(number: int) -> str:
    """Decimal, or hexadecimal where Python would refuse to print thousands of decimals."""
    return str(number) if abs(number) <= _MAX_JSON_INT else hex(number)


# ---- From the tree back to the object ------------------------------------------------------------


def _restore(tree: str, arrays: dict[str, np.ndarray]) -> Any:
    """The object that the JSON `tree` describes; takes its arrays out of `arrays`, all of them."""
    try:
        root = json.loads(tree)
        if root["version"] != _VERSION:
            raise CheckpointError(
                f"its tinygen metadata has version {root['version']!r}, this tinygen reads version"
                f" {_VERSION}; load it with the tinygen that saved it"
            )
        value = _decode(root["tree"], arrays)
    except CheckpointError:
        raise
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        message = f"its tinygen metadata is malformed ({type(error).__name__}: {error})"
        raise CheckpointError(message) from error
    if arrays:
        raise CheckpointError(f'its tinygen metadata does not mention its tensor "{min(arrays)}"')
    return value


def _decode(tree: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The inverse of `_encode`."""
    if isinstance(tree, list):
        return [_decode(item, arrays) for item in tree]
    if not isinstance(tree, dict):
        return tree
    ((kind, content),) = tree.items()
    if kind == "tuple":
        return tuple([_decode(item, arrays) for item in content])
    if kind == "dict":
        return _decode_dict(content, arrays)
    if kind == "int":
        return int(content, 16)
    if kind == "float":
        return float(content)
    if kind == "Tensor":
        return Tensor(_take(content, arrays))
    if kind == "ndarray":
        return _take(content, arrays)
    if kind == "scalar":
        return _take(content, arrays)[()]
    raise ValueError(f"unknown kind {kind!r}")


def _decode_dict(items: list, arrays: dict[str, np.ndarray]) -> dict:
    decoded = {}
    for key, value in items:
        key = _decode(key, arrays)
        if type(key) not in (str, int) or key in decoded:
            raise ValueError(f"a dict's key {key!r} occurs twice, or is neither str nor int")
        decoded[key] = _decode(value, arrays)
    return decoded


def _take(name: str, arrays: dict[str, np.ndarray]) -> np.ndarray:
    if name not in arrays:
        raise CheckpointError(
            f"its tinygen metadata mentions a tensor {name!r} that it does not hold"
        )
    return arrays.pop(name)


# ---- Files ---------------------------------------------------------------------------------------


def _write(arrays: dict[str, np.ndarray], metadata: dict[str, str], path: str) -> None:
    """One safetensors file at `path`, by way of a temporary one in the same folder."""
    path = os.path.realpath(path)  # through a symbolic link, as open() writes, not in its place
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"cannot save {path}: there is no folder {folder}; make it first")
    if os.path.exists(path) and not os.path.isfile(path):
        raise CheckpointError(f"cannot save {path}: it is there and not a file; add a file name")
    temporary = os.path.join(folder, f".{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777  # what the umask leaves an ordinary file
        save_file(arrays, temporary, metadata)
        os.chmod(temporary, mode)  # safetensors makes files that only their owner can read
        with safe_open(temporary, "np"):
            pass  # older versions write headers beyond the format's 100 MB that nobody can read
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())  # or a power cut could leave the name without the content
        os.replace(temporary, path)
    except BaseException as error:  # KeyboardInterrupt too
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, SafetensorError):
            hint = "if the header is too large, keep long lists of numbers as arrays"
            raise CheckpointError(f"cannot save {path}: {error}; {hint}") from error
        raise


def _read_array(file: Any, name: str, path: str) -> np.ndarray:
    """The tensor `name` of an open safetensors file, in memory of its own; BF16 as float32."""
    dtype = file.get_slice(name).get_dtype()
    if dtype not in _LOADABLE:
        raise CheckpointError(
            f'cannot load {path}: its tensor "{name}" is of type {dtype}; tinygen knows'
            f" {', '.join(sorted(_LOADABLE))}"
        )
    return _read_bfloat16(path, name) if dtype == "BF16" else file.get_tensor(name)


def _read_bfloat16(path: str, name: str) -> np.ndarray:
    """NumPy has no bfloat16. It is the upper half of a float32: read by hand, and widened here."""
    with open(path, "rb") as file:
        header_size = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(header_size))[name]
        file.seek(8 + header_size + entry["data_offsets"][0])
        upper = np.fromfile(file, "<u2", count=math.prod(entry["shape"]))
    return (upper.astype(np.uint32) << 16).view(np.float32).reshape(entry["shape"])


def _widened(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype == np.float16 else array
