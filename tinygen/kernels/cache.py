"""Where compiled kernels are kept on disk, and what is done when that does not work out.

A directory holds the kernels of one version of all sources, of Numba, and of the machine: another
version has another directory, and never sees these files. A file that cannot be read, because
somebody's disk was full or somebody pulled the plug, is thrown away and its kernel compiled anew.
Of several processes that want the same kernel at once one compiles it, and the others load it.
"""

import atexit
import contextlib
import functools
import hashlib
import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Iterator

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None

ENABLED = os.environ.get("TINYGEN_JIT", "1") != "0"  # whether there are compiled kernels at all


def say(message: str) -> None:
    print(f"tinygen: {message}", file=sys.stderr, flush=True)


say_once = functools.cache(say)


@functools.cache
def cache_directory() -> str:
    """Where this version of the kernels, for this machine, is kept; made if missing."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    home = os.environ.get("TINYGEN_CACHE") or os.path.join(base, "tinygen")
    directory = os.path.join(home, f"kernels-{fingerprint()}")
    try:
        os.makedirs(directory, exist_ok=True)
        tempfile.TemporaryFile(dir=directory).close()
    except OSError as error:
        directory = tempfile.mkdtemp(prefix="tinygen-")
        atexit.register(remove_own, directory, os.getpid())
        say(f"{error}; kernels are compiled for this run only (TINYGEN_CACHE names another place)")
    return directory


def remove_own(directory: str, process: int) -> None:
    """Remove what this process made; not what the process made that it was forked from."""
    if os.getpid() == process:
        shutil.rmtree(directory, ignore_errors=True)


@functools.cache
def fingerprint() -> str:
    """A hash of all that compiled code depends on: Numba itself would only notice a change to the
    file of the kernel, not one to what it calls."""
    import llvmlite
    import llvmlite.binding as llvm
    import numba

    from tinygen.kernels.simd import LANES

    sources = sorted(pathlib.Path(__file__).parent.glob("*.py"))
    parts = [source.read_bytes() for source in sources]
    features = llvm.get_host_cpu_features().flatten()
    for part in (numba.__version__, llvmlite.__version__, sys.version, llvm.get_host_cpu_name(),
                 features, LANES):  # fmt: skip
        parts.append(str(part).encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def files_of(function) -> list[pathlib.Path]:
    """The files in which compiled versions of a function are kept, by Numba's names for them."""
    name = f"{(function.__module__ or '').rpartition('.')[2]}.{function.__qualname__}"
    return list(pathlib.Path(cache_directory()).glob(f"*/{name}-*.nb[ic]"))


def discard(function) -> bool:
    """Remove all compiled versions of a function; whether there were any."""
    files = files_of(function)
    for file in files:
        file.unlink(missing_ok=True)
    return bool(files)


@contextlib.contextmanager
def alone(function) -> Iterator[None]:
    """While this lasts, no other process compiles, saves or loads this function.

    Two that write at once would both choose the same name for different files.
    """
    path = os.path.join(cache_directory(), f"{function.__module__}.{function.__qualname__}.lock")
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # nobody can write here, or a file system without locks
            file = stack.enter_context(open(path, "w"))
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX)
        yield  # then closing the file gives the lock back
