"""The package as a whole: importing it is light, its names are there, imports only point down."""

import ast
import importlib
import importlib.metadata
import os
import pathlib
import pkgutil
import subprocess
import sys

import pytest

import tinygen as tg

ROOT = pathlib.Path(tg.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))

# ---- Importing -----------------------------------------------------------------------------------


def after_import(code: str, **environment: str) -> str:
    """What `code` prints in a process of its own that has imported tinygen, and nothing else."""
    paths = os.pathsep.join([str(ROOT.parent), *(p for p in sys.path if p)])
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import tinygen\n{code}"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths, **environment},
    )
    assert result.returncode == 0 and not result.stderr, result.stderr
    return result.stdout


def test_importing_is_light_and_compiles_nothing(tmp_path):
    code = """
import gc, sys
print(*sys.modules)
from numba.core.dispatcher import Dispatcher
import tinygen.kernels.optimizers
kernels = [x for x in gc.get_objects() if isinstance(x, Dispatcher)
           and str(x.py_func.__module__).startswith("tinygen")]
print(len(kernels), [k for k in kernels if k.signatures])
"""
    out = after_import(code, TINYGEN_JIT="1", TINYGEN_CACHE=str(tmp_path / "cache"))
    loaded, kernels = out.splitlines()
    heavy = {"matplotlib", "tqdm", "torch", "jax", "sklearn", "pandas"}
    heavy |= {"scipy.special", "scipy.stats", "scipy.linalg"}  # `scipy` itself Numba imports
    assert not heavy & set(loaded.split())
    count, compiled = kernels.split(maxsplit=1)
    assert int(count) > 0 and compiled == "[]"
    assert not (tmp_path / "cache").exists()


def test_without_jit_numba_is_not_even_imported():
    assert after_import("import sys\nprint('numba' in sys.modules)", TINYGEN_JIT="0") == "False\n"


def test_importing_changes_no_setting_of_others():
    code = """
import logging, random, signal, sys, warnings, numpy
print(numpy.geterr(), len(logging.root.handlers), signal.getsignal(signal.SIGINT).__name__)
"""
    expected = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
    assert after_import(code) == f"{expected} 0 default_int_handler\n"


# ---- Names ---------------------------------------------------------------------------------------


def test_the_version_is_that_of_the_installed_package():
    try:
        installed = importlib.metadata.version("tinygen")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("tinygen is not installed, only imported")
    assert tg.__version__ == installed


def test_types_are_for_others_too():
    assert (ROOT / "py.typed").exists()


PUBLIC = """
tensor as_tensor from_numpy zeros ones full arange linspace eye zeros_like ones_like randn rand
randint randperm manual_seed Generator Tensor float32 float64 int64 bool float long no_grad
enable_grad is_grad_enabled inference_mode add sub mul div matmul exp log sqrt tanh sigmoid relu
abs clamp where maximum minimum sum mean var std max min argmax argmin topk sort cumsum softmax
log_softmax logsumexp norm cat stack split chunk reshape transpose permute squeeze unsqueeze
gather scatter masked_fill tril triu allclose save load multinomial bernoulli normal
set_num_threads get_num_threads autograd.grad autograd.gradcheck
nn.Module nn.Parameter nn.Linear nn.Embedding nn.LayerNorm nn.Dropout nn.GELU nn.Sequential
nn.ModuleList nn.ModuleDict nn.CrossEntropyLoss nn.functional.cross_entropy
nn.functional.scaled_dot_product_attention nn.utils.clip_grad_norm_ nn.init.normal_
distributions.Normal distributions.kl_divergence special.gammainc
optim.SGD optim.Adam optim.AdamW optim.lr_scheduler.CosineAnnealingLR cuda.is_available
"""


def test_public_names_are_there():
    for name in PUBLIC.split():
        value = tg
        for part in name.split("."):
            value = getattr(value, part)


@pytest.mark.parametrize("name", [m.name for m in pkgutil.walk_packages([str(ROOT)], "tinygen.")])
def test_modules_have_what_they_list(name):
    module = importlib.import_module(name)
    names = getattr(module, "__all__", [])
    assert len(set(names)) == len(names)
    for public in names:
        assert hasattr(module, public), f"{name}.__all__ lists {public}"


def test_modules_say_what_they_are():
    for source in SOURCES:
        tree = ast.parse(source.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), f"{source} has no docstring"


# ---- Imports only point down ---------------------------------------------------------------------

LAYERS = [
    {"kernels"},
    {"autograd"},
    {"linalg", "special", "nn", "optim", "distributions", "sampling", "ode", "sde"},
    {"serialization"},
    {"text", "data", "utils", "metrics", "viz", "train"},
    {"models"},
    {"warmup"},
]
ABOVE = {"tinygen", "tinygen.__main__"}  # import whatever they like
THIRD_PARTY = {
    "kernels": {"numpy", "numba", "llvmlite", "threadpoolctl"},
    "data": {"numpy", "sklearn"},
    "models": {"numpy", "scipy"},
    "serialization": {"numpy", "safetensors"},
    "train": {"numpy", "tqdm"},
    "viz": {"numpy", "matplotlib"},
}


def imports(source: str, name: str, is_package: bool):
    """(line, full dotted name) of everything that a module imports, wherever in it.

    `from .. import nn` gives "tinygen.nn", `from ..nn import Linear` "tinygen.nn.Linear".
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = name.split(".")
            base = base[: len(base) - node.level + is_package] if node.level else []
            base += node.module.split(".") if node.module else []
            yield from ((node.lineno, ".".join([*base, alias.name])) for alias in node.names)


def layer(part: str) -> int:
    found = [i for i, parts in enumerate(LAYERS) if part in parts]
    assert found, f"tinygen.{part} has no place in LAYERS and in the list of CONTRIBUTING.md"
    return found[0]


def complaints(source: str, name: str, is_package: bool = False) -> list[str]:
    """What a module imports against the rules of the house."""
    found = []
    part = name.split(".")[1]
    for line, imported in imports(source, name, is_package):
        top, *rest = imported.split(".")
        if top != "tinygen":
            allowed = sys.stdlib_module_names | THIRD_PARTY.get(part, {"numpy"})
            wrong = top not in allowed
        elif not rest or not any((ROOT / file).exists() for file in (rest[0], f"{rest[0]}.py")):
            wrong = True  # the package itself, or a name of it: that is above everything
        else:
            family = name.split(".")[2:3]  # one file, or a package of its own
            from_model_to_model = part == rest[0] == "models" and family not in ([], rest[1:2])
            wrong = layer(rest[0]) > layer(part) or from_model_to_model
        if wrong:
            found.append(f"{name}, line {line}: {imported}")
    return found


def test_imports_only_point_down():
    found = []
    for path in SOURCES:
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        if name not in ABOVE:
            found += complaints(path.read_text(encoding="utf-8"), name, is_package)
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("name", "line", "wrong"),
    [
        ("tinygen.kernels.gelu", "from ..autograd.tensor import Tensor", True),
        ("tinygen.kernels.gelu", "from .jit import kernel", False),
        ("tinygen.kernels.gelu", "import scipy.special", True),
        ("tinygen.kernels.gelu", "import numba", False),
        ("tinygen.autograd.engine", "import numba", True),
        ("tinygen.autograd.engine", "from .. import nn", True),
        ("tinygen.autograd.engine", "from ..kernels import gelu", False),
        ("tinygen.autograd.ops.linalg", "from ...nn.functional import linear", True),
        ("tinygen.autograd.engine", "import tinygen as tg", True),
        ("tinygen.nn.layers", "from tinygen import Tensor", True),
        ("tinygen.nn.layers", "def f():\n    from ..text import NGram", True),
        ("tinygen.nn.layers", "from tinygen.autograd import Tensor", False),
        ("tinygen.optim.sgd", "import torch", True),
        ("tinygen.train", "from .models import gpt", True),
        ("tinygen.train", "from .serialization import save", False),
        ("tinygen.models.vae", "from .gpt import GPT", True),
        ("tinygen.models.vae", "from tinygen.models import gpt", True),
        ("tinygen.models.vae", "from ..text.sampling import next_token", False),
        ("tinygen.models.flow.glow", "from ..gpt import GPT", True),
        ("tinygen.models.flow.glow", "from .base import Flow", False),
    ],
)
def test_the_rule_is_kept_by_a_watchful_test(name, line, wrong):
    assert bool(complaints(line, name)) == wrong
