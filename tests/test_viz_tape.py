"""The tape as a drawing: all of the graph is there, edges point down, and nothing overlaps."""

import numpy as np
import pytest

import tinygen as tg
from tinygen import nn, viz
from tinygen.models.gpt import GPT, GPTConfig
from tinygen.viz import tape


def gpt_loss():
    tg.manual_seed(0)
    model = GPT(GPTConfig(7, 5, n_layer=2, n_head=2, n_embd=4))
    tokens = tg.randint(0, 7, (2, 5))
    return model(tokens, tokens)[1], model


def boxes(figure) -> list[str]:
    return [t.get_text() for t in figure.axes[0].texts if t.get_text()]


def test_ops_and_leaves_have_their_names_and_shapes(tmp_path):
    w, x = tg.ones(3, 2, requires_grad=True), tg.ones(4, 3)
    figure = tg.viz.graph((x @ w).exp().sum(), {"w": w}, title="A tape")
    assert sorted(boxes(figure)) == ["exp\n(4, 2)", "matmul\n(4, 2)", "sum\n()", "w\n(3, 2)"]
    arrows = [t for t in figure.axes[0].texts if not t.get_text()]
    assert len(arrows) == 3
    figure.savefig(tmp_path / "tape.png")


def test_a_leaf_by_itself_and_one_without_a_name():
    w = tg.ones(2, requires_grad=True)
    assert boxes(viz.graph(w, {"w": w})) == ["w\n(2,)"]
    assert "leaf\n(2,)" in boxes(viz.graph(w * 2))


def test_what_is_used_twice_is_drawn_once():
    w = tg.ones(2, requires_grad=True)
    places, edges = tape.explore(w * w + w)
    assert len(places) == 3 and len(edges) == 3  # w -> mul, mul -> add, w -> add


def test_an_op_with_several_outputs_tells_all_their_shapes():
    w = tg.ones(5, requires_grad=True)
    a, b = w.split([2, 3])
    assert "split_with_sizes\n(2,), (3,)" in boxes(viz.graph(a.sum() + b.sum()))


def test_edges_point_down_and_leaves_stand_right_above():
    loss, _ = gpt_loss()
    places, edges = tape.explore(loss)
    ranks = tape.rank(places, edges)
    assert all(ranks[parent] < ranks[child] for parent, child in edges)
    for key, place in places.items():
        if isinstance(place, tg.Tensor):
            assert ranks[key] == min(ranks[c] for p, c in edges if p == key) - 1
    assert max(ranks.values()) == ranks[id(loss.place)]
    ranks, edges = tape.with_stand_ins(ranks, edges)
    assert {ranks[child] - ranks[parent] for parent, child in edges} == {1}


def test_boxes_do_not_overlap(tmp_path):
    loss, model = gpt_loss()
    figure = viz.graph(loss, dict(model.named_parameters()))
    figure.savefig(tmp_path / "tape.png")
    texts = [t for t in figure.axes[0].texts if t.get_text()]
    shown = {t.get_text().split("\n")[0] for t in texts}
    assert {name for name, _ in model.named_parameters()} <= shown
    extents = [t.get_bbox_patch().get_window_extent() for t in texts]
    for i, a in enumerate(extents):
        assert not any(a.overlaps(b) for b in extents[i + 1 :]), texts[i]


def test_sweeps_untangle_edges():
    """Two chains that begin the wrong way round: two crossings become none."""
    ranks = {0: 0, 1: 0, 2: 1, 3: 1, 4: 2, 5: 2}
    edges = [(0, 3), (1, 2), (3, 4), (2, 5)]
    rows = tape.ordered(ranks, edges)
    at = {key: row.index(key) for row in rows for key in row}
    assert len({(at[a], at[b]) for a, b in edges}) == 2 and all(at[a] == at[b] for a, b in edges)


def test_places_are_pushed_apart_no_more_than_needed():
    np.testing.assert_allclose(tape._apart([0.0, 0.0], [1.0, 3.0]), [-1.0, 1.0])
    np.testing.assert_allclose(tape._apart([0.0, 5.0, 5.0], [1.0, 1.0, 1.0]), [0.0, 4.5, 5.5])


def test_no_graph_and_too_large_a_one():
    with pytest.raises(ValueError, match="this tensor has no graph"):
        viz.graph(tg.ones(3).sum())
    x = tg.ones(2, requires_grad=True)
    for _ in range(400):
        x = x + 1.0
    with pytest.raises(
        ValueError, match="more than 400 places can't be read; draw a smaller model"
    ):
        viz.graph(x)


def test_after_backward_it_is_still_there():
    layer = nn.Linear(2, 1)
    loss = layer(tg.ones(3, 2)).sum()
    loss.backward()
    assert "weight\n(1, 2)" in boxes(viz.graph(loss, dict(layer.named_parameters())))
