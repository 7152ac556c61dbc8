"""examples/flow_matching_2d.py runs, draws, and says whether it found what it should."""

import flow_matching_2d
import numpy as np
import pytest

import tinygen as tg
from tinygen import sde


@pytest.fixture
def example(monkeypatch):
    for name, value in {"BATCH": 16, "SAMPLES": 200, "TEST": 5, "PATHS": 10, "PAIRS": 20,
                        "WIDTH": 8, "BLOCKS": 1}.items():  # fmt: skip
        monkeypatch.setattr(flow_matching_2d, name, value)
    return flow_matching_2d


def test_a_run_too_short_to_learn_says_so_with_its_exit_code(example, tmp_path, capsys, outside):
    assert example.main(["--steps", "2", "--out", str(tmp_path)]) == 1
    assert outside(capsys.readouterr().out, example.EXPECTED)
    assert (tmp_path / "flow_matching_2d.png").read_bytes().startswith(b"\x89PNG")


def test_the_exact_velocity_lies_inside_of_the_bands(monkeypatch):
    """So those of the independent flow can be met; and by a straight flow from noise to data, as
    here from each point to the mode in its direction, those of the others."""
    monkeypatch.setattr(flow_matching_2d, "SAMPLES", 2000)
    monkeypatch.setattr(flow_matching_2d, "TEST", 50)
    tg.manual_seed(0)
    exact = flow_matching_2d.exact_mixture().denoiser()
    turning = sde.Denoiser(
        lambda x, t: exact.velocity(x, t.clamp(1e-4, 1 - 1e-4)), exact.schedule, "velocity"
    )

    def straight(x, t):
        """x(t) = m + (t + (1 - t) STD) z in each eighth of the plane, roughly."""
        angle = np.arctan2(x.array[:, 1], x.array[:, 0])
        nearest = np.round(angle * 4 / np.pi) * np.pi / 4
        mode = tg.tensor(np.stack([np.cos(nearest), np.sin(nearest)], 1).astype(np.float32))
        return -0.8 * mode

    flows = dict.fromkeys(
        (flow_matching_2d.TRANSPORT, flow_matching_2d.REFLOW),
        sde.Denoiser(straight, exact.schedule, "velocity"),
    )
    measured, _ = flow_matching_2d.measure({flow_matching_2d.INDEPENDENT: turning, **flows})
    for what, (low, high) in flow_matching_2d.EXPECTED.items():
        if "independent" in what or "likelihood" in what:
            assert low - 0.02 <= measured[what] <= high + 0.02
        if "straightness" in what and "independent" not in what:
            assert measured[what] <= high
