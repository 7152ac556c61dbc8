"""Averages of weights: their closed form, buffers, and PyTorch's own."""

import numpy as np
import pytest

import tinygen as tg
from tinygen import nn
from tinygen.optim import swa_utils
from tinygen.optim.swa_utils import AveragedModel, get_ema_avg_fn, get_ema_multi_avg_fn

AVERAGES = {
    "ema": {"avg_fn": get_ema_avg_fn(0.9)},
    "ema of many": {"multi_avg_fn": get_ema_multi_avg_fn(0.9)},
    "mean": {},
}


def wander(averages, steps=6, **options):
    """A layer whose weights are drawn anew each step: (its weights by step [steps, …], average)."""
    tg.manual_seed(0)
    layer, seen = nn.Linear(3, 2, dtype=tg.float64), []
    averaged = AveragedModel(layer, **AVERAGES[averages], **options)
    for _ in range(steps):
        with tg.no_grad():
            layer.weight.normal_()
        seen.append(layer.weight.detach().numpy().copy())
        averaged.update_parameters(layer)
    return np.stack(seen), averaged


@pytest.mark.parametrize("averages", ["ema", "ema of many"])
def test_the_exponential_average_is_the_sum_that_it_stands_for(averages):
    seen, averaged = wander(averages)
    weights = 0.1 * 0.9 ** np.arange(len(seen))[::-1]
    weights[0] = 0.9 ** (len(seen) - 1)  # the first was copied
    np.testing.assert_allclose(weights.sum(), 1)
    expected = np.tensordot(weights, seen, 1)
    np.testing.assert_allclose(averaged.module.weight.detach().numpy(), expected, rtol=1e-12)
    assert averaged.n_averaged.item() == len(seen)


def test_by_default_it_is_the_mean():
    seen, averaged = wander("mean")
    np.testing.assert_allclose(averaged.module.weight.detach().numpy(), seen.mean(0), rtol=1e-12)


def test_the_copy_is_its_own_and_the_original_is_left_alone():
    layer = nn.Linear(3, 2)
    averaged, before = AveragedModel(layer), layer.weight.detach().numpy().copy()
    with tg.no_grad():
        averaged.module.weight.fill_(7.0)
    np.testing.assert_array_equal(layer.weight.detach().numpy(), before)
    x = tg.randn(4, 3)
    np.testing.assert_array_equal(averaged(x).detach().numpy(), averaged.module(x).detach().numpy())


@pytest.mark.parametrize("use_buffers", [False, True])
def test_buffers_are_the_latest_or_averaged(use_buffers):
    norm = nn.BatchNorm1d(2)
    fn = get_ema_multi_avg_fn(0.5)
    averaged = AveragedModel(norm, multi_avg_fn=fn, use_buffers=use_buffers)
    for mean, count in ((1.0, 4), (2.0, 8)):
        norm.running_mean.fill_(mean)
        norm.num_batches_tracked.fill_(count)
        averaged.update_parameters(norm)
    assert averaged.module.running_mean.tolist() == [1.5 if use_buffers else 2.0] * 2
    assert averaged.module.num_batches_tracked.item() == (6 if use_buffers else 8)


def test_its_state_goes_on_where_it_was():
    _, averaged = wander("ema")
    other = AveragedModel(nn.Linear(3, 2, dtype=tg.float64))
    other.load_state_dict(averaged.state_dict())
    assert other.n_averaged.item() == 6
    np.testing.assert_array_equal(
        other.module.weight.detach().numpy(), averaged.module.weight.detach().numpy()
    )


@pytest.mark.parametrize("decay", [-0.1, 1.5])
@pytest.mark.parametrize("make", [get_ema_avg_fn, get_ema_multi_avg_fn])
def test_a_decay_out_of_range(make, decay):
    with pytest.raises(ValueError, match=rf"Invalid decay value {decay}"):
        make(decay)


def test_two_ways_to_average_at_once():
    with pytest.raises(ValueError, match="avg_fn or multi_avg_fn, not both"):
        AveragedModel(nn.Linear(1, 1), avg_fn=get_ema_avg_fn(), multi_avg_fn=get_ema_multi_avg_fn())


@pytest.mark.parametrize("name", ["get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn"])
def test_pytorch_averages_the_same(name):
    torch = pytest.importorskip("torch")
    rng, found = np.random.default_rng(0), []
    weights = rng.standard_normal((5, 3, 4))
    for m, utils in ((tg, swa_utils), (torch, torch.optim.swa_utils)):
        layer, make = m.nn.Linear(4, 3, bias=False).double(), getattr(utils, name)
        options = {"multi_avg_fn" if "multi" in name else "avg_fn": make()}
        averaged = utils.AveragedModel(layer, **options)
        for weight in weights:
            with m.no_grad():
                layer.weight.copy_(m.from_numpy(weight))
            averaged.update_parameters(layer)
        found.append({k: v.numpy().copy() for k, v in averaged.state_dict().items()})
    assert found[0].keys() == found[1].keys()
    for key, value in found[1].items():
        np.testing.assert_allclose(found[0][key], value, rtol=1e-14)
