"""digits and mnist: the right images, wherever their files come from, and damaged files refused."""

import gzip
import hashlib
import http.client
import io
import os
import struct
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest

from tinygen.data import digits, mnist, mnist_10k, read_idx
from tinygen.data.digits import held_out

files = sys.modules["tinygen.data.mnist"]  # tinygen.data.mnist itself is the function


# ---- digits --------------------------------------------------------------------------------------


def test_digits_are_images_between_0_and_1():
    images, labels = digits()
    assert images.shape == (1797, 1, 8, 8) and images.dtype == np.float32
    assert labels.shape == (1797,) and labels.dtype == np.int64
    assert images.array.min() == 0 and images.array.max() == 1
    assert sorted(set(labels.tolist())) == list(range(10))
    assert (images.array * 16 % 1 == 0).all()
    first = images[0, 0].array  # a nought: dark in the middle, labelled so
    assert labels[0].item() == 0 and first[3:5, 3:5].sum() < 1 < first[3:5, 1:3].sum()


def test_digits_are_split_in_two():
    images, labels = digits()
    everything = [x.tobytes() + bytes([y]) for x, y in zip(images.array, labels.tolist())]
    train, test = digits("train"), digits("test")
    assert len(train[0]) == len(train[1]) == 1618 and len(test[0]) == len(test[1]) == 179
    for images, labels in (train, test):  # together all of them, each with its label
        found = (x.tobytes() + bytes([y]) for x, y in zip(images.array, labels.tolist()))
        for sample in found:
            everything.remove(sample)
    assert not everything
    assert np.abs(np.bincount(test[1].array) - 17.9).max() < 4 * np.sqrt(17.9)
    with pytest.raises(ValueError, match=r"split is .*'valid'"):
        digits("valid")


# ---- Files of our own, in MNIST's place ----------------------------------------------------------

NAMES = {
    "t10k-images-idx3-ubyte": np.arange(20 * 28 * 28, dtype=np.uint32).astype(np.uint8),
    "t10k-labels-idx1-ubyte": np.arange(20, dtype=np.uint8) % 10,
}
SHAPES = {"t10k-images-idx3-ubyte": (20, 28, 28), "t10k-labels-idx1-ubyte": (20,)}


def idx(array, shape=None) -> bytes:
    shape = shape or array.shape
    return bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + array.tobytes()


CONTENT = {name: idx(array, SHAPES[name]) for name, array in NAMES.items()}


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A data folder, a cache and a mirror, all empty; the files to look for are those above."""
    data, cache, mirror = tmp_path / "given", tmp_path / "cache", tmp_path / "mirror"
    data.mkdir()
    mirror.mkdir()
    monkeypatch.setenv("TINYGEN_DATA", str(data))
    monkeypatch.setenv("TINYGEN_CACHE", str(cache))
    monkeypatch.setattr(files, "MIRRORS", ((tmp_path / "no mirror").as_uri(), mirror.as_uri()))
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}
    monkeypatch.setattr(files, "SHA256", sums)
    return data, cache / "data", mirror


def put(folder, packed=True):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in CONTENT.items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("place", [0, 1])
def test_mnist_is_read_from_the_data_folder_or_the_cache(places, place, packed):
    put(places[place], packed)
    images, labels = mnist("test")
    assert images.shape == (20, 1, 28, 28) and images.dtype == np.float32
    np.testing.assert_allclose(images.array.ravel(), NAMES["t10k-images-idx3-ubyte"] / 255, 1e-6)
    assert labels.dtype == np.int64 and labels.tolist() == [*range(10), *range(10)]


def test_ten_thousand_are_split_in_two(places):
    put(places[0])
    assert [len(mnist_10k(split)[1]) for split in ("all", "train", "test")] == [20, 18, 2]
    assert mnist_10k("test")[1].tolist() != mnist_10k("train")[1].tolist()[:2]


@pytest.mark.parametrize("n", [0, 9, 10, 1797, 10_000])
def test_what_is_held_out_is_a_tenth_in_any_part_and_any_period(n):
    held = held_out(n)
    assert held.sum() == n // 10
    for period in range(1, 11) if n > 1000 else ():
        shares = [held[begin::period].mean() for begin in range(period)]
        np.testing.assert_allclose(shares, 0.1, atol=0.02)
    for part in np.array_split(held, 10) if n > 1000 else ():
        assert abs(part.mean() - 0.1) < 0.02


def test_mnist_is_downloaded_once_and_kept(places, capsys):
    _, cache, mirror = places
    put(mirror)
    images, _ = mnist("test")
    assert sorted(os.listdir(cache)) == sorted(f"{name}.gz" for name in CONTENT)
    assert "downloading file://" in capsys.readouterr().err
    for file in mirror.iterdir():
        file.unlink()
    assert np.array_equal(mnist("test")[0].array, images.array)
    assert not capsys.readouterr().err


def test_a_mirror_with_another_file_is_not_believed(places):
    _, cache, mirror = places
    put(mirror)
    (mirror / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"<html>"))
    with pytest.raises(FileNotFoundError, match=r"idx1-ubyte\.gz is damaged") as caught:
        mnist("test")
    assert "\n" not in str(caught.value)
    assert os.listdir(cache) == ["t10k-images-idx3-ubyte.gz"]


def test_offline_it_says_which_file_to_put_where(places):
    data, cache, _ = places
    with pytest.raises(FileNotFoundError) as caught:
        mnist("test")
    message = str(caught.value)
    assert "t10k-images-idx3-ubyte.gz" in message and f"{data} or {cache}" in message
    assert "TINYGEN_DATA" in message and "\n" not in message


def test_no_answer_from_anywhere(places, monkeypatch):
    def refuse(url, timeout):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.raises(FileNotFoundError, match=r"no network.*; .*no network.*\)\. Put it"):
        mnist("test")


def test_a_cache_that_can_not_be_written_is_said(places, capsys):
    _, cache, mirror = places
    put(mirror)
    cache.parent.write_text("a file where the folder should be")
    assert mnist("test")[1].tolist()[:3] == [0, 1, 2]
    assert "the file is not kept" in capsys.readouterr().err


def test_an_interrupted_write_leaves_nothing_that_could_be_read(places, monkeypatch):
    _, cache, mirror = places
    put(mirror)

    def killed(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        mnist("test")
    assert os.listdir(cache) == []


def test_half_an_answer_is_none(places, monkeypatch):
    class Broken(io.BytesIO):
        def read(self):
            raise http.client.IncompleteRead(b"half", 99)

    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: Broken())
    with pytest.raises(FileNotFoundError, match=r"IncompleteRead.*Put it into"):
        mnist("test")


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize(
    "damage",
    [lambda b: b[:-7], lambda b: b[:14] + b"\xff" + b[15:], lambda b: b"", lambda b: b + b"more",
     lambda b: b[:-30] + bytes([b[-30] ^ 1]) + b[-29:]],
)  # fmt: skip
@pytest.mark.parametrize("packed", [True, False])
def test_damaged_files_are_refused(places, packed, damage, place):
    put(places[place], packed)
    path = places[place] / ("t10k-images-idx3-ubyte" + ".gz" * packed)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match="is damaged, or is not MNIST's") as caught:
        mnist("test")
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_an_unknown_split():
    with pytest.raises(ValueError, match=r"split is .*'all'"):
        mnist("all")


# ---- IDX files of any kind -----------------------------------------------------------------------


def test_read_idx(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / "plain").write_bytes(idx(array))
    (tmp_path / "packed.gz").write_bytes(gzip.compress(idx(array)))
    for path in ("plain", "packed.gz"):
        assert np.array_equal(read_idx(tmp_path / path), array)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is not an IDX file of bytes"),
        (b"PK\3\4 something", "is not an IDX file of bytes"),
        (bytes([0, 0, 13, 1, 0, 0, 0, 1, 0, 0, 0, 0]), "is not an IDX file of bytes"),
        (bytes([0, 0, 8, 3, 0, 0]), "is not an IDX file of bytes"),
        (bytes([0, 0, 8, 1, 0, 0, 0, 5, 1, 2]), r"shape \(5,\), but holds 2 bytes"),
        (gzip.compress(b"x" * 99)[:-9], "is damaged"),
    ],
)
def test_what_is_no_idx_file(tmp_path, content, complaint):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=complaint):
        read_idx(tmp_path / "file")


# ---- The real files ------------------------------------------------------------------------------


@pytest.mark.skipif(
    not os.path.exists(
        os.path.join(os.environ.get("TINYGEN_DATA", ""), "t10k-images-idx3-ubyte.gz")
    ),
    reason="MNIST's test files are not in TINYGEN_DATA",
)
def test_the_real_mnist():
    images, labels = mnist_10k()
    assert images.shape == (10_000, 1, 28, 28) and labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert abs(images.array.mean() - 0.1325) < 1e-3
    assert [len(mnist_10k(split)[0]) for split in ("train", "test")] == [9000, 1000]
