"""examples/schrodinger_bridge_2d.py runs, draws, and says whether it found what it should."""

import pytest
import schrodinger_bridge_2d

import tinygen as tg


@pytest.fixture
def example(monkeypatch):
    for name, value in {"BATCH": 16, "SAMPLES": 200, "PAIRS": 40, "PATH_STEPS": 3, "WIDTH": 8,
                        "BLOCKS": 1, "ITERATIONS": 2, "SINKHORN_POINTS": 60}.items():  # fmt: skip
        monkeypatch.setattr(schrodinger_bridge_2d, name, value)
    return schrodinger_bridge_2d


def test_a_run_too_short_to_learn_says_so_with_its_exit_code(example, tmp_path, capsys, outside):
    assert example.main(["--steps", "2", "--out", str(tmp_path)]) == 1
    assert outside(capsys.readouterr().out, example.EXPECTED)
    assert (tmp_path / "schrodinger_bridge_2d.png").read_bytes().startswith(b"\x89PNG")


def test_the_coupling_of_sinkhorn_lies_inside_of_the_bands_and_an_independent_one_does_not(
    monkeypatch,
):
    """Each point goes to one of the other end's, by the coupling of 400 of each."""
    n = 400
    monkeypatch.setattr(schrodinger_bridge_2d, "SINKHORN_POINTS", n)
    monkeypatch.setattr(schrodinger_bridge_2d, "SAMPLES", n)
    drawn = {}

    def remembered(name, draw):
        monkeypatch.setattr(schrodinger_bridge_2d, name, lambda n: drawn.setdefault(name, draw(n)))

    remembered("moons", schrodinger_bridge_2d.moons)
    remembered("circle", schrodinger_bridge_2d.circle)
    best = schrodinger_bridge_2d.best_cost()
    x, y = drawn["moons"], drawn["circle"]
    even = tg.full((n,), 1 / n, dtype=tg.float64)
    half_square = 0.5 * ((x[:, None] - y) ** 2).sum(-1)
    log_prob = schrodinger_bridge_2d.sinkhorn(
        half_square, even, even, schrodinger_bridge_2d.SIGMA**2, tolerance=1e-4
    ).log_prob
    there = lambda _: y[tg.multinomial(log_prob.exp(), 1)[:, 0]]
    back = lambda _: x[tg.multinomial(log_prob.exp().T, 1)[:, 0]]
    bands = schrodinger_bridge_2d.EXPECTED
    inside = lambda found: [bands[what][0] <= x <= bands[what][1] for what, x in found.items()]
    found = schrodinger_bridge_2d.measure(there, back, best)
    assert inside(found)[2:] == [True, True]
    found = schrodinger_bridge_2d.measure(
        lambda _: y[tg.randperm(n)], lambda _: x[tg.randperm(n)], best
    )
    assert inside(found)[2:] == [False, False]
