"""Our ops on PyTorch's own operator samples: value, dtype, shape and gradient must be PyTorch's.

Optional: runs where torch and expecttest are installed. PyTorch keeps, for testing itself, a
database of its operators, each with a generator of inputs that exercise its options and edge cases,
and with inputs that it must refuse.
"""

import warnings

import numpy as np
import pytest

import tinygen as tg

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    database = pytest.importorskip("torch.testing._internal.common_methods_invocations").op_db

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # torch warns of its own

DTYPES = {torch.float64: "float64", torch.float32: "float32", torch.int64: "int64",
          torch.bool: "bool"}  # fmt: skip
TOLERANCE = {"float64": (1e-7, 1e-9), "float32": (2e-4, 2e-5)}

# Random, uninitialised or about layout in memory: nothing to compare.
NOT_COMPARABLE = [
    "bernoulli", "cauchy", "empty", "empty_like", "empty_permuted", "empty_strided",
    "exponential", "geometric", "log_normal", "multinomial", "new_empty", "new_empty_strided",
    "normal", "rand_like", "randint", "randint_like", "randn", "randn_like", "uniform",
    "nn.functional.dropout", "nn.functional.dropout2d", "nn.functional.dropout3d",
    "nn.functional.alpha_dropout", "nn.functional.rrelu", "as_strided", "resize_", "resize_as_",
    "is_contiguous", "to", "torch.ops.aten._safe_softmax.default",
    "nn.functional.feature_alpha_dropout",
]  # fmt: skip


# The database calls these in a way of its own.
CALLS = {
    "T": lambda x: x.T,
    "H": lambda x: x.H,
    "mT": lambda x: x.mT,
    "mH": lambda x: x.mH,
    "where": lambda x, *args: x.where(*args),
    "einsum": lambda tensors, equation: tg.einsum(equation, *tensors),
    "zero_": lambda x: x.clone().zero_(),
    "nn.functional.embedding": lambda weight, indices, **options: tg.nn.functional.embedding(
        indices, weight, **options
    ),
    "linalg.lstsq.grad_oriented": lambda a, b, **options: tg.linalg.lstsq(a, b, **options)[:2],
    "linalg.pinv.singular": lambda a, b: tg.linalg.pinv(a @ b.mT),
}


# Where tinygen's numbers are others, and why.
DIFFERENT = {
    "cholesky_inverse": "torch gives a gradient to the triangle that is not read",
    "cholesky_solve": "torch gives a gradient to the triangle that is not read",
    "matrix_exp-float32": "an element cancels; torch's error is the larger one",
    "logcumsumexp-float32": "torch's gradient is off by 2e-3 for numbers of 1e4",
    "svd": "signs of singular vectors are free; a loss that depends on them is refused",
    "linalg.svd": "signs of singular vectors are free; a loss that depends on them is refused",
    "linalg.eigh": "signs of eigenvectors are free; a loss that depends on them is refused",
    "kthvalue-int64": "which of equal elements it is",
    "topk-int64": "which of equal elements it is",
    "mode-int64": "which of equal elements it is", "mode-bool": "which of equal elements it is",
    "sort-bool": "the order of equal elements", "argsort-bool": "the order of equal elements",
    "nn.functional.hardtanh-int64": "whole numbers become floats",
    "nn.functional.relu6-int64": "whole numbers become floats",
}  # fmt: skip


def ours_for(info):
    """Our function of that name: tg.name, tg.linalg.name, tg.nn.functional.name or a method."""
    if info.full_name in CALLS:
        return CALLS[info.full_name]
    place = tg
    for part in info.name.split("."):
        place = getattr(place, part, None)
    if place is None and "." not in info.name:
        return getattr(tg.Tensor, info.name, None)
    return place if callable(place) else None


OPS = [(info, ours_for(info)) for info in database
       if ours_for(info) is not None and info.name not in NOT_COMPARABLE]  # fmt: skip


def converted(x, make):
    """The same argument for tinygen; containers are walked."""
    if isinstance(x, torch.Tensor):
        return make(x)
    if isinstance(x, torch.dtype):
        return np.dtype(str(x).removeprefix("torch."))
    if isinstance(x, torch.Size):
        return tuple(x)
    if isinstance(x, tuple | list):
        return type(x)([converted(item, make) for item in x])
    if isinstance(x, dict):
        return {key: converted(item, make) for key, item in x.items()}
    return x


def as_ours(x):
    return tg.Tensor(x.detach().numpy().copy(), requires_grad=x.requires_grad)


def is_ours_to_give(sample) -> bool:
    """Whether every argument is of a kind that tinygen has."""
    kinds = (bool, int, float, str, type(None), tuple, list, dict, slice, type(...))
    flat, stack = [], [sample.input, sample.args, sample.kwargs]
    while stack:
        item = stack.pop()
        flat.append(item)
        stack += item.values() if isinstance(item, dict) else item if isinstance(
            item, tuple | list) else []  # fmt: skip
    return all(
        item.layout == torch.strided and item.device.type == "cpu" and not item.is_complex()
        and item.dtype not in (torch.bfloat16,)
        if isinstance(item, torch.Tensor)
        else isinstance(item, kinds)
        or (isinstance(item, torch.dtype) and not item.is_complex and item != torch.bfloat16)
        for item in flat
    )  # fmt: skip


def tensors_in(x) -> list:
    """All tensors (theirs or ours) of an argument or a result, in order."""
    if isinstance(x, torch.Tensor | tg.Tensor):
        return [x]
    if isinstance(x, dict):
        x = x.values()
    elif not isinstance(x, tuple | list):
        return []
    return [t for item in x for t in tensors_in(item)]


def samples_of(info, dtype, requires_grad):
    torch.manual_seed(0)
    for sample in info.sample_inputs("cpu", dtype, requires_grad=requires_grad):
        if is_ours_to_give(sample) and not sample.kwargs.get("dropout_p"):
            yield sample


def cases():
    for info, ours in OPS:
        for dtype, name in DTYPES.items():
            if dtype in info.supported_dtypes("cpu"):
                why = DIFFERENT.get(f"{info.full_name}-{name}") or DIFFERENT.get(info.full_name)
                marks = pytest.mark.xfail(reason=why, strict=True) if why else ()
                yield pytest.param(info, ours, dtype, id=f"{info.full_name}-{name}", marks=marks)


@pytest.mark.parametrize("info, ours, dtype", list(cases()))
def test_is_torchs(info, ours, dtype):
    differentiable = dtype.is_floating_point and info.supports_autograd
    compared = 0
    for sample in samples_of(info, dtype, differentiable):
        given = (sample.input, sample.args, sample.kwargs)
        mine = converted(given, as_ours)
        theirs = info.op(sample.input, *sample.args, **sample.kwargs)
        if any(t.is_complex() for t in tensors_in(theirs)):
            continue
        try:
            found = ours(mine[0], *mine[1], **mine[2])
            compare(found, theirs, DTYPES[dtype])
            if differentiable:
                compare_gradients(mine, found, given, theirs, DTYPES[dtype])
        except Exception as error:
            error.add_note(f"sample: {sample}")
            raise
        compared += 1
    if not compared:
        pytest.skip("no sample of a kind that tinygen has")


def compare(found, theirs, dtype) -> None:
    found, expected = tensors_in(found) or [found], tensors_in(theirs) or [theirs]
    assert len(found) == len(expected)
    for f, e in zip(found, expected):
        if not isinstance(e, torch.Tensor):
            assert f == e, (f, e)
            continue
        assert isinstance(f, tg.Tensor), f"a {type(f).__name__} instead of a tensor"
        assert tuple(f.shape) == tuple(e.shape)
        assert str(f.dtype) == str(e.dtype).removeprefix("torch.")
        rtol, atol = TOLERANCE.get(str(f.dtype), (0, 0))
        np.testing.assert_allclose(f.detach().numpy(), e.detach().numpy(), rtol, atol)


def compare_gradients(mine, found, given, theirs, dtype) -> None:
    """Of every input that requires grad, under the same random cotangents."""
    pairs = [(f, e) for f, e in zip(tensors_in(found), tensors_in(theirs)) if e.requires_grad]
    inputs = [(x, y) for x, y in zip(tensors_in(mine), tensors_in(given)) if y.requires_grad]
    if not pairs or not inputs:
        return
    rng = np.random.default_rng(7)
    cotangents = [np.asarray(rng.standard_normal(tuple(f.shape)), f.dtype) for f, _ in pairs]
    expected = torch.autograd.grad(
        [e for _, e in pairs],
        [y for _, y in inputs],
        [torch.from_numpy(c.copy()) for c in cotangents],
        allow_unused=True,
    )
    outputs = [(f, c) for (f, _), c in zip(pairs, cotangents) if f.requires_grad]
    assert len(outputs) == len(pairs), "an output does not require grad"
    gradients = tg.autograd.grad(
        [f for f, _ in outputs],
        [x for x, _ in inputs],
        [tg.Tensor(c) for _, c in outputs],
        allow_unused=True,
    )
    rtol, atol = TOLERANCE[dtype]
    for g, e, (x, _) in zip(gradients, expected, inputs):
        g = np.zeros(x.shape) if g is None else g.numpy()
        e = np.zeros(x.shape) if e is None else e.detach().numpy(force=True)
        np.testing.assert_allclose(g, e, 10 * rtol, 10 * atol, err_msg="gradient")


@pytest.mark.parametrize(
    "info, ours",
    [pytest.param(*case, id=case[0].full_name) for case in OPS if case[0].error_inputs_func],
)
def test_refuses_what_torch_refuses(info, ours):
    for case in info.error_inputs("cpu"):
        sample = case.sample_input
        if not is_ours_to_give(sample):
            continue
        given = tensors_in((sample.input, sample.args))
        if any(t.ndim > 64 for t in given):
            continue  # more dimensions than NumPy has
        if len(given) < 2 and any(isinstance(a, int | float) for a in (sample.input, *sample.args)):
            continue  # torch wants a tensor; tinygen takes a number as well
        x, args, options = converted((sample.input, sample.args, sample.kwargs), as_ours)
        with pytest.raises((ValueError, RuntimeError, IndexError, TypeError, NotImplementedError)):
            try:
                ours(x, *args, **options)
            except Exception:
                raise
            else:
                pytest.fail(f"accepted {sample}, which torch refuses: {case.error_regex}")
