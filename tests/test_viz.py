"""Pictures: the right panels and labels, drawn without a display, and nothing else touched."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tinygen import viz


def png(figure, tmp_path) -> bytes:
    """Saving draws everything: warnings about glyphs, limits and layout would be errors here."""
    figure.savefig(tmp_path / "figure.png")
    content = (tmp_path / "figure.png").read_bytes()
    assert content.startswith(b"\x89PNG") and len(content) > 2000
    return content


def causal(layers, heads, length):
    """Weights as attention has them: rows add up to 1, nothing above the diagonal."""
    weights = np.tril(np.random.default_rng(0).uniform(size=(layers, heads, length, length)))
    return list(weights / weights.sum(-1, keepdims=True))


# ---- Loss curves ---------------------------------------------------------------------------------


def test_a_loss_curve_shows_losses_evaluations_and_levels(tmp_path):
    losses = 3 * np.exp(-np.arange(500) / 100) + 1
    figure = viz.loss_curve(
        losses.tolist(),
        {"validation": ([250, 500], [1.6, 1.3]), "test": ([500], [1.4])},
        {"bigram": 2.5},
        ylabel="nats",
        title="A run",
    )
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("step", "nats", "A run")
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["training, median and 90 % band", "validation", "test"]
    curve, validation, test, level = axes.lines
    steps, middle = curve.get_data()
    assert len(steps) == 50 and (np.diff(steps) > 0).all() and steps[0] > 0 and steps[-1] <= 500
    np.testing.assert_allclose(middle, np.interp(steps, np.arange(500) + 0.5, losses), rtol=0.01)
    np.testing.assert_array_equal(validation.get_data(), [[250, 500], [1.6, 1.3]])
    np.testing.assert_array_equal(test.get_data(), [[500], [1.4]])
    assert list(level.get_ydata()) == [2.5, 2.5]
    assert [text.get_text() for text in axes.texts] == ["bigram 2.50"]
    assert axes.get_xlim() == (0, 500)
    bottom, top = axes.get_ylim()
    assert bottom < losses.min() and top > 2.5
    png(figure, tmp_path)


def test_the_band_holds_nine_of_ten_losses():
    losses = np.random.default_rng(0).standard_normal(5000)
    figure = viz.loss_curve(losses)
    (band,) = figure.axes[0].collections
    heights = band.get_paths()[0].vertices[:, 1]
    low, high = np.median(heights[heights < 0]), np.median(heights[heights > 0])
    inside = (low < losses) & (losses < high)
    assert abs(inside.mean() - 0.9) < 0.02


@pytest.mark.parametrize("count", [1, 2, 49, 51, 149])
def test_few_losses(tmp_path, count):
    figure = viz.loss_curve([2.0] * count)
    steps, middle = figure.axes[0].lines[0].get_data()
    assert steps[0] > 0 and steps[-1] <= count and set(middle) == {2.0}
    assert len(figure.axes[0].lines) == 1
    png(figure, tmp_path)


@pytest.mark.parametrize("evaluations", [None, {}, {"validation": ([], [])}])
def test_no_evaluations(tmp_path, evaluations):
    png(viz.loss_curve([3.0, 2.0, 1.0], evaluations), tmp_path)


def test_what_rises_stays_in_the_picture():
    def top(*args):
        return viz.loss_curve(*args).axes[0].get_ylim()[1]

    assert top([3.0, 2.0, 1.0, 9.0]) > 9
    assert top([3.0, 2.0, 1.0], {"validation": ([1, 3], [2.0, 8.0])}) > 8
    assert top([99.0, 2.0, 1.0]) < 3  # only the first fall is cut off


def test_arrays_and_lists_are_drawn_alike(tmp_path):
    losses, at, values = [3.0, 2.0, 1.5], [1, 3], [2.5, 1.75]
    lists = png(viz.loss_curve(losses, {"validation": (at, values)}), tmp_path)
    arrays = [np.array(x) for x in (losses, at, values)]
    assert png(viz.loss_curve(arrays[0], {"validation": tuple(arrays[1:])}), tmp_path) == lists


# ---- Attention maps ------------------------------------------------------------------------------


@pytest.mark.parametrize(("layers", "heads"), [(1, 1), (2, 3), (3, 1)])
def test_attention_maps_have_a_panel_for_each_layer_and_head(tmp_path, layers, heads):
    weights = causal(layers, heads, 5)
    figure = viz.attention_maps(weights, "a b\n$", title="Who looks where")
    assert len(figure.axes) == layers * heads and figure.get_suptitle() == "Who looks where"
    for i, axes in enumerate(figure.axes):
        layer, head = divmod(i, heads)
        (image,) = axes.images
        np.testing.assert_allclose(image.get_array() ** 2, weights[layer][head])
        assert image.get_clim() == (0, 1)
        assert axes.get_title() == (f"head {head}" if layer == 0 else "")
        assert axes.get_xlabel() == ("key" if layer == layers - 1 else "")
        assert axes.get_ylabel() == (f"layer {layer}\nquery" if head == 0 else "")
        for axis, shown in ((axes.xaxis, layer == layers - 1), (axes.yaxis, head == 0)):
            labels = [label.get_text() for label in axis.get_ticklabels()]
            assert labels == (["a", "␣", "b", "⏎", "$"] if shown else [""] * 5)
    png(figure, tmp_path)


def test_one_token(tmp_path):
    png(viz.attention_maps([np.ones((1, 1, 1))], "a"), tmp_path)


def test_labels_that_are_words_or_odd(tmp_path):
    tokens = ["the", "$\\nothing$", "$", "_^", "\\", "é", "\t"]  # taken literally, and not as TeX
    figure = viz.attention_maps(causal(1, 2, 7), tokens)
    png(figure, tmp_path)
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == [*tokens[:-1], "→"]


# ---- Nothing else is touched ---------------------------------------------------------------------


def test_pyplot_and_displays_stay_out_of_it(tmp_path):
    """In a process where no display is, and where pyplot's settings would show what was changed."""
    code = f"""
import sys
import matplotlib
before = dict(matplotlib.rcParams)
from tinygen import viz
viz.loss_curve([2.0, 1.0]).savefig({str(tmp_path / "a.png")!r})
assert "matplotlib.pyplot" not in sys.modules
assert dict(matplotlib.rcParams) == before
"""
    environment = {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "MPLBACKEND": "TkAgg"}
    environment = {k: v for k, v in os.environ.items() if "DISPLAY" not in k} | environment
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert (tmp_path / "a.png").exists()
