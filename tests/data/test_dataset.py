"""Datasets, samplers and collation: PyTorch's rules, and what breaks them."""

from collections import namedtuple

import numpy as np
import pytest

import tinygen as tg
from tinygen.data import (
    BatchSampler,
    ConcatDataset,
    Dataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    default_convert,
    random_split,
)


class Squares(Dataset):
    def __init__(self, n):
        self.n = n

    def __getitem__(self, index):
        return index**2

    def __len__(self):
        return self.n


# ---- Datasets ------------------------------------------------------------------------------------


def test_tensors_are_read_in_rows():
    x, y = tg.arange(12.0).reshape(6, 2), tg.arange(6)
    data = TensorDataset(x, y)
    assert len(data) == 6
    a, b = data[4]
    assert a.tolist() == [8, 9] and b.item() == 4
    assert data[1:3][1].tolist() == [1, 2]


@pytest.mark.parametrize("shapes", [[], [(3, 2), (4,)], [()]])
def test_tensors_that_have_not_the_same_number_of_rows(shapes):
    with pytest.raises(ValueError, match="one n for all of them"):
        TensorDataset(*[tg.zeros(*shape) for shape in shapes])


def test_subsets_of_subsets_and_concatenations():
    part = Subset(Subset(Squares(10), [1, 3, 5, 7]), np.array([3, 0]))
    assert len(part) == 2 and [part[i] for i in range(2)] == [49, 1]
    both = part + Squares(3)
    assert isinstance(both, ConcatDataset) and len(both) == 5
    assert [both[i] for i in range(5)] == [49, 1, 0, 1, 4]
    assert both[-1] == 4 and both[-5] == 49
    for outside in (5, -6):
        with pytest.raises(IndexError, match=f"no sample {outside} among 5"):
            both[outside]
    assert [ConcatDataset([Squares(0), Squares(2)])[i] for i in range(2)] == [0, 1]


def test_nothing_to_concatenate():
    with pytest.raises(ValueError, match="at least one dataset"):
        ConcatDataset([])


def test_a_random_split_shares_no_sample():
    parts = random_split(Squares(10), [7, 3], tg.Generator().manual_seed(1))
    assert [len(part) for part in parts] == [7, 3]
    assert sorted(x for part in parts for x in (part[i] for i in range(len(part)))) == [
        i**2 for i in range(10)
    ]
    again = random_split(Squares(10), [7, 3], tg.Generator().manual_seed(1))
    assert [list(p.indices) for p in parts] == [list(p.indices) for p in again]
    other = random_split(Squares(10), [7, 3], tg.Generator().manual_seed(2))
    assert list(parts[0].indices) != list(other[0].indices)


def test_a_random_split_by_fractions_gives_the_rest_to_the_first():
    assert [len(p) for p in random_split(Squares(11), [0.5, 0.25, 0.25])] == [6, 3, 2]
    assert [len(p) for p in random_split(Squares(1797), [0.9, 0.1])] == [1618, 179]


@pytest.mark.parametrize("lengths", [[7, 4], [0.5, 0.4], [11, -1], [5.0, 5.0], []])
def test_a_split_that_does_not_add_up(lengths):
    with pytest.raises(ValueError, match="sum to the 10 samples"):
        random_split(Squares(10), lengths)
    with pytest.raises(ValueError, match="between 0 and 1"):
        random_split(Squares(10), [1.5, -0.5])


# ---- Samplers ------------------------------------------------------------------------------------


def test_samplers_in_order_and_at_random():
    assert list(SequentialSampler(Squares(3))) == [0, 1, 2]
    sampler = RandomSampler(Squares(20))
    first, second = list(sampler), list(sampler)
    assert sorted(first) == sorted(second) == list(range(20)) and first != second
    assert list(RandomSampler(Squares(0))) == []


def test_more_or_fewer_samples_than_there_are():
    sampler = RandomSampler(Squares(3), num_samples=7)
    drawn = list(sampler)
    assert len(sampler) == len(drawn) == 7
    assert sorted(drawn[:3]) == sorted(drawn[3:6]) == [0, 1, 2]
    assert len(set(RandomSampler(Squares(9), num_samples=4))) == 4


def test_with_replacement_samples_are_independent():
    drawn = list(RandomSampler(Squares(5), replacement=True, num_samples=20_000))
    counts = np.bincount(drawn, minlength=5)
    assert ((counts - 4000) ** 2 / 4000).sum() < 18.5  # chi-squared, 4 degrees of freedom: 0.1 %


def test_subset_random_sampler():
    sampler = SubsetRandomSampler([4, 6, 8, 10, 12])
    assert sorted(sampler) == [4, 6, 8, 10, 12] and len(sampler) == 5
    assert len({tuple(sampler) for _ in range(10)}) > 1


def test_weights_are_proportions():
    drawn = list(WeightedRandomSampler([1, 0, 3], 40_000))
    share = np.bincount(drawn, minlength=3) / len(drawn)
    np.testing.assert_allclose(share, [0.25, 0, 0.75], atol=4 * np.sqrt(0.1875 / 40_000))
    assert sorted(WeightedRandomSampler([1, 5, 3], 3, replacement=False)) == [0, 1, 2]


@pytest.mark.parametrize("number", [0, -1, 2.5, True])
def test_wrong_numbers_of_samples(number):
    with pytest.raises(ValueError, match="num_samples is a whole number above 0"):
        WeightedRandomSampler([1.0], number)
    with pytest.raises(ValueError, match="batch_size is a whole number above 0"):
        BatchSampler([0], number, False)


def test_weights_for_each_sample():
    with pytest.raises(ValueError, match=r"one for each sample, \[n\]"):
        WeightedRandomSampler(tg.ones(2, 2), 3)
    with pytest.raises(ValueError, match="drop_last is True or False"):
        BatchSampler([0], 1, 1)


def test_batches_of_numbers():
    assert list(BatchSampler(range(5), 2, False)) == [[0, 1], [2, 3], [4]]
    assert list(BatchSampler(range(5), 2, True)) == [[0, 1], [2, 3]]
    assert len(BatchSampler(range(5), 2, False)) == 3 and len(BatchSampler(range(5), 2, True)) == 2


# ---- Collation -----------------------------------------------------------------------------------

Pair = namedtuple("Pair", "image label")


def test_collation_goes_into_containers():
    samples = [
        {"x": tg.full((2,), i), "pair": Pair(np.full(3, i), 0.5 * i), "name": f"n{i}", "ok": i > 0}
        for i in range(2)
    ]
    batch = default_collate(samples)
    assert batch["x"].tolist() == [[0, 0], [1, 1]]
    assert isinstance(batch["pair"], Pair) and batch["pair"].image.shape == (2, 3)
    assert batch["pair"].label.dtype == np.float64 and batch["pair"].label.tolist() == [0, 0.5]
    assert batch["name"] == ["n0", "n1"]
    assert batch["ok"].dtype == bool and batch["ok"].tolist() == [False, True]
    assert default_collate([(1, 2), (3, 4)])[0].tolist() == [1, 3]
    assert default_collate([np.float32(1), np.float32(2)]).dtype == np.float32


def test_what_can_not_be_collated():
    with pytest.raises(RuntimeError, match=r"one shape, got \(2,\) and \(3,\)"):
        default_collate([tg.zeros(2), tg.zeros(3)])
    with pytest.raises(RuntimeError, match="same number of parts, got 1 and 2"):
        default_collate([(1,), (1, 2)])
    with pytest.raises(TypeError, match="got object"):
        default_collate([object()])
    with pytest.raises(ValueError, match="no samples"):
        default_collate([])


def test_conversion_of_single_samples():
    out = default_convert({"a": np.ones(2), "b": ("text", [np.float64(3)])})
    assert isinstance(out["a"], tg.Tensor) and out["b"][0] == "text"
    assert out["b"][1][0].item() == 3
    assert isinstance(default_convert(Pair(np.ones(1), 2)), Pair)
