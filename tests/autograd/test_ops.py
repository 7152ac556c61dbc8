"""Every op on every sample: value, gradient, gradient of the gradient, dtype, memory layout."""

from contextlib import contextmanager

import numpy as np
import pytest
from samples import BY_OP, is_float

import tinygen as tg
from tinygen.autograd.gradcheck import gradcheck, gradgradcheck
from tinygen.autograd.tensor import Tensor


def every_op(where=lambda sample: True):
    """One test an op, of those samples for which `where` holds."""
    chosen = {name: [s for s in samples if where(s)] for name, samples in BY_OP.items()}
    return pytest.mark.parametrize(
        "samples", [s for s in chosen.values() if s], ids=[n for n, s in chosen.items() if s]
    )


@contextmanager
def of(sample):
    """Say which sample it was that something failed on."""
    try:
        yield
    except Exception as error:
        error.add_note(f"sample {sample.name}: {sample.args} {sample.options}")
        raise


def results(out) -> list[Tensor]:
    return list(out) if isinstance(out, tuple) else [out]


def cotangents_for(outputs, library=np.asarray) -> list:
    rng = np.random.default_rng(7)
    return [library(rng.standard_normal(tuple(y.shape))) for y in outputs]


def gradients_of(sample, args) -> list[np.ndarray]:
    """With random cotangents, for every float argument; zeros where there is none."""
    outputs = [y for y in results(sample.function(*args)) if y.requires_grad]
    inputs = [x for x in args if isinstance(x, Tensor) and x.requires_grad]
    cotangents = [Tensor(v.astype(y.dtype)) for v, y in zip(cotangents_for(outputs), outputs)]
    found = tg.autograd.grad(outputs, inputs, cotangents, allow_unused=True)
    return [np.zeros(x.shape, x.dtype) if g is None else g.numpy() for x, g in zip(inputs, found)]


def test_every_op_has_samples():
    missing = [name for name, samples in BY_OP.items() if not samples]
    assert not missing, f"add a row to tests/samples/ for: {', '.join(missing)}"


@every_op(lambda s: s.differentiable)
def test_gradient_equals_differences(samples):
    for sample in samples:
        with of(sample):
            assert gradcheck(sample.function, sample.tensors())


@every_op(lambda s: s.differentiable and s.smooth)
def test_gradient_of_gradient_equals_differences(samples):
    for sample in samples:
        with of(sample):
            assert gradgradcheck(sample.function, sample.tensors())


@every_op(lambda s: s.oracle)
def test_value_is_numpys(samples):
    for sample in samples:
        with of(sample):
            expected = sample.through(sample.oracle)(*sample.arrays(), **sample.options)
            expected = expected if isinstance(expected, tuple) else (expected,)
            found = results(sample.function(*sample.tensors()))
            for y, e in zip(found, expected, strict=True):
                assert isinstance(y, Tensor)
                assert y.dtype.kind == np.asarray(e).dtype.kind
                assert y.requires_grad == (sample.differentiable and y.dtype.kind == "f")
                np.testing.assert_allclose(y.detach().numpy(), e, rtol=1e-12, atol=1e-14)


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")  # torch, of kl_div
@every_op(lambda s: s.torch)
def test_value_and_gradient_are_torchs(samples):
    torch = pytest.importorskip("torch")
    for sample in samples:
        with of(sample):
            assert_torchs(torch, sample)


def assert_torchs(torch, sample) -> None:
    *place, name = sample.torch.split(".")  # such as linalg.det
    call = getattr(torch.nn.functional, name, None) if not place else None
    call = call or getattr(getattr(torch, *place) if place else torch, name, None)
    assert call, f"torch has no {sample.torch}; say torch=None in its row"
    is_array = lambda a: isinstance(a, np.ndarray | np.generic)
    theirs = [torch.tensor(a.copy()) if is_array(a) else a for a in sample.arrays()]
    wanted = [x for x, a in zip(theirs, sample.arrays()) if is_float(a)]
    for x in wanted:
        x.requires_grad_()
    expected = sample.through(call)(*theirs, **sample.options)
    expected = list(expected) if isinstance(expected, tuple | list) else [expected]
    args = sample.tensors()
    for y, e in zip(results(sample.function(*args)), expected, strict=True):
        assert (y.shape, str(y.dtype)) == (tuple(e.shape), str(e.dtype).removeprefix("torch."))
        np.testing.assert_allclose(y.detach().numpy(), e.detach().numpy(), rtol=1e-10, atol=1e-13)
    outputs = [e for e in expected if e.requires_grad]
    if sample.differentiable and outputs:
        cotangents = cotangents_for(outputs, torch.tensor)
        gradients = torch.autograd.grad(outputs, wanted, cotangents, allow_unused=True)
        for g, e in zip(gradients_of(sample, args), gradients, strict=True):
            np.testing.assert_allclose(g, 0 if e is None else e.numpy(), rtol=1e-9, atol=1e-12)


@every_op()
def test_float32_stays_float32(samples):
    for sample in samples:
        with of(sample):
            args = sample.tensors(np.float32)
            exact = results(sample.function(*sample.tensors()))
            for y, e in zip(results(sample.function(*args)), exact, strict=True):
                converts = sample.op in ("cast", "float_power")
                assert y.dtype == (np.float32 if e.dtype.kind == "f" and not converts else e.dtype)
                np.testing.assert_allclose(
                    y.detach().numpy(), e.detach().numpy(), rtol=2e-4, atol=2e-5
                )
            if sample.differentiable:
                gradients = gradients_of(sample, sample.tensors())
                for g, e in zip(gradients_of(sample, args), gradients, strict=True):
                    assert g.dtype == np.float32
                    np.testing.assert_allclose(g, e, rtol=2e-3, atol=2e-4)


LAYOUTS = {
    "transposed": lambda a: np.array(a.T, order="C").T,
    "backwards": lambda a: np.asarray(np.flip(np.flip(a).copy())),
    "strided": lambda a: np.repeat(a, 2, -1)[..., ::2] if a.ndim else a,
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape) if a.size else a,
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@every_op(lambda s: s.op != "view")  # which says that it needs contiguous memory
def test_layout_in_memory_does_not_matter(samples, dtype):
    """Nor are the inputs written to. float32 has other kernels than float64."""
    for sample in samples:
        expected = [y.detach().numpy() for y in results(sample.function(*sample.tensors(dtype)))]
        if sample.differentiable:
            expected += gradients_of(sample, sample.tensors(dtype))
        for layout in LAYOUTS:
            with of(sample):
                assert_same_in(layout, sample, dtype, expected)


def assert_same_in(layout, sample, dtype, expected) -> None:
    rearranged = LAYOUTS[layout]
    arrays = [rearranged(a) if isinstance(a, np.ndarray) else a for a in sample.arrays(dtype)]
    before = [np.array(a) if isinstance(a, np.ndarray) else a for a in arrays]
    args = [Tensor(a, is_float(a)) if isinstance(a, np.ndarray) else a for a in arrays]
    found = [y.detach().numpy() for y in results(sample.function(*args))]
    if sample.differentiable:
        found += gradients_of(sample, args)
    tolerance = 1e-10 if dtype is np.float64 else 1e-4
    for y, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(
            y, e, rtol=tolerance, atol=tolerance / 10, err_msg=f"{layout} inputs"
        )
    for a, b in zip(arrays, before):
        np.testing.assert_array_equal(a, b, err_msg="an input was written to")
