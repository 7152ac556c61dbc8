"""Checkpoints: what comes back, what is refused, and what a crash leaves behind."""

import enum
import json
import math
import os
import stat
import struct
from collections import OrderedDict, defaultdict, namedtuple

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygen import serialization
from tinygen.autograd.tensor import Tensor
from tinygen.serialization import CheckpointError, load, save

DTYPES = ["bool", "float16", "float32", "float64"] + [
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
]


def assert_same(got, want):
    """Equal in type, dtype, order and every bit, all the way down."""
    assert type(got) is type(want)
    if isinstance(want, dict):
        assert [(type(key), key) for key in got] == [(type(key), key) for key in want]
        for key in want:
            assert_same(got[key], want[key])
    elif isinstance(want, list | tuple):
        assert len(got) == len(want)
        for a, b in zip(got, want):
            assert_same(a, b)
    elif isinstance(want, Tensor):
        assert_same(got.array, want.array)
    elif isinstance(want, np.ndarray | np.generic):
        assert (got.dtype, got.shape) == (want.dtype, want.shape)
        assert got.tobytes() == want.tobytes()
    elif isinstance(want, float):
        assert (math.isnan(got) and math.isnan(want)) or struct.pack("d", got) == struct.pack(
            "d", want
        )
    else:
        assert got == want


def round_trip(obj, folder):
    path = folder / "checkpoint.safetensors"
    save(obj, path)
    return load(path)


def write_raw(path, header, data=b""):
    """A safetensors file byte by byte, as some other program may have written it."""
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)
    return path


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


# ---- Round trips ---------------------------------------------------------------------------------


def test_a_training_checkpoint_comes_back_as_it_was(tmp_path):
    rng = np.random.default_rng(0)
    checkpoint = {
        "model": {"h.0.weight": Tensor(rng.standard_normal((3, 4), np.float32))},
        "optimizer": {
            "state": {0: {"step": 3, "exp_avg": Tensor(np.zeros((3, 4), np.float32))}},
            "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999), "params": [0], "fused": None}],
        },
        "scheduler": {"best": math.inf, "worst": -math.inf, "loss": math.nan, "zero": -0.0},
        "rng": rng.bit_generator.state,  # holds 128-bit integers
        "legacy_rng": np.random.MT19937(0).state,  # holds an ndarray
        "position": np.int64(12),
        "done": False,
        "note": 'naïve "quoted" 🙂 \ud800',
    }
    assert_same(round_trip(checkpoint, tmp_path), checkpoint)


names = st.text(max_size=4) | st.sampled_from(["a", "a.b", "a/b", "/", "0", "#2", "__metadata__"])
keys = names | st.integers(-(10**30), 10**30)
arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(
        dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
    )
)
leaves = (
    st.none()
    | st.booleans()
    | st.text()
    | st.integers()
    | st.integers(-(2**200), 2**200)
    | st.floats()
    | arrays
    | arrays.map(Tensor)
    | arrays.filter(lambda a: a.size).map(lambda a: a.reshape(-1)[0])
)
nestings = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=10,
)


@settings(max_examples=60, deadline=None)
@given(nestings)
def test_any_nesting_comes_back_as_it_was(tmp_path_factory, obj):
    assert_same(round_trip(obj, tmp_path_factory.getbasetemp()), obj)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (2, 3)])
def test_dtypes_and_shapes(tmp_path, dtype, shape):
    array = np.arange(math.prod(shape)).reshape(shape).astype(dtype)
    checkpoint = {"tensor": Tensor(array), "array": array}
    assert_same(round_trip(checkpoint, tmp_path), checkpoint)


def test_only_values_count_not_how_they_lie_in_memory(tmp_path):
    array = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4)
    for view in (array.T, array[:, ::-1, ::2], np.broadcast_to(array[0, 0], (2, 4))):
        np.testing.assert_array_equal(round_trip(view, tmp_path), view)
        np.testing.assert_array_equal(round_trip({"t": Tensor(view)}, tmp_path)["t"].array, view)
    swapped = np.array([1.0, 256.0]).astype(">f4")
    loaded = round_trip([swapped], tmp_path)[0]
    np.testing.assert_array_equal(loaded, swapped)
    assert loaded.dtype == np.float32


def test_shared_tensors_and_views_of_one_another(tmp_path):
    tensor = Tensor(np.arange(4.0))
    checkpoint = {"wte": tensor, "lm_head": tensor, "part": Tensor(tensor.array[1:3])}
    assert_same(round_trip(checkpoint, tmp_path), checkpoint)


def test_loaded_arrays_are_writable_and_their_own(tmp_path):
    path = tmp_path / "a.safetensors"
    save({"a": np.zeros(3)}, path)
    first = load(path)["a"]
    first += 1.0
    np.testing.assert_array_equal(load(path)["a"], np.zeros(3))


def test_names_that_clash_in_the_file(tmp_path):
    one, two, three, four = (Tensor(np.array(float(i))) for i in range(4))
    checkpoint = {"a": {"b": one}, "a/b": two, "a/b#2": three, 1: four, "1": one, "": two}
    assert_same(round_trip(checkpoint, tmp_path), checkpoint)
    reserved = {"__metadata__": one, "__metadata__#2": two, "\ud800": three, "\\ud800": four}
    assert_same(round_trip(reserved, tmp_path), reserved)


def test_integers_longer_than_python_prints(tmp_path):
    huge = 10**5000
    assert_same(round_trip({huge: [-huge, np.ones(1)]}, tmp_path), {huge: [-huge, np.ones(1)]})


def test_ordered_dict_is_a_dict_when_it_returns(tmp_path):
    assert_same(round_trip(OrderedDict(b=1, a=2), tmp_path), {"b": 1, "a": 2})


def test_nesting_may_be_deep_but_not_endless(tmp_path):
    deep = []
    for _ in range(serialization._MAX_DEPTH):
        deep = [deep]
    assert_same(round_trip(deep, tmp_path), deep)
    endless = {}
    endless["self"] = endless
    with pytest.raises(TypeError, match=r'checkpoint\["self"\].*contain itself'):
        save(endless, tmp_path / "a")


# ---- Other programs' files -----------------------------------------------------------------------


def test_a_state_dict_has_plain_keys_for_other_readers(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "model.safetensors"
    state = {
        "transformer.wte.weight": rng.standard_normal((5, 3), np.float32),
        "transformer.h.0.attn.c_attn.weight": rng.standard_normal((3, 9), np.float32),
    }
    save({key: Tensor(array) for key, array in state.items()}, path)
    seen = safetensors.numpy.load_file(path)
    assert seen.keys() == state.keys()
    for key in state:
        np.testing.assert_array_equal(seen[key], state[key])
    with safetensors.safe_open(path, "np") as file:
        assert file.metadata()["format"] == "pt"


def test_nested_tensors_have_readable_names(tmp_path):
    path = tmp_path / "a"
    save({"optimizer": {"state": {0: [np.ones(1)]}}}, path)
    assert list(safetensors.numpy.load_file(path)) == ["optimizer/state/0/0"]


def test_a_file_from_elsewhere_is_a_flat_dict_of_tensors(tmp_path):
    path = tmp_path / "a"
    arrays = {"x.y": np.arange(3), "z": np.array([True])}
    for metadata in (None, {"format": "pt"}):
        safetensors.numpy.save_file(arrays, path, metadata)
        assert_same(load(path), {key: Tensor(array) for key, array in arrays.items()})


def test_half_precision_from_elsewhere_becomes_float32(tmp_path):
    values = np.array([[0.0, -0.0, 1.0], [-2.5, np.inf, 2.0**-130]], np.float32)  # exact in BF16
    bfloat16 = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    float16 = np.array([1.5, -np.inf, 2.0**-24], "<f2")
    header = {"h": entry("F16", [3], 0, 6), "b": entry("BF16", [2, 3], 6, 18)}
    header |= {"empty": entry("BF16", [0, 2], 18, 18), "scalar": entry("BF16", [], 18, 20)}
    data = float16.tobytes() + bfloat16 + bfloat16[4:6]
    loaded = load(write_raw(tmp_path / "a", header, data))
    assert {key: tensor.array.dtype.name for key, tensor in loaded.items()} == dict.fromkeys(
        header, "float32"
    )
    assert loaded["b"].array.tobytes() == values.tobytes()
    np.testing.assert_array_equal(loaded["h"].array, float16.astype(np.float32))
    assert loaded["empty"].array.shape == (0, 2)
    assert loaded["scalar"].array.shape == () and loaded["scalar"].array == 1.0


# ---- What cannot be saved ------------------------------------------------------------------------


class Colour(enum.IntEnum):
    RED = 1


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (lambda: None, "builtins.function"),
        ({1, 2}, "builtins.set"),
        (b"bytes", "builtins.bytes"),
        (1j, "builtins.complex"),
        (Colour.RED, "Colour"),
        (namedtuple("Pair", "a b")(1, 2), "Pair"),
        (defaultdict(int), "defaultdict"),
        (np.ma.masked_array([1.0]), "MaskedArray"),
        (np.array(["text"]), "dtype <U4"),
        (np.array([None]), "dtype object"),
        (np.zeros(2, np.complex64), "dtype complex64"),
        (np.zeros(2, "datetime64[s]"), "dtype datetime64"),
        (np.str_("text"), "dtype <U4"),
        ({(1, 2): 3}, r"its key \(1, 2\)"),
        ({True: 3}, "its key True"),
    ],
)
def test_what_cannot_be_saved_says_where_it_sits_and_leaves_no_file(tmp_path, value, complaint):
    path = tmp_path / "a"
    with pytest.raises(
        TypeError, match=rf'checkpoint\["optimizer"\]\[1\]\["hook"\]: .*{complaint}'
    ):
        save({"optimizer": [np.ones(3), {"hook": value}]}, path)
    assert os.listdir(tmp_path) == []


def test_the_whole_object_may_be_at_fault(tmp_path):
    with pytest.raises(TypeError, match=r"cannot save checkpoint: .*leave it out, or convert it"):
        save(object(), tmp_path / "a")


def test_places_where_no_file_can_be(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*missing; make it first"):
        save({}, tmp_path / "missing" / "a")
    with pytest.raises(CheckpointError, match="it is there and not a file"):
        save({}, tmp_path)
    with pytest.raises(CheckpointError, match="it is there and not a file"):
        save({}, os.devnull)


# ---- Atomic writing ------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["save_file", "os.fsync", "os.replace"])
@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
@pytest.mark.parametrize("existing", [True, False])
def test_an_interrupted_save_changes_nothing(tmp_path, monkeypatch, step, error, existing):
    path = tmp_path / "a"
    if existing:
        save({"old": 1}, path)

    def interrupted(*args):
        if step == "save_file":
            with open(args[1], "wb") as file:
                file.write(b"half")
        raise error

    monkeypatch.setattr(f"tinygen.serialization.{step}", interrupted)
    with pytest.raises(type(error)):
        save({"new": np.ones(3)}, path)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == (["a"] if existing else [])
    if existing:
        assert load(path) == {"old": 1}


def test_a_header_that_no_reader_accepts_never_replaces_a_file(tmp_path):
    path = tmp_path / "a"
    save({"old": 1}, path)
    with pytest.raises(CheckpointError, match="keep long lists of numbers as arrays"):
        save({"new": "x" * 100_000_001}, path)
    assert os.listdir(tmp_path) == ["a"]
    assert load(path) == {"old": 1}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no file modes")
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_file_has_the_mode_of_any_new_file(tmp_path, umask):
    before = os.umask(umask)
    try:
        save({}, tmp_path / "a")
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(tmp_path / "a").st_mode) == 0o666 & ~umask


@pytest.mark.skipif(os.name == "nt", reason="Windows asks for rights to make links")
def test_a_symbolic_link_stays_one(tmp_path):
    os.symlink("target", tmp_path / "latest")
    save({"step": 1}, tmp_path / "latest")
    assert os.path.islink(tmp_path / "latest")
    assert load(tmp_path / "target") == {"step": 1}


# ---- Files that cannot be loaded -----------------------------------------------------------------


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        load(tmp_path / "missing")
    with pytest.raises(CheckpointError, match=r"not a file; give the path"):
        load(tmp_path)


def test_a_file_cut_short_anywhere(tmp_path):
    path = tmp_path / "a"
    save({"model": {"w": Tensor(np.ones(2))}, "step": 3}, path)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(CheckpointError, match=r"cannot load .*a: not a safetensors file"):
            load(path)


def test_a_file_of_another_format(tmp_path):
    for content in (b"PK\x03\x04" + bytes(40), b"\x80\x02}q\x00.", b'{"a": 1}', b"some text\n" * 9):
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(CheckpointError, match="not a safetensors file"):
            load(tmp_path / "a")


def test_a_type_that_tinygen_lacks_is_named_with_its_key(tmp_path):
    path = write_raw(tmp_path / "a", {"w.x": entry("F8_E4M3", [4], 0, 4)}, bytes(4))
    with pytest.raises(CheckpointError, match=r'/a: its tensor "w.x" is of type F8_E4M3'):
        load(path)


@pytest.mark.parametrize(
    ("tree", "complaint"),
    [
        ("not JSON", "malformed"),
        ("[" * 100_000, "malformed"),
        ("[]", "malformed"),
        ('{"version": 1}', "malformed"),
        ('{"version": 2, "tree": null}', "version 2"),
        ('{"version": 1, "tree": {"Tensor": "w", "ndarray": "w"}}', "malformed"),
        ('{"version": 1, "tree": {}}', "malformed"),
        ('{"version": 1, "tree": {"pickle": "gASV"}}', "unknown kind 'pickle'"),
        ('{"version": 1, "tree": {"int": "twelve"}}', "malformed"),
        ('{"version": 1, "tree": {"float": null}}', "malformed"),
        ('{"version": 1, "tree": {"tuple": 3}}', "malformed"),
        ('{"version": 1, "tree": {"dict": [["a", 1], ["a", 2]]}}', "occurs twice"),
        ('{"version": 1, "tree": {"dict": [[[], 1]]}}', "neither str nor int"),
        ('{"version": 1, "tree": {"dict": [["a"]]}}', "malformed"),
        ('{"version": 1, "tree": {"ndarray": ["w"]}}', "malformed"),
        ('{"version": 1, "tree": [{"ndarray": "w"}, {"ndarray": "v"}]}', "mentions a tensor 'v'"),
        ('{"version": 1, "tree": null}', 'does not mention its tensor "w"'),
    ],
)
def test_metadata_that_is_malformed_or_does_not_fit(tmp_path, tree, complaint):
    path = tmp_path / "a"
    safetensors.numpy.save_file({"w": np.ones(2)}, path, {"tinygen": tree})
    with pytest.raises(CheckpointError, match=rf"cannot load .*a: .*{complaint}"):
        load(path)


def test_arguments_that_pytorch_scripts_pass(tmp_path):
    save([1], tmp_path / "a")
    assert load(tmp_path / "a", map_location="cpu", weights_only=False) == [1]
    with pytest.raises(ValueError, match="no device but the CPU"):
        load(tmp_path / "a", "cuda:0")
