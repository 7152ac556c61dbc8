"""Sheets of images, pictures in the plane, GIFs, gradients: what is drawn is what was given."""

import itertools

import numpy as np
import pytest

import tinygen as tg
from tinygen import nn, viz
from tinygen.viz.images import contact_sheet, slerp

RNG = np.random.default_rng(0)


def drawn(figure, tmp_path):
    """Saving draws everything: warnings about glyphs, limits and layout would be errors here."""
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


# ---- Sheets of images ----------------------------------------------------------------------------


@pytest.mark.parametrize("colour", [(), (1,), (3,)])
def test_each_image_is_in_its_place(colour, tmp_path):
    images = RNG.uniform(size=(5, *colour, 4, 6))
    sheet, rows, columns = contact_sheet(tg.tensor(images), 3)
    assert (rows, columns) == (2, 3) and sheet.shape[:2] == (2 * 5 + 1, 3 * 7 + 1)
    for i, image in enumerate(images):
        row, column = divmod(i, 3)
        found = sheet[1 + 5 * row : 5 + 5 * row, 1 + 7 * column : 7 + 7 * column]
        expected = image.transpose(1, 2, 0) if colour == (3,) else image.reshape(4, 6)
        np.testing.assert_array_equal(found, expected)
    assert (sheet[0] == 1).all() and (sheet[6:, 15:] == 1).all()  # lines, and the sixth place
    figure = viz.sample_grid(images, 3, title="five", row_labels=["a", "b"])
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), sheet)
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["a", "b"]
    drawn(figure, tmp_path)


def test_values_beyond_black_and_white_are_cut_off():
    sheet, _, _ = contact_sheet(np.array([[[-1.0, 2.0]]]))
    np.testing.assert_array_equal(sheet[1, 1:3], [0, 1])


@pytest.mark.parametrize("shape", [(4, 4), (2, 2, 4, 4), (1, 2, 3, 4, 4)])
def test_what_is_no_image(shape):
    with pytest.raises(
        ValueError, match=r"expected images \[N, H, W\] or \[N, 1 or 3, H, W\], got"
    ):
        viz.sample_grid(np.zeros(shape))
    with pytest.raises(ValueError, match="there are no images"):
        viz.sample_grid(np.zeros((0, 4, 4)))


def decode(z):
    """An image of 1 × 3 pixels: the latent point itself, which has three dimensions."""
    return z.reshape(-1, 1, 1, 3)


def rows_of(figure, rows, columns):
    """The latent points [rows, columns, 3] that `decode` was asked for."""
    sheet = figure.axes[0].images[0].get_array()
    return sheet[1::2].reshape(rows, -1)[:, 1:].reshape(rows, columns, 4)[:, :, :3]


def test_a_traversal_changes_one_dimension_at_a_time(tmp_path):
    z, values = tg.tensor([0.5, 0.6, 0.7]), (0.0, 0.25, 1.0)
    figure = viz.traversal(decode, z, (2, 0), values)
    expected = np.tile(z.numpy(), (2, 3, 1))
    expected[0, :, 2] = expected[1, :, 0] = values
    np.testing.assert_allclose(rows_of(figure, 2, 3), expected)
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["z2", "z0"]
    assert len(viz.traversal(decode, z, values=values).axes[0].get_yticklabels()) == 3
    drawn(figure, tmp_path)


def test_an_interpolation_goes_from_start_to_end(tmp_path):
    starts, ends = RNG.uniform(size=(2, 2, 3)).astype(np.float32)
    figure = viz.interpolation(decode, tg.tensor(starts), ends, steps=3)
    expected = np.stack([starts, (starts + ends) / 2, ends], 1)
    np.testing.assert_allclose(rows_of(figure, 2, 3), expected, rtol=1e-5)
    drawn(figure, tmp_path)
    with pytest.raises(ValueError, match=r"expected starts and ends \[N, latent\] alike, got"):
        viz.interpolation(decode, starts, ends[:1])


def test_the_spherical_way_keeps_norms_and_goes_at_one_speed():
    a, b = np.array([2.0, 0, 0]), np.array([0, 4.0, 0])
    t = np.linspace(0, 1, 5)[:, None]
    points = slerp(a, b, t)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 2 + 2 * t[:, 0])
    angles = np.arctan2(points[:, 1], points[:, 0])
    np.testing.assert_allclose(angles, np.pi / 2 * t[:, 0], atol=1e-12)
    for end in (-a, 3 * a, 0 * a):  # no shortest arc, none at all: still from the one to the other
        points = slerp(a, end, t)
        np.testing.assert_allclose(points[[0, -1]], [a, end], atol=1e-12)


# ---- The plane -----------------------------------------------------------------------------------


def log_prob(x):
    """A Gaussian around (1, 0) with standard deviations 1 and 0.5."""
    return -0.5 * ((x - tg.tensor([1.0, 0.0])) / tg.tensor([1.0, 0.5])).square().sum(-1)


def test_a_density_lies_where_it_should(tmp_path):
    bounds = (-2.0, 4.0, -1.0, 1.0)
    figure = viz.density(log_prob, bounds, resolution=60)
    (image,) = figure.axes[0].images
    values = image.get_array()
    assert values.shape == (20, 60) and tuple(image.get_extent()) == bounds
    assert image.origin == "lower"
    row, column = 3, 40
    at = tg.tensor([-2 + (column + 0.5) * 0.1, -1 + (row + 0.5) * 0.1])
    np.testing.assert_allclose(values[row, column], log_prob(at).exp().item(), rtol=1e-5)
    drawn(figure, tmp_path)


def test_a_density_that_is_none():
    with pytest.raises(ValueError, match="not finite"):
        viz.density(lambda x: x.sum(-1) * float("nan"))


def test_many_points_are_asked_for_in_pieces_without_a_graph():
    sizes = []
    weight = tg.ones(2, requires_grad=True)

    def watched(x):
        sizes.append(len(x))
        out = (x * weight).sum(-1)
        assert not out.requires_grad and x.dtype == tg.float32
        return -(out**2)

    viz.density(watched, resolution=100)
    assert sum(sizes) == 100 * 100 and max(sizes) == 4096


def test_arrows_point_along_the_field(tmp_path):
    figure = viz.score_field(lambda x: -x, (-2.0, 2.0, -2.0, 2.0), arrows=8)
    (arrows,) = figure.axes[0].collections
    at, vectors = arrows.get_offsets(), np.stack([arrows.U, arrows.V], -1)
    assert len(at) == 64
    cosines = (at * vectors).sum(-1) / np.linalg.norm(at, axis=1) / np.linalg.norm(vectors, axis=1)
    np.testing.assert_allclose(cosines, -1, rtol=1e-6)
    lengths = np.linalg.norm(vectors, axis=1)
    from_near_to_far = lengths[np.argsort(np.linalg.norm(at, axis=1))]
    assert lengths.max() < 4 / 8 and (np.diff(from_near_to_far) > -1e-9).all()
    drawn(figure, tmp_path)


def test_points_and_paths(tmp_path):
    paths = RNG.standard_normal((7, 5, 2))
    figure, ((left, right),) = viz.panels(2)
    assert viz.scatter(paths[0], axes=left, title="points") is figure
    assert viz.trajectories(tg.tensor(paths), axes=right) is figure
    np.testing.assert_array_equal(left.collections[0].get_offsets(), paths[0])
    low, high = left.get_xlim()
    assert low < paths[0, :, 0].min() and high > paths[0, :, 0].max()
    assert len(right.lines) == 5
    np.testing.assert_allclose(np.transpose(right.lines[3].get_data()), paths[:, 3], rtol=1e-6)
    for dots, expected in zip(right.collections, (paths[0], paths[-1])):
        np.testing.assert_allclose(dots.get_offsets(), expected, rtol=1e-6)
    drawn(figure, tmp_path)


def test_points_that_are_all_the_same_or_not_all_finite(tmp_path):
    for points in (np.ones((3, 2)), np.array([[0, np.nan], [1, 1]]), np.full((2, 2), np.nan)):
        figure = viz.scatter(points)
        assert np.isfinite([*figure.axes[0].get_xlim(), *figure.axes[0].get_ylim()]).all()
        drawn(figure, tmp_path)


@pytest.mark.parametrize("draw", [viz.scatter, viz.trajectories])
@pytest.mark.parametrize("shape", [(5, 3), (2, 5, 3), (0, 2), (2,)])
def test_points_of_other_spaces(draw, shape):
    with pytest.raises(ValueError, match=r"expected points of the plane \[.*2\], got shape"):
        draw(np.zeros(shape))


# ---- GIFs ----------------------------------------------------------------------------------------


def frames_of(file):
    found = []
    with pytest.importorskip("PIL.Image").open(file) as image:
        for i in range(image.n_frames):
            image.seek(i)
            found.append((np.asarray(image.convert("L"), np.float64), image.info["duration"]))
    return found


def test_points_move_from_frame_to_frame(tmp_path):
    paths = np.zeros((3, 1, 2))
    paths[:, 0, 0] = (-0.8, 0.0, 0.8)
    viz.points_gif(
        paths, tmp_path / "a.gif", (-1, 1, -1, 1), labels=["0", "1", "2"], fps=10, hold=0
    )
    frames = frames_of(tmp_path / "a.gif")
    assert len(frames) == 3 and {duration for _, duration in frames} == {100}
    changed = [np.abs(b - a)[:-60].sum(0) for (a, _), (b, _) in itertools.pairwise(frames)]
    centres = [np.average(np.arange(len(c)), weights=c) for c in changed]
    assert centres[1] - centres[0] > 50  # pixels to the right


def test_images_change_from_frame_to_frame(tmp_path):
    frames = np.stack([np.zeros((4, 8, 8)), np.ones((4, 8, 8))])
    viz.images_gif(tg.tensor(frames), tmp_path / "a.gif", fps=10, hold=0.2)
    shown = frames_of(tmp_path / "a.gif")
    assert shown[1][0].mean() > shown[0][0].mean() + 50
    assert sum(duration for _, duration in shown) == 300  # one frame, and one that stays


# ---- Losses of several networks, and gradients ---------------------------------------------------


def test_losses_by_name_get_a_curve_each(tmp_path):
    figure = viz.loss_curve({"D": [3.0, 2.0, 1.0], "G": [1.0, 5.0, 6.0, 7.0]}, {"FID": ([3], [9])})
    (axes,) = figure.axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["D, median and 90 % band", "G, median and 90 % band", "FID"]
    assert len({line.get_color() for line in axes.lines}) == 3
    assert axes.get_xlim() == (0, 4) and axes.get_ylim()[1] > 9
    drawn(figure, tmp_path)


def test_gradients_have_the_size_of_their_bars(tmp_path):
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2), nn.Linear(2, 2), nn.Linear(1, 1))
    model[0].weight.grad = tg.full((4, 3), 0.25)
    model[0].bias.grad = tg.tensor([3.0, 4.0, 0.0, 0.0])
    model[1].weight.grad = tg.zeros(2, 4)
    model[1].bias.grad = tg.tensor([1.0, float("inf")])
    figure = viz.gradient_flow(model)
    (axes,) = figure.axes
    np.testing.assert_allclose([bar.get_width() for bar in axes.patches], [0.25, 2.5])
    assert [t.get_text() for t in axes.texts] == ["all 0", "not finite", *["no gradient"] * 4]
    names = [t.get_text() for t in axes.get_yticklabels()]
    assert names == [name for name, _ in model.named_parameters()]
    drawn(figure, tmp_path)


def test_a_model_without_gradients():
    with pytest.raises(RuntimeError, match=r"draw after loss.backward\(\), and before"):
        viz.gradient_flow(nn.Linear(2, 2))
