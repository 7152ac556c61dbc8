"""How kernels are compiled, cached on disk, and given threads.

`kernel` is the one decorator through which every Numba function of tinygen goes:

    @kernel(parallel=True)
    def scale(x, factor, threads):
        for t in prange(threads): ...

It compiles at the first call (importing compiles nothing), into a cache of the user's that later
processes load from. Under TINYGEN_JIT=0 it returns the function as it is, Numba is never imported,
and the public functions take their NumPy lines instead.

How many threads a kernel gets is decided in `threads`, whose functions are also to be had here.

Environment variables:
    TINYGEN_JIT=0        NumPy only
    TINYGEN_CACHE        where compiled kernels are kept; else tinygen in XDG_CACHE_HOME or ~/.cache
    TINYGEN_LANES        forces the width of vectors (see `simd`)
"""

import contextlib
import functools
import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np

from tinygen.kernels.cache import ENABLED, alone, cache_directory, discard, files_of, say_once
from tinygen.kernels.threads import (
    available_cores,
    get_num_threads,
    hold_blas,
    safe_threads,
    scratch,
    set_num_threads,
    settled,
    threads_for,
)

__all__ = [
    "ENABLED", "available_cores", "c_function", "get_num_threads", "hold_blas", "kernel", "plain",
    "prange", "safe_threads", "scratch", "serves", "set_num_threads", "settled", "threads_for",
]  # fmt: skip

# pyright: reportPossiblyUnboundVariable=false
# pyright: reportPrivateImportUsage=false, reportAttributeAccessIssue=false
if ENABLED:
    import llvmlite.binding as llvm
    import numba
    from numba import prange, types
    from numba.core.caching import NullCache
else:
    prange = range


def serves(x: np.ndarray) -> bool:
    """Whether the compiled float32 kernels take this array."""
    return ENABLED and x.dtype == np.float32


def plain(x: np.ndarray) -> np.ndarray:
    """x itself if it is C-contiguous, aligned and writeable, as kernels expect; else a copy."""
    return x if x.flags.carray else np.array(x, order="C")


# ---- Compiling -----------------------------------------------------------------------------------


def kernel(
    function=None,
    *,
    parallel: bool = False,
    fastmath: Collection[str] = (),
    signature: str = "",
    calls: Collection[Any] = (),
) -> Any:
    """Compile `function` when it is first called, and keep the result on disk.

    parallel: `prange` loops run on threads.
    fastmath: what LLVM may do to arithmetic, of {"contract", "reassoc", "nsz", "arcp"}. Never True,
        which allows nnan and ninf as well: they delete the handling of NaN.
    signature: Numba's type of the function, if one is to serve all arguments; `const(...)` says of
        an array that it is only read, and so may be read-only.
    calls: the `c_function`s that it calls, directly or not.
    """
    if function is None:
        return functools.partial(
            kernel, parallel=parallel, fastmath=fastmath, signature=signature, calls=calls
        )
    if not ENABLED:
        return function
    dispatcher = numba.njit(
        error_model="numpy", parallel=parallel, fastmath=set(fastmath) or False
    )(function)
    numba_compile = dispatcher.compile

    def compile_uncached(wanted):
        dispatcher._cache = NullCache()
        return numba_compile(wanted)

    def compile(arguments):  # Numba calls this for every new combination of argument types
        with compiling(dispatcher) as part_of_another:
            for called in calls:
                link(called)
            if signature and dispatcher.overloads:  # another thread was here first
                return next(iter(dispatcher.overloads.values())).entry_point
            wanted = numba_type(signature) if signature else arguments
            if part_of_another:
                result = numba_compile(wanted)
            else:
                result = with_cache(
                    function, lambda: numba_compile(wanted), lambda: compile_uncached(wanted)
                )
            if signature:
                dispatcher.disable_compile()
            return result

    dispatcher.compile = compile
    return dispatcher


def c_function(signature: str, calls: Collection[Any] = ()) -> Callable[[Callable], Any]:
    """Decorator: compile `function` once, by itself; kernels that call it say so in `calls`.

    Numba compiles what a kernel calls anew into every caller, and twice into a parallel one: with
    the matrix tile inside, that would take 20 seconds instead of 4. A C function is called through
    its address instead, and takes pointers (`array.ctypes`) where others take arrays.

    calls: the `c_function`s that it calls itself.
    """

    def decorate(function):
        if not ENABLED:
            return function
        symbol = f"{function.__module__}.{function.__qualname__}"
        c_sources[symbol] = function, signature, calls
        return types.ExternalFunction(symbol, numba_type(signature))

    return decorate


c_sources: dict[str, tuple[Callable, str, Collection[Any]]] = {}


@functools.cache
def link(called):
    """Compile a c_function, or load it from the cache, and tell the linker where it is."""
    function, signature, calls = c_sources[called.symbol]
    for other in calls:
        link(other)

    def compile(keep=True):
        return numba.cfunc(numba_type(signature), cache=keep, error_model="numpy")(function)

    compiled = with_cache(function, compile, lambda: compile(keep=False))
    llvm.add_symbol(called.symbol, compiled.address)
    return compiled  # kept by functools.cache: it owns the machine code


def numba_type(signature: str):
    """The type that `signature` spells, such as "void(const(float32[:, :]), intp)"."""
    return eval(signature, {**vars(types), "const": lambda array: array.copy(readonly=True)})


lock = threading.RLock()
seconds_compiled = 0.0
prepared: list[str] = []  # what this process has compiled, or loaded from the cache


def with_cache(function, compile: Callable[[], Any], compile_uncached: Callable[[], Any]) -> Any:
    """compile(), which reads and writes the cache, also if files there are broken or the disk is
    full."""
    with alone(function):
        try:
            return compile()
        except OSError as error:
            say_once(f"{error}; compiled kernels cannot be kept in {cache_directory()}")
            return compile_uncached()
        except Exception:  # reading a broken file may raise anything
            if not discard(function):
                raise
            return compile()


@contextlib.contextmanager
def compiling(dispatcher) -> Iterator[bool]:
    """Around a compilation: one thread at a time, cached in our directory, announced if slow.
    Gives whether it is part of another one.

    The setting of Numba's that names the directory is put back afterwards, for the user's own
    functions. Kernels that this one calls are compiled inside, and become part of it.
    """
    global seconds_compiled
    with lock:
        before, directory, begin = numba.config.CACHE_DIR, cache_directory(), time.perf_counter()
        if before == directory:
            yield True
            return
        timer = threading.Timer(max(0, 1 - seconds_compiled), announce)
        timer.daemon = True
        numba.config.CACHE_DIR = directory
        try:
            dispatcher.enable_caching()
            new = not files_of(dispatcher.py_func)
            if new:
                timer.start()
            yield False
        finally:
            timer.cancel()
            numba.config.CACHE_DIR = before
        hold_blas("scipy.linalg" in sys.modules)
        prepared.append(dispatcher.py_func.__qualname__)
        if new:
            seconds_compiled += time.perf_counter() - begin


def announce() -> None:
    """Say, once, why nothing seems to happen."""
    say_once(f"compiling kernels, once; later runs load them from {cache_directory()}")


def new_lock() -> None:
    """In a forked child: another thread of the parent may have held the old one."""
    global lock
    lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=new_lock)
