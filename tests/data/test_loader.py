"""DataLoader and cycle: the batches of an epoch, and a run that goes on to the same bits."""

import numpy as np
import pytest

import tinygen as tg
from tinygen.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
    cycle,
    get_worker_info,
)
from tinygen.train import Trainer


def numbers(n=10):
    return TensorDataset(tg.arange(float(2 * n)).reshape(n, 2), tg.arange(n))


class Stream(IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(range(self.n))


class LongStream(Stream):
    def __len__(self):
        return self.n


# ---- Batches -------------------------------------------------------------------------------------


def test_batches_in_order():
    loader = DataLoader(numbers(), batch_size=4)
    batches = list(loader)
    assert len(loader) == len(batches) == 3
    assert [y.tolist() for _, y in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    x, y = batches[1]
    assert x.shape == (4, 2) and x.dtype == np.float32 and y.dtype == np.int64
    np.testing.assert_array_equal(x.array[:, 0], 2 * y.array)
    assert len(DataLoader(numbers(), 4, drop_last=True)) == 2
    assert [len(y) for _, y in DataLoader(numbers(), 4, drop_last=True)] == [4, 4]


def test_by_default_samples_come_one_by_one_with_a_batch_dimension():
    assert [y.shape for _, y in DataLoader(numbers(3))] == [(1,)] * 3


def test_shuffling_is_new_in_each_epoch_and_follows_the_generator():
    def epochs(seed):
        loader = DataLoader(numbers(50), 50, shuffle=True, generator=tg.Generator(seed))
        return [next(iter(loader))[1].tolist() for _ in range(2)]

    first, second = epochs(3)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second and [first, second] == epochs(3) != epochs(4)
    tg.manual_seed(5)
    ((_, a),) = DataLoader(numbers(50), 50, shuffle=True)
    tg.manual_seed(5)
    ((_, b),) = DataLoader(numbers(50), 50, shuffle=True)
    assert a.tolist() == b.tolist()


def test_whole_batches_are_what_collation_would_give():
    class Slow(Dataset):
        def __init__(self, data):
            self.data = data

        def __getitem__(self, index):
            return self.data[index]

        def __len__(self):
            return len(self.data)

    data = numbers(20)
    part = Subset(Subset(data, np.arange(3, 17)), [5, 1, 7, 2, 13])
    for dataset in (data, part):
        for fast, slow in zip(DataLoader(dataset, 3), DataLoader(Slow(dataset), 3), strict=True):
            assert type(fast) is type(slow) is list
            for a, b in zip(fast, slow, strict=True):
                np.testing.assert_array_equal(a.array, b.array)
                assert a.dtype == b.dtype


def test_a_subclass_with_samples_of_its_own_is_asked_for_them():
    class Doubled(TensorDataset):
        def __getitem__(self, index):
            return (2 * super().__getitem__(index)[0],)

    for data in (Doubled(tg.arange(4)), Subset(Doubled(tg.arange(4)), [0, 1, 2, 3])):
        assert [x.tolist() for (x,) in DataLoader(data, 2)] == [[0, 2], [4, 6]]


def test_many_samples_at_once_by_pytorchs_method():
    class Fetching:
        def __getitem__(self, index):
            raise AssertionError("one by one")

        def __getitems__(self, indices):
            assert isinstance(indices, list)
            return [10 * i for i in indices]

        def __len__(self):
            return 4

    assert [x.tolist() for x in DataLoader(Fetching(), 3)] == [[0, 10, 20], [30]]


def test_tensors_arrays_and_lists_are_datasets():
    for data in (tg.arange(4), np.arange(4), [0, 1, 2, 3]):
        batches = list(DataLoader(data, 3))
        assert [x.tolist() for x in batches] == [[0, 1, 2], [3]]
        assert all(isinstance(x, tg.Tensor) for x in batches)


def test_collate_fn_gets_a_list_of_samples():
    loader = DataLoader(numbers(), 4, collate_fn=lambda samples: [y.item() for _, y in samples])
    assert list(loader) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_samplers_of_ones_own():
    assert [y.tolist() for _, y in DataLoader(numbers(), 2, sampler=[7, 3, 5])] == [[7, 3], [5]]
    batches = BatchSampler([1, 2, 3], 2, True)
    assert [y.tolist() for _, y in DataLoader(numbers(), batch_sampler=batches)] == [[1, 2]]


def test_without_batches():
    loader = DataLoader([np.ones(2), np.zeros(2)], batch_size=None)
    assert [x.tolist() for x in loader] == [[1, 1], [0, 0]] and len(loader) == 2


def test_streams():
    assert [x.tolist() for x in DataLoader(Stream(5), 2)] == [[0, 1], [2, 3], [4]]
    assert [x.tolist() for x in DataLoader(Stream(5), 2, drop_last=True)] == [[0, 1], [2, 3]]
    assert list(DataLoader(Stream(3), None)) == [0, 1, 2]
    assert len(DataLoader(LongStream(5), 2)) == 3
    with pytest.raises(TypeError):
        len(DataLoader(Stream(5), 2))


def test_what_scripts_say_in_passing_is_accepted():
    loader = DataLoader(
        numbers(), 5, True, num_workers=4, pin_memory=True, timeout=10, worker_init_fn=print,
        multiprocessing_context="spawn", prefetch_factor=2, persistent_workers=True,
    )  # fmt: skip
    assert len(list(loader)) == 2
    assert get_worker_info() is None
    assert tg.utils.data.DataLoader is DataLoader and tg.data.DataLoader is DataLoader


def test_empty_data():
    empty = TensorDataset(tg.zeros(0, 3))
    assert list(DataLoader(empty, 2)) == list(DataLoader(empty, 2, shuffle=True)) == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"batch_size": 0}, "batch_size is a whole number above 0, got 0"),
        ({"batch_size": 2.0}, "batch_size is a whole number above 0, got 2.0"),
        ({"num_workers": -1}, "num_workers is a whole number from 0 on, got -1"),
        ({"sampler": [1], "shuffle": True}, "choose one"),
        ({"batch_sampler": [[1]], "batch_size": 3}, "leave out batch_size, shuffle"),
        ({"batch_sampler": [[1]], "drop_last": True}, "leave out batch_size, shuffle"),
        ({"batch_size": None, "drop_last": True}, "leave out drop_last"),
        ({"dataset": Stream(3), "shuffle": True}, "no numbers to shuffle"),
        ({"dataset": Stream(3), "sampler": []}, "no numbers to shuffle"),
    ],
)
def test_arguments_that_exclude_one_another(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        DataLoader(**{"dataset": numbers(), **arguments})


def test_what_is_no_dataset_or_generator():
    with pytest.raises(TypeError, match="int has no"):
        DataLoader(3)
    with pytest.raises(TypeError, match=r"must be a tg\.Generator, not int"):
        DataLoader(numbers(), generator=0)


# ---- cycle ---------------------------------------------------------------------------------------


def drawn(batches, n):
    return [next(batches)[1].tolist() for _ in range(n)]


def test_cycle_has_no_end_and_shuffles_each_epoch():
    batches = cycle(DataLoader(numbers(6), 2, shuffle=True))
    assert iter(batches) is batches
    epochs = [drawn(batches, 3) for _ in range(5)]
    assert all(sorted(np.concatenate(epoch)) == list(range(6)) for epoch in epochs)
    assert len({str(epoch) for epoch in epochs}) > 1
    assert batches.epoch == 5 and batches.batch == 3


LOADERS = {
    "ordered": lambda g: DataLoader(numbers(), 3),
    "shuffled": lambda g: DataLoader(numbers(), 3, shuffle=True, generator=g),
    "sampler": lambda g: DataLoader(
        numbers(), 3, sampler=WeightedRandomSampler([1.0] * 10, 10, generator=g)
    ),
    "batch_sampler": lambda g: DataLoader(
        numbers(), batch_sampler=BatchSampler(WeightedRandomSampler([1.0] * 10, 10), 3, True),
        generator=g,
    ),
    "stream": lambda g: DataLoader(LongStream(10), 3, collate_fn=lambda s: (0, tg.tensor(s))),
}  # fmt: skip


@pytest.mark.parametrize("own_generator", [False, True])
@pytest.mark.parametrize("seen", [0, 1, 2, 3, 4, 5, 11])
@pytest.mark.parametrize("kind", LOADERS)
def test_cycle_goes_on_where_it_was(tmp_path, kind, seen, own_generator):
    def fresh(seed):
        tg.manual_seed(seed)
        return cycle(LOADERS[kind](tg.Generator(seed + 1) if own_generator else None))

    saved = fresh(0)
    for _ in range(seen):
        next(saved)
        tg.rand(2)  # training draws from the default generator too
    tg.save({"batches": saved.state_dict(), "rng": tg.get_rng_state()}, tmp_path / "state")
    expected = drawn(saved, 9), tg.rand(1).item()

    resumed = fresh(7)
    drawn(resumed, 2)
    state = tg.load(tmp_path / "state")
    resumed.load_state_dict(state["batches"])
    tg.set_rng_state(state["rng"])
    assert (drawn(resumed, 9), tg.rand(1).item()) == expected
    assert resumed.epoch == saved.epoch and resumed.batch == saved.batch


def test_skipped_batches_are_not_read():
    class Counting(TensorDataset):
        reads = 0

        def __getitem__(self, index):
            self.reads += 1
            return super().__getitem__(index)

    def fresh():
        return cycle(DataLoader(Counting(tg.arange(10), tg.arange(10)), 2, shuffle=True))

    saved, resumed = fresh(), fresh()
    drawn(saved, 4)
    resumed.load_state_dict(saved.state_dict())
    assert resumed.loader.dataset.reads == 0
    drawn(resumed, 1)
    assert resumed.loader.dataset.reads == 2


@pytest.mark.parametrize("data", [TensorDataset(tg.zeros(0, 2)), numbers(3)])
def test_a_cycle_of_nothing_does_not_hang(data):
    with pytest.raises(ValueError, match="no batch at all"):
        next(cycle(DataLoader(data, 4, drop_last=True)))


def test_the_state_of_another_loader():
    state = cycle(DataLoader(numbers(), 4)).state_dict()
    with pytest.raises(ValueError, match="3 batches in an epoch, and this one has 5"):
        cycle(DataLoader(numbers(), 2)).load_state_dict(state)


def trainer(path, seed):
    tg.manual_seed(seed)
    model = tg.nn.Linear(2, 1)
    loader = DataLoader(numbers(), 3, shuffle=True)

    def loss(model, batch):
        x, y = batch
        noisy = x / 20 + 0.1 * tg.randn_like(x)
        return ((model(noisy)[:, 0] - y / 10) ** 2).mean()

    optimizer = tg.optim.Adam(model.parameters(), lr=1e-2)
    return Trainer(model, optimizer, cycle(loader), loss, checkpoint=path)


def test_training_resumes_bit_for_bit_within_an_epoch(tmp_path):
    straight = trainer(tmp_path / "straight", 0)
    straight.fit(14, progress=False)
    trainer(tmp_path / "run", 0).fit(6, progress=False)
    resumed = trainer(tmp_path / "run", 99)
    resumed.resume()
    resumed.fit(14, progress=False)
    assert resumed.losses == straight.losses
    a, b = straight.model.state_dict(), resumed.model.state_dict()
    assert all(np.array_equal(a[key].array, b[key].array) for key in a)
