"""VQ-VAE: the nearest codes, gradients that go straight through, codebooks that follow."""

import math

import numpy as np
import pytest

import tinygen as tg
from tinygen.models.vqvae import VQVAE, VectorQuantizer, perplexity


def test_each_vector_becomes_the_nearest_code():
    tg.manual_seed(0)
    quantizer, z = VectorQuantizer(7, 3), tg.randn(2, 3, 4, 5)
    with tg.no_grad():
        quantizer.codebook.weight.normal_()
    found = quantizer(z)
    e = quantizer.codebook.weight.detach().numpy()
    flat = z.numpy().transpose(0, 2, 3, 1)
    distances = np.linalg.norm(flat[..., None, :] - e, axis=-1)
    np.testing.assert_array_equal(found.codes.numpy(), distances.argmin(-1))
    expected = e[distances.argmin(-1)].transpose(0, 3, 1, 2)
    np.testing.assert_allclose(found.vectors.detach().numpy(), expected, rtol=1e-5, atol=1e-6)
    error = (distances.min(-1) ** 2).mean() / 3
    assert found.loss.item() == pytest.approx(1.25 * error, rel=1e-5)


def test_gradients_go_straight_through_and_each_loss_moves_its_own():
    """d loss / dz is that of the output and the commitment's; the codebook sees its own alone."""
    tg.manual_seed(0)
    quantizer = VectorQuantizer(4, 2, commitment=0.5).double()
    z = tg.randn(3, 2, 2, 2, dtype=tg.float64, requires_grad=True)
    cotangent = tg.randn(3, 2, 2, 2, dtype=tg.float64)
    found = quantizer(z)
    ((found.vectors * cotangent).sum() + found.loss).backward()
    e = found.vectors.detach()
    misfit = 2 * (z.detach() - e) / z.numel()
    np.testing.assert_allclose(z.grad.numpy(), (cotangent + 0.5 * misfit).numpy(), rtol=1e-10)
    expected, flat = np.zeros((4, 2)), misfit.permute(0, 2, 3, 1).reshape(-1, 2).numpy()
    np.add.at(expected, found.codes.numpy().reshape(-1), -flat)
    np.testing.assert_allclose(quantizer.codebook.weight.grad.numpy(), expected, rtol=1e-10)


def test_moving_averages_are_those_of_the_paper():
    """Appendix A.1 with numbers by hand, and nothing moves in evaluation."""
    tg.manual_seed(0)
    quantizer = VectorQuantizer(2, 1, decay=0.75).double()
    quantizer.codebook.weight.copy_(tg.tensor([[-1.0], [1.0]]))
    quantizer.sums.copy_(quantizer.codebook.weight)
    z = tg.tensor([-2.0, -3.0, 2.0, -1.0], dtype=tg.float64).reshape(1, 1, 2, 2)
    found = quantizer(z)
    np.testing.assert_array_equal(found.vectors.numpy().ravel(), [-1, -1, 1, -1])  # the old codes
    shares = 0.75 + 0.25 * np.array([3, 1])
    sums = 0.75 * np.array([-1, 1]) + 0.25 * np.array([-6, 2])
    np.testing.assert_allclose(quantizer.shares.numpy(), shares)
    np.testing.assert_allclose(quantizer.codebook.weight.numpy()[:, 0], sums / shares)
    assert found.loss.item() == pytest.approx(0.25 * (1 + 4 + 1 + 0) / 4)  # commitment alone
    before = {name: x.numpy().copy() for name, x in quantizer.state_dict().items()}
    quantizer.eval()(z)
    for name, x in quantizer.state_dict().items():
        np.testing.assert_array_equal(x.numpy(), before[name])


def test_codes_that_nobody_chooses_come_back():
    tg.manual_seed(0)
    quantizer = VectorQuantizer(8, 2, decay=0.9)
    quantizer.codebook.weight[1:] = 100.0  # out of reach: all vectors choose the first
    quantizer.sums.copy_(quantizer.codebook.weight)
    for _ in range(80):
        codes = quantizer(tg.randn(16, 2, 4, 4)).codes
    assert len(np.unique(codes.numpy())) == 8
    assert perplexity(codes, 8) > 4


def test_perplexity_counts_the_codes_in_use():
    assert perplexity(tg.tensor([0, 1, 2, 3]), 9) == pytest.approx(4)
    assert perplexity(tg.tensor([[5, 5], [5, 5]]), 9) == pytest.approx(1)
    p = np.array([0.5, 0.25, 0.25])
    expected = math.exp(-(p * np.log(p)).sum())
    assert perplexity(tg.tensor([0, 0, 1, 2]), 3) == pytest.approx(expected)


def quarters(n):
    x = tg.zeros(n, 1, 8, 8)
    for i, quarter in enumerate(tg.randint(0, 4, (n,)).tolist()):
        x[i, 0, 4 * (quarter // 2) :, 4 * (quarter % 2) :][:4, :4] = 1.0
    return x


@pytest.mark.parametrize("decay", [None, 0.9])
def test_it_learns(decay):
    tg.manual_seed(0)
    model = VQVAE((1, 8, 8), K=8, D=4, channels=8, halvings=2, binary=True, decay=decay)
    x = quarters(32)
    optimizer = tg.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    begin = model.loss(x).item()
    for _ in range(150):
        optimizer.zero_grad()
        model.loss(x).backward()
        optimizer.step()
    assert model.loss(x).item() < begin / 20
    images = model.eval().reconstruct(x)
    assert ((images > 0.5).float() == x).float().mean().item() > 0.98
    codes = model.encode(x)
    assert codes.shape == (32, 2, 2) and codes.dtype == tg.int64
    np.testing.assert_array_equal(model.decode(codes).numpy(), images.numpy())


@pytest.mark.parametrize("image", [(3, 8, 4), (1, 28, 28)])
def test_shapes_of_real_images(image):
    model = VQVAE(image, halvings=2, variance=0.5)
    x = tg.rand(2, *image)
    out, quantized = model(x)
    assert out.shape == x.shape and quantized.codes.shape == (2, image[1] // 4, image[2] // 4)
    misfit = ((x - out).detach().numpy() ** 2).sum((1, 2, 3)) / (2 * 0.5)
    np.testing.assert_allclose(model.misfit(x, out).detach().numpy(), misfit, rtol=1e-5)
    np.testing.assert_allclose(
        model.loss(x).item(), misfit.mean() / math.prod(image) + quantized.loss.item(), rtol=1e-5
    )
    model.loss(x).backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: VQVAE((1, 8, 8)).loss(tg.rand(2, 1, 4, 8)),
            r"expected images \[B, 1, 8, 8\], got",
        ),
        (lambda: VQVAE((1, 8, 8)).loss(tg.full((2, 1, 8, 8), float("nan"))), "NaN or infinite"),
        (lambda: VQVAE((1, 9, 8)), "images of 9 × 8 can't be halved 1 times"),
        (lambda: VQVAE((1, 8, 8), K=4).decode(tg.tensor([[[0, 4]]])), "expected codes from 0 to 3"),
        (
            lambda: VectorQuantizer(4, 3)(tg.rand(2, 2, 4, 4)),
            r"expected vectors \[B, 3, h, w\], got",
        ),
        (lambda: VectorQuantizer(0, 3), "a codebook has at least one code"),
        (lambda: VectorQuantizer(4, 3, decay=1.0), r"decay lies in \[0, 1\), got 1.0"),
    ],
)
def test_mistakes(call, message):
    with pytest.raises(ValueError, match=message):
        call()
