"""How many threads kernels use, and the memory that each thread works in.

A kernel takes `threads`, and its caller decides: `threads_for(work, threshold)` is 1 below the
measured size from which a second thread pays, and one budget, `get_num_threads()`, above it. The
same budget holds NumPy's BLAS to one thread. Results never depend on it. No kernel releases the
GIL, so `scratch` serves one call at a time.

Environment variable:
    TINYGEN_NUM_THREADS  the budget; else NUMBA_NUM_THREADS, else the cores this process may use
"""

import ctypes
import functools
import os
import threading

import numpy as np
import threadpoolctl

from tinygen.kernels.cache import ENABLED, say_once

# pyright: reportPossiblyUnboundVariable=false
# pyright: reportPrivateImportUsage=false, reportAttributeAccessIssue=false
if ENABLED:
    import numba

# ---- The budget ----------------------------------------------------------------------------------


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
    """One thread in a forked child: GNU OpenMP aborts it if it uses those of its parent."""
    global budget, forked_from_threads
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
