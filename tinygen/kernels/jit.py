"""How kernels are compiled, cached on disk, and given threads.

`kernel` is the one decorator through which every Numba function of tinygen goes:

    @kernel(parallel=True)
    def scale(x, factor, threads):
        for t in prange(threads): ...

It compiles at the first call (importing compiles nothing), into a cache of the user's that later
processes load from. Under TINYGEN_JIT=0 it returns the function as it is, Numba is never imported,
and the public functions take their NumPy lines instead.

A kernel takes `threads`, and its caller decides: `threads_for(work, threshold)` is 1 below the
measured size from which a second thread pays, and one budget, `get_num_threads()`, above it.
Results never depend on it. No kernel releases the GIL, so `scratch` serves one call at a time.

Environment variables:
    TINYGEN_JIT=0        NumPy only
    TINYGEN_NUM_THREADS  the budget; else NUMBA_NUM_THREADS, else the cores this process may use
    TINYGEN_CACHE        where compiled kernels are kept; else tinygen in XDG_CACHE_HOME or ~/.cache
    TINYGEN_LANES        forces the width of vectors (see `simd`)
"""

import contextlib
import ctypes
import functools
import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np
import threadpoolctl

from tinygen.kernels.cache import alone, cache_directory, discard, files_of, say_once

ENABLED = os.environ.get("TINYGEN_JIT", "1") != "0"

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


def c_function(signature: str) -> Callable[[Callable], Any]:
    """Decorator: compile `function` once, by itself; kernels that call it say so in `calls`.

    Numba compiles what a kernel calls anew into every caller, and twice into a parallel one: with
    the matrix tile inside, that would take 20 seconds instead of 4. A C function is called through
    its address instead, and takes pointers (`array.ctypes`) where others take arrays.
    """

    def decorate(function):
        if not ENABLED:
            return function
        symbol = f"{function.__module__}.{function.__qualname__}"
        c_sources[symbol] = function, signature
        return types.ExternalFunction(symbol, numba_type(signature))

    return decorate


c_sources: dict[str, tuple[Callable, str]] = {}


@functools.cache
def link(called):
    """Compile a c_function, or load it from the cache, and tell the linker where it is."""
    function, signature = c_sources[called.symbol]

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


# ---- Threads -------------------------------------------------------------------------------------


def available_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# A variable of our own, for numba.get_num_threads() takes longer (0.7 µs) than a small kernel.
budget = int(
    os.environ.get("TINYGEN_NUM_THREADS")
    or os.environ.get("NUMBA_NUM_THREADS")
    or available_cores()
)


class Settled(threading.local):
    """What a Python thread has found out: that for `budget` its kernels use `usable` threads, which
    is 1 where more would be unsafe. Numba's own number of threads, too, belongs to the thread."""

    budget = 0
    usable = 1


settled = Settled()


def set_num_threads(threads: int) -> None:
    """Let kernels use so many threads. Results do not depend on it."""
    global budget
    if threads < 1:
        raise ValueError(f"set_num_threads: expected at least 1 thread, got {threads}")
    budget = threads


def get_num_threads() -> int:
    """How many threads kernels may use."""
    return budget


def threads_for(work: int, threshold: int) -> int:
    """How many threads to use for `work`, of which less than `threshold` is done sooner by one."""
    if work < threshold:
        return 1
    return settled.usable if settled.budget == budget else settle_threads()


def settle_threads() -> int:
    """Find out whether threads are safe, and have as many ready as the budget allows."""
    hold_blas()
    keep_memory()
    settled.usable = budget if budget > 1 and ENABLED and safe_threads() else 1
    settled.budget = budget
    if settled.usable > 1:  # else a loop over two chunks would wake all threads of a large machine
        numba.set_num_threads(min(budget, numba.config.NUMBA_NUM_THREADS))
    return settled.usable


def safe_threads() -> bool:
    """Whether Numba has threads that several Python threads may use at once.

    Its own `workqueue` is not of that kind: it aborts the process. (It is slow, too: 110 µs a loop
    against 2 µs.) Nor are those of GNU OpenMP after a fork.
    """
    global threads_started
    if forked_from_threads:
        say_once("kernels run on one thread in a forked process; start it by `spawn` for more")
        return False
    numba.get_num_threads()  # starts the threads, and so decides
    threads_started = True
    if numba.threading_layer() != "workqueue":
        return True
    say_once(
        "kernels run on one thread: install OpenMP (libgomp1, libomp) or `pip install tbb` for more"
    )
    return False


@functools.cache
def hold_blas(with_scipy: bool = False) -> None:
    """Hold NumPy's BLAS to one thread from now on, and SciPy's own if Numba has loaded that.

    Its threads and Numba's both spin while they wait, and take the cores from each other: calls of
    90 µs became 8 ms. Nor would its results be the same for every number of threads.
    """
    threadpoolctl.threadpool_limits(limits=1, user_api="blas")


@functools.cache
def keep_memory() -> None:
    """Let the C library keep freed memory for the next array, instead of handing it back each time.

    The system clears what it hands out, a page at a time as it is first touched: for the arrays of
    a GPT's training step (width 128) that was a quarter of the time (97 ms against 73 ms). glibc
    does so for arrays from 32 MB on still, and from 512 MB of free memory; other C libraries have
    other rules, and are left alone.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    for parameter, size in ((M_MMAP_THRESHOLD, 1 << 25), (M_TRIM_THRESHOLD, 1 << 29),
                            (M_TOP_PAD, 1 << 26)):  # fmt: skip
        mallopt(parameter, size)


M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # the names of malloc.h


threads_started = forked_from_threads = False


def after_fork() -> None:
    """One thread in a forked child: GNU OpenMP aborts it if it uses those of its parent.

    The lock is a new one: another thread of the parent may have held the old one."""
    global budget, forked_from_threads, lock
    lock = threading.RLock()
    if threads_started:
        budget, settled.budget, forked_from_threads = 1, 0, True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=after_fork)


# ---- Scratch memory ------------------------------------------------------------------------------

memory = threading.local()


def scratch(size: int) -> np.ndarray:
    """[size] float32 of anything, for the length of one call. The same memory serves every call of
    a Python thread: asking the system for it each time costs more than small kernels do. It begins
    a cache line, so that no aligned vector lies on two."""
    array = getattr(memory, "array", None)
    if array is None or array.size < size:
        fresh = np.empty(size + 16, np.float32)
        memory.array = array = fresh[-fresh.ctypes.data % 64 // 4 :]
    return array
