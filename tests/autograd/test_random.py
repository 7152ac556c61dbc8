"""Random numbers: their distributions, every form of each call, and what is refused."""

import threading

import numpy as np
import pytest
import scipy.stats

import tinygen as tg
from tinygen.autograd.random import by_cumulative_sum
from tinygen.autograd.registry import ShapeError

SIZE = 20_000
DTYPES = [tg.float32, tg.float64]

# ---- Distributions -------------------------------------------------------------------------------

CONTINUOUS = {
    "randn": (lambda **o: tg.randn(SIZE, **o), scipy.stats.norm()),
    "rand": (lambda **o: tg.rand(SIZE, **o), scipy.stats.uniform()),
    "normal": (lambda **o: tg.normal(2.0, 3.0, (SIZE,), **o), scipy.stats.norm(2, 3)),
    "normal_": (lambda **o: tg.empty(SIZE, **o).normal_(2, 3), scipy.stats.norm(2, 3)),
    "uniform_": (lambda **o: tg.empty(SIZE, **o).uniform_(-1, 3), scipy.stats.uniform(-1, 4)),
    "exponential_": (lambda **o: tg.empty(SIZE, **o).exponential_(2), scipy.stats.expon(0, 0.5)),
    "cauchy_": (lambda **o: tg.empty(SIZE, **o).cauchy_(1, 2), scipy.stats.cauchy(1, 2)),
    "log_normal_": (
        lambda **o: tg.empty(SIZE, **o).log_normal_(0.5, 0.7),
        scipy.stats.lognorm(0.7, 0, np.exp(0.5)),
    ),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CONTINUOUS)
def test_distribution(name, dtype):
    draw, distribution = CONTINUOUS[name]
    tg.manual_seed(5)
    x = draw(dtype=dtype)
    assert x.dtype == dtype and x.shape == (SIZE,)
    assert scipy.stats.kstest(x.numpy(), distribution.cdf).pvalue > 0.001


DISCRETE = {
    "randint": (lambda: tg.randint(2, 7, (SIZE,)), scipy.stats.randint(2, 7)),
    "randint_like": (lambda: tg.randint_like(tg.zeros(SIZE), 5), scipy.stats.randint(0, 5)),
    "random_": (lambda: tg.zeros(SIZE).random_(2, 7), scipy.stats.randint(2, 7)),
    "geometric_": (lambda: tg.zeros(SIZE).geometric_(0.3), scipy.stats.geom(0.3)),
    "poisson": (lambda: tg.poisson(tg.full((SIZE,), 2.5)), scipy.stats.poisson(2.5)),
    "bernoulli": (lambda: tg.bernoulli(tg.full((SIZE,), 0.3)), scipy.stats.bernoulli(0.3)),
    "bernoulli with p": (lambda: tg.bernoulli(tg.zeros(SIZE), 0.3), scipy.stats.bernoulli(0.3)),
    "bernoulli_": (lambda: tg.zeros(SIZE).bernoulli_(0.3), scipy.stats.bernoulli(0.3)),
    "multinomial": (
        lambda: tg.multinomial(tg.tensor([0.0, 3.0, 7.0, 0.0]), SIZE, True) - 1,
        scipy.stats.bernoulli(0.7),
    ),
}


@pytest.mark.parametrize("name", DISCRETE)
def test_discrete_distribution(name):
    draw, distribution = DISCRETE[name]
    tg.manual_seed(5)
    values, counts = np.unique(draw().numpy(), return_counts=True)
    expected = SIZE * distribution.pmf(values)
    assert expected.sum() > 0.99 * SIZE
    common = expected > 20
    assert (np.abs(counts - expected) < 4.5 * np.sqrt(expected))[common].all()


def test_normal_of_tensors():
    tg.manual_seed(0)
    mean, std = tg.tensor([[0.0], [10.0]]).double(), tg.tensor([0.1, 1.0, 5.0]).double()
    x = tg.stack([tg.normal(mean, std) for _ in range(4000)])
    assert x.shape == (4000, 2, 3) and x.dtype == tg.float64
    np.testing.assert_allclose(x.mean(0).numpy(), mean.expand(2, 3).numpy(), atol=0.3)
    np.testing.assert_allclose(x.std(0).numpy(), std.expand(2, 3).numpy(), rtol=0.1)
    assert np.unique(x.numpy()).size == x.numel()  # drawn in float64, not in float32
    assert tg.normal(mean).shape == (2, 1) and tg.normal(0.0, std).shape == (3,)
    assert not tg.normal(mean.requires_grad_()).requires_grad
    np.testing.assert_array_equal(tg.normal(mean, 0.0).numpy(), mean.detach().numpy())


def test_multinomial_of_many_rows():
    p = tg.tensor([[0.0, 1.0, 0.0], [0.5, 0.0, 0.5], [2.0, 0.0, 6.0]])
    for drawn in (tg.multinomial(p, 8000, True), p.multinomial(8000, replacement=True)):
        assert drawn.shape == (3, 8000) and drawn.dtype == tg.int64
        share = (drawn == 2).double().mean(1).numpy()
        np.testing.assert_allclose(share, [0, 0.5, 0.75], atol=0.03)
        assert (drawn[0] == 1).all() and not (drawn[1:] == 1).any()
    assert tg.multinomial(tg.ones(0, 3), 2).shape == (0, 2)
    assert tg.multinomial(tg.ones(4), 4).sort()[0].tolist() == [0, 1, 2, 3]


def test_half_precision_stays_below_one():
    u = tg.rand(100_000, dtype=tg.float16)
    assert u.dtype == tg.float16 and u.max() < 1 and tg.randn(3, dtype=tg.float16).dtype == u.dtype


def test_the_largest_uniform_draws_a_class_of_positive_weight():
    weights = np.random.default_rng(0).random((1000, 4)) * [1, 1, 1, 0]
    for count in (1, 2):
        drawn = by_cumulative_sum(weights, np.full((1000, count), np.nextafter(1, 0)))
        assert (drawn == 2).all()


# ---- Forms of a call -----------------------------------------------------------------------------


def test_forms_of_randint():
    for call in (
        lambda: tg.randint(9, (2, 3)), lambda: tg.randint(0, 9, (2, 3)),
        lambda: tg.randint(low=0, high=9, size=(2, 3)), lambda: tg.randint(high=9, size=[2, 3]),
        lambda: tg.randint(0, high=9, size=(2, 3)), lambda: tg.randint(9, size=(2, 3)),
        lambda: tg.randint(tg.tensor(9), (2, 3)), lambda: tg.randint_like(tg.zeros(2, 3).long(), 9),
        lambda: tg.randint_like(tg.zeros(2, 3).long(), 0, 9),
    ):  # fmt: skip
        tg.manual_seed(1)
        first = call()
        tg.manual_seed(1)
        assert first.tolist() == tg.randint(0, 9, (2, 3)).tolist() and first.dtype == tg.int64
    assert tg.randint(2, ()).shape == () and tg.randint(5, (2,), dtype=tg.float32).dtype.kind == "f"
    assert tg.randint(0, 256, (9,), dtype=tg.uint8).dtype == tg.uint8


def test_shapes_in_every_form():
    for make in (tg.rand, tg.randn, tg.zeros, tg.ones, tg.empty):
        for x in (make(2, 3), make((2, 3)), make([2, 3]), make(size=(2, 3)),
                  make(np.int64(2), tg.tensor(3)), make(2, 3, device="cpu", layout=None,
                  pin_memory=True, requires_grad=True)):  # fmt: skip
            assert x.shape == (2, 3) and x.dtype == tg.float32
        assert make().shape == make(()).shape == make(size=()).shape == ()
    like = tg.zeros(2, 3, dtype=tg.float64)
    for x in (tg.rand_like(like), tg.randn_like(like, device="cpu"), tg.empty_like(like)):
        assert x.shape == (2, 3) and x.dtype == tg.float64
    assert tg.rand_like(like, dtype=tg.float32).dtype == tg.float32


def test_random_in_place_without_bounds():
    assert tg.zeros(1000).random_().max() < 2**24 and tg.zeros(1000).random_().max() > 2**20
    assert tg.zeros(1000, dtype=tg.uint8).random_().max() > 100
    assert set(tg.zeros(100).random_(2).tolist()) == {0, 1}
    assert set(tg.zeros(100).long().random_(3, to=5).tolist()) == {3, 4}


def test_bernoulli_of_tensors_in_place():
    x = tg.zeros(2, 3, dtype=tg.int64).bernoulli_(tg.tensor([0.0, 1.0, 0.0]))
    assert x.tolist() == [[0, 1, 0], [0, 1, 0]] and x.dtype == tg.int64
    assert tg.tensor([0.0, 1.0]).bernoulli().tolist() == [0, 1]


# ---- Generators ----------------------------------------------------------------------------------

SAMPLERS = {
    "bernoulli_": (0.5,), "cauchy_": (), "exponential_": (), "geometric_": (0.2,),
    "log_normal_": (), "normal_": (), "random_": (), "uniform_": (),
}  # fmt: skip


@pytest.mark.parametrize("name", SAMPLERS)
def test_in_place_samplers_take_a_generator(name):
    def draw(generator=None):
        x = tg.zeros(30)
        assert getattr(x, name)(*SAMPLERS[name], generator=generator) is x
        return x.tolist()

    tg.manual_seed(3)
    first = draw()
    assert draw() != first
    state = str(tg.get_rng_state())
    assert draw(tg.Generator().manual_seed(3)) == first == draw(tg.Generator(3))
    assert str(tg.get_rng_state()) == state
    with pytest.raises(RuntimeError, match="leaf tensor that requires grad"):
        getattr(tg.zeros(3, requires_grad=True), name)(*SAMPLERS[name])


def test_generators():
    for generator in (tg.Generator(), tg.Generator("cpu"), tg.Generator(device="cpu")):
        assert generator.device == "cpu" and generator.manual_seed(7) is generator
        assert generator.initial_seed() == 7 and generator.manual_seed(-1).initial_seed() > 2**63
    first, second = generator.seed(), generator.seed()
    assert first != second == generator.initial_seed()
    state = generator.get_state()
    x = tg.rand(3, generator=generator)
    generator.set_state(state)
    assert tg.rand(3, generator=generator).tolist() == x.tolist()
    tg.manual_seed(4)
    assert tg.initial_seed() == 4 and isinstance(tg.seed(), int)
    tg.manual_seed(4)
    first = tg.rand(3).tolist()
    tg.manual_seed(4)
    with tg.fork_rng():
        tg.manual_seed(99)
        tg.rand(5)
    assert tg.rand(3).tolist() == first


def test_a_state_is_small_and_of_this_stream():
    generator = tg.Generator(2**64 - 1)
    tg.rand(3, generator=generator), generator.rng, tg.randperm(3, generator=generator)
    assert generator.get_state() == {"seed": 2**64 - 1, "offset": 3}
    for state in (np.random.Philox(0).state, {"seed": 1}, tg.zeros(16)):
        with pytest.raises(ValueError, match="belongs to another stream"):
            generator.set_state(state)


def test_calls_differ_and_threads_share_none():
    generator, drawn = tg.Generator(3), []

    def draw():
        for _ in range(200):
            drawn.append(generator.next_call())

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(drawn) == [(3, call) for call in range(800)]
    rows = [generator.rng.random(4) for _ in range(2)] + [tg.Generator(4).rng.random(4)]
    assert np.unique(rows).size == 12


# ---- What is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("call,error,text", [
    (lambda: tg.zeros(3).normal_(0, -1), RuntimeError, "std >= 0"),
    (lambda: tg.normal(tg.zeros(2), tg.tensor([1.0, -1.0])), RuntimeError, "std >= 0"),
    (lambda: tg.normal(0.0, 1.0), TypeError, "needs a size"),
    (lambda: tg.normal(tg.zeros(2), tg.ones(3)), ShapeError, r"\(2,\) and \(3,\)"),
    (lambda: tg.zeros(3).uniform_(2, 1), RuntimeError, "from <= to"),
    (lambda: tg.zeros(3).exponential_(0), RuntimeError, "lambd > 0"),
    (lambda: tg.zeros(3).cauchy_(0, 0), RuntimeError, "sigma > 0"),
    (lambda: tg.zeros(3).log_normal_(0, -1), RuntimeError, "std > 0"),
    (lambda: tg.zeros(3).geometric_(1), RuntimeError, "p in"),
    (lambda: tg.zeros(3).bernoulli_(1.5), RuntimeError, "outside of"),
    (lambda: tg.zeros(3).bernoulli_(tg.ones(2)), ShapeError, "bernoulli"),
    (lambda: tg.zeros(3).bernoulli_(tg.ones(2, 3)), ShapeError, "bernoulli"),
    (lambda: tg.zeros(3).random_(4, 4), RuntimeError, "no integer"),
    (lambda: tg.poisson(tg.tensor([-1.0])), RuntimeError, "negative"),
    (lambda: tg.randint(5, 5, (2,)), RuntimeError, "no integer"),
    (lambda: tg.randint(5), TypeError, "takes .high, size"),
    (lambda: tg.randint(0, 1, 2, (3,)), TypeError, "takes .high, size"),
    (lambda: tg.randn(2, dtype=tg.int64), NotImplementedError, "randint"),
    (lambda: tg.zeros(2).long().uniform_(), NotImplementedError, "int64"),
    (lambda: tg.zeros(2).long().exponential_(), NotImplementedError, "int64"),
    (lambda: tg.rand_like(tg.zeros(2).long()), NotImplementedError, "int64"),
    (lambda: tg.multinomial(tg.ones(3), 0), RuntimeError, "at least one"),
    (lambda: tg.multinomial(tg.ones(2, 2, 2), 1), RuntimeError, r"\(2, 2, 2\)"),
    (lambda: tg.rand(2, generator=5), TypeError, "tg.Generator"),
    (lambda: tg.manual_seed(2**64), ValueError, "seed must lie"),
    (lambda: tg.Generator("cuda"), RuntimeError, "CPU only"),
    (lambda: tg.rand(2.0), TypeError, "a shape is integers"),
    (lambda: tg.rand(2, (3,)), TypeError, "a shape is integers"),
    (lambda: tg.rand(-1), ShapeError, "negative size"),
    (lambda: tg.randperm(-1), ShapeError, "negative size"),
    (lambda: tg.rand(2, colour="red"), TypeError, "colour"),
])  # fmt: skip
def test_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()
