"""How kernels are compiled, cached and given threads; vectors; and the other ways to run them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinygen.kernels import cache, jit

HERE = Path(__file__).parent
needs_compiler = pytest.mark.skipif(not jit.ENABLED, reason="TINYGEN_JIT=0")


def python(code, **environment):
    """The completed run of `code` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def run_tests(selection, **environment):
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", str(HERE)]
    done = subprocess.run(
        [*command, "-k", selection],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        cwd=HERE.parent.parent,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("lanes, kernels", [
    ("4", "matmul or layer_norm"),
    ("8", "matmul or attention or layer_norm or gelu or convolution"),
])  # fmt: skip
def test_every_width_of_vectors(lanes, kernels):
    run_tests(f"equals_reference and ({kernels})", TINYGEN_LANES=lanes)


def test_numba_is_not_needed_without_compiler():
    code = """
import sys
sys.modules["numba"] = sys.modules["llvmlite"] = None
import numpy as np
from tinygen.kernels import attention, cross_entropy, embedding, gelu, matmul, optimizers, random
x = np.ones((2, 2), np.float32)
assert (matmul.matmul(x, x) == 2).all()
"""
    done = python(code, TINYGEN_JIT="0")
    assert done.returncode == 0, done.stderr


MATMUL = """
import numpy as np
from tinygen.kernels.matmul import matmul
x = np.random.default_rng(0).standard_normal((200, 200), np.float32)
error = np.abs(matmul(x, x) - x.astype(np.float64) @ x).max()
assert error < 1e-3, error
"""


@needs_compiler
def test_importing_compiles_nothing(tmp_path):
    names = "attention, cross_entropy, embedding, gelu, matmul, optimizers, random"
    done = python(f"from tinygen.kernels import {names}", TINYGEN_CACHE=str(tmp_path / "cache"))
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "cache").exists()


EMBEDDING = """
import numpy as np
from tinygen.kernels import embedding
assert embedding.backward(np.ones((2, 3)), np.array([1, 1]), 2)[1, 2] == 2
hits, misses = (sum(counts.values()) for counts in embedding.add_rows.stats[1:])
"""


@needs_compiler
@pytest.mark.parametrize("variable", ["TINYGEN_CACHE", "XDG_CACHE_HOME", "HOME"])
def test_unwritable_cache(tmp_path, variable):
    (tmp_path / "file").write_text("not a directory")
    others = {"TINYGEN_CACHE": "", "XDG_CACHE_HOME": "", "TMPDIR": str(tmp_path)}
    looks = "from tinygen.kernels import cache; cache.cache_directory()"  # compiling takes longer
    code = EMBEDDING if variable == "TINYGEN_CACHE" else looks
    done = python(code, **{**others, variable: str(tmp_path / "file")})
    assert done.returncode == 0, done.stderr
    assert "compiled for this run only" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]  # what it made is gone


@needs_compiler
@pytest.mark.skipif(sys.platform == "win32", reason="no limits of resources")
def test_full_disk(tmp_path):
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))" + EMBEDDING
    done = python(code, TINYGEN_CACHE=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("cannot be kept") == 1


COUNTING = EMBEDDING + "print(hits, misses)"


@pytest.fixture(scope="module")
def cache_of_one(tmp_path_factory):
    """A cache that holds one kernel."""
    directory = tmp_path_factory.mktemp("cache")
    assert python(COUNTING, TINYGEN_CACHE=str(directory)).stdout == "0 1\n"
    return directory


@needs_compiler
@pytest.mark.parametrize(("kind", "broken"), [("nbi", b""), ("nbc", b"nonsense"), ("nbc", None)])
def test_broken_files_are_compiled_anew(tmp_path, cache_of_one, kind, broken):
    """The index, or the code; None: it was cut short."""
    directory = shutil.copytree(cache_of_one, tmp_path / "cache")
    (path,) = directory.glob(f"*/*/*.{kind}")
    path.write_bytes(path.read_bytes()[:-100] if broken is None else broken)
    for expected in ("0 1\n", "1 0\n"):
        done = python(COUNTING, TINYGEN_CACHE=str(directory))
        assert (done.returncode, done.stdout) == (0, expected), done.stderr


@needs_compiler
def test_broken_c_functions_are_compiled_anew(tmp_path):
    assert python(MATMUL).returncode == 0
    directory = Path(cache.cache_directory())
    shutil.copytree(directory, tmp_path / directory.name)
    broken = list(tmp_path.glob("*/*/tile.pack-*.nb?"))
    assert broken
    for path in broken:
        path.write_bytes(b"")
    done = python(MATMUL, TINYGEN_CACHE=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert all(path.stat().st_size for path in tmp_path.glob("*/*/tile.pack-*.nb?"))


@needs_compiler
def test_errors_are_not_taken_for_broken_files():
    with pytest.raises(ZeroDivisionError):
        jit.with_cache(test_full_disk, lambda: 1 // 0, lambda: None)


@needs_compiler
@pytest.mark.parametrize("part", ["numba.__version__", "llvmlite.__version__", "simd.LANES"])
def test_another_version_has_another_cache(part):
    code = """
import llvmlite, numba
from tinygen.kernels import cache, simd
here = cache.fingerprint()
{part} = "1.0"
cache.fingerprint.cache_clear()
assert cache.fingerprint() != here
{part} = None
"""
    done = python(code.format(part=part))
    assert done.returncode == 0, done.stderr


@needs_compiler
def test_a_changed_source_has_another_cache(tmp_path):
    package = tmp_path / "tinygen"
    shutil.copytree(HERE.parent.parent / "tinygen" / "kernels", package / "kernels")
    (package / "__init__.py").write_text("")
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from tinygen.kernels import cache
print(cache.fingerprint())
"""
    first = python(code).stdout
    with open(package / "kernels" / "simd.py", "a") as source:
        source.write("# another line\n")
    assert len(first) > 10
    assert python(code).stdout not in (first, "")


@needs_compiler
def test_cache_is_used_and_numba_is_left_alone():
    code = """
import numba
before = numba.config.CACHE_DIR, numba.get_num_threads()
from tinygen.kernels import embedding, jit
import numpy as np
jit.set_num_threads(1)
embedding.backward(np.ones((2, 3)), np.array([1, 1]), 2)
assert (numba.config.CACHE_DIR, numba.get_num_threads()) == before
print(sum(embedding.add_rows.stats.cache_hits.values()))
"""
    python(code)
    assert python(code).stdout == "1\n"


@needs_compiler
def test_of_processes_that_want_a_kernel_one_compiles_it(tmp_path):
    environment = {**os.environ, "TINYGEN_CACHE": str(tmp_path)}
    command = [sys.executable, "-c", EMBEDDING + "print(misses)"]
    runs = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) for _ in range(3)]
    compiled = [int(run.communicate(timeout=120)[0]) for run in runs]
    assert sorted(compiled) == [0, 0, 1]


@needs_compiler
def test_slow_compilation_is_announced_once(tmp_path):
    code = """
import numpy as np, time
from tinygen.kernels import embedding, jit
jit.seconds_compiled = 0.9  # compiling another 0.1 s is too long
for dtype in (np.float32, np.float64):
    embedding.backward(np.ones((2, 3), dtype), np.array([1, 1]), 2)
"""
    message = "tinygen: compiling kernels, once; later runs load them from"
    assert python(code, TINYGEN_CACHE=str(tmp_path)).stderr.count(message) == 1
    assert python(code, TINYGEN_CACHE=str(tmp_path)).stderr == ""


def test_matmul_by_blas():
    done = python(MATMUL + "import tinygen.kernels.matmul as m; assert not m.USE_KERNEL",
                  TINYGEN_MATMUL="blas")  # fmt: skip
    assert done.returncode == 0, done.stderr


@needs_compiler
def test_without_safe_threads_one_is_used():
    done = python(
        MATMUL + "matmul(x, x)", NUMBA_THREADING_LAYER="workqueue", TINYGEN_NUM_THREADS="2"
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("kernels run on one thread") == 1


@needs_compiler
def test_the_budget_governs_all_pools():
    code = (
        "import tinygen as tg"
        + MATMUL
        + """
import numba, threadpoolctl, threading
seen = []
def look():
    matmul(x, x)
    seen.append(numba.get_num_threads())
look()
tg.set_num_threads(2)
look()
thread = threading.Thread(target=look)
thread.start(); thread.join()
tg.set_num_threads(9)
look()
print(seen, {p["num_threads"] for p in threadpoolctl.threadpool_info() if p["user_api"] == "blas"})
"""
    )
    done = python(code, NUMBA_NUM_THREADS="4", TINYGEN_NUM_THREADS="3")
    assert done.stdout == "[3, 2, 2, 4] {1}\n", done.stderr


@needs_compiler
def test_several_python_threads_at_once():
    code = (
        MATMUL
        + """
import threading
import tinygen as tg
F = tg.nn.functional
q, rows = tg.randn(2, 4, 64, 32), tg.randn(512, 256)
def work():
    y = F.scaled_dot_product_attention(q, q, q, is_causal=True)
    return [matmul(x, x), y.numpy(), F.layer_norm(rows, (256,)).numpy()]
wrong, start = [], threading.Barrier(8)
def again():
    start.wait()
    for _ in range(30):
        found.append(work())
found = []
threads = [threading.Thread(target=again) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
expected = work()
assert len(found) == 240
for arrays in found:
    for a, b in zip(arrays, expected):
        np.testing.assert_array_equal(a, b)
"""
    )
    done = python(code, TINYGEN_NUM_THREADS="2")
    assert done.returncode == 0, done.stderr


@needs_compiler
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_forked_child_that_wants_threads():
    code = (
        MATMUL
        + """
import os
from tinygen.kernels import jit
child = os.fork()
if child == 0:
    assert jit.get_num_threads() == 1
    jit.set_num_threads(2)
    matmul(x, x)
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""
    )
    done = python(code, TINYGEN_NUM_THREADS="2")
    assert done.returncode == 0, done.stderr
    assert "one thread in a forked process" in done.stderr


@needs_compiler
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_forked_while_another_thread_compiles():
    code = """
import os, threading
from tinygen.kernels import embedding, jit
import numpy as np
held, done = threading.Event(), threading.Event()
def hold():
    with jit.lock:
        held.set()
        done.wait()
threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if child == 0:
    embedding.backward(np.ones((2, 3)), np.array([1, 1]), 2)
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
done.set()
"""
    done = subprocess.run([sys.executable, "-c", code], timeout=60)
    assert done.returncode == 0


@needs_compiler
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_forked_child_survives():
    code = (
        MATMUL
        + """
import os
child = os.fork()
if child == 0:
    matmul(x, x)
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""
    )
    done = python(code, TINYGEN_NUM_THREADS="2")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "environment, expected",
    [({"TINYGEN_NUM_THREADS": "3"}, 3), ({"TINYGEN_NUM_THREADS": "", "NUMBA_NUM_THREADS": "1"}, 1)],
)
def test_number_of_threads(environment, expected):
    code = "from tinygen.kernels import jit; print(jit.get_num_threads())"
    assert python(code, **environment).stdout == f"{expected}\n"


def test_number_of_threads_is_positive():
    with pytest.raises(ValueError, match="at least 1 thread, got 0"):
        jit.set_num_threads(0)


def test_blas_is_held_to_one_thread():
    code = """
import numpy as np, threadpoolctl
from tinygen.kernels.matmul import matmul
matmul(np.ones((2, 2)), np.ones((2, 2)))
pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
assert [pool["num_threads"] for pool in pools] == [1] * len(pools)
"""
    done = python(code)
    assert done.returncode == 0, done.stderr


# ---- Vectors -------------------------------------------------------------------------------------

if jit.ENABLED:
    from numba import njit

    from tinygen.kernels import simd
    from tinygen.kernels.simd import LANES, load_first, store_first

    @njit
    def apply_exp(x, y):
        for i in range(0, x.size, LANES):
            store_first(y, i, simd.exp(load_first(x, i, x.size - i)), x.size - i)

    @njit
    def apply_extrema(x, y, low, high):
        for i in range(0, x.size, LANES):
            left = x.size - i
            u, v = load_first(x, i, left), load_first(y, i, left)
            store_first(low, i, simd.minimum(u, v), left)
            store_first(high, i, simd.maximum(u, v), left)


SPECIAL = np.array(
    [0, -0.0, 1, -1, 1e-45, 88.72, 88.73, -87.3, -87.4, 1e30, -1e30, np.inf, -np.inf, np.nan],
    np.float32,
)


@needs_compiler
def test_exp():
    x = np.linspace(-87.3, 88.7, 200_003, dtype=np.float32)
    memory = np.full(x.size + 64, 7, np.float32)
    apply_exp(x, memory[: x.size])
    exact = np.exp(x.astype(np.float64))
    assert np.max(np.abs(memory[: x.size] - exact) / np.spacing(exact.astype(np.float32))) < 1
    assert (memory[x.size :] == 7).all()
    y = np.empty_like(SPECIAL)
    apply_exp(SPECIAL, y)
    with np.errstate(over="ignore"):
        expected = np.exp(SPECIAL)
    expected[expected < np.finfo(np.float32).tiny] = 0
    np.testing.assert_allclose(y, expected, rtol=2e-7)


@needs_compiler
def test_extrema_propagate_nan():
    x, y = (grid.ravel().copy() for grid in np.meshgrid(SPECIAL, SPECIAL))
    low, high = np.empty_like(x), np.empty_like(x)
    apply_extrema(x, y, low, high)
    np.testing.assert_array_equal(low, np.minimum(x, y))
    np.testing.assert_array_equal(high, np.maximum(x, y))
