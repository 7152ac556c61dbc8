"""examples/langevin_double_well.py and brownian_and_ou.py run, draw, and say what they found."""

import brownian_and_ou
import langevin_double_well
import numpy as np
import pytest


@pytest.mark.parametrize(
    ("example", "few"),
    [(langevin_double_well, ["--particles", "2000"]), (brownian_and_ou, ["--paths", "300"])],
)
def test_what_is_measured_is_printed_with_its_band_and_gives_the_exit_code(
    example, few, tmp_path, capsys, outside, monkeypatch
):
    if example is langevin_double_well:  # of the five temperatures those that need few steps
        monkeypatch.setattr(example, "TEMPERATURES", (0.9, 0.8, 0.7, 0.6, 0.5))
        monkeypatch.setattr(example, "DT", 0.05)
    else:
        monkeypatch.setattr(example, "STEPS", 400)
    code = example.main([*few, "--out", str(tmp_path)])
    assert code == int(bool(outside(capsys.readouterr().out, example.EXPECTED)))
    (picture,) = tmp_path.glob("*.png")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_closed_forms_of_the_double_well():
    """The integral goes to Kramers' formula in the cold; the density is one."""
    ratios = [langevin_double_well.exact_time(T) / langevin_double_well.kramers_time(T)
              for T in (0.2, 0.1, 0.05)]  # fmt: skip
    assert ratios[0] > ratios[1] > ratios[2] > 1 and ratios[2] == pytest.approx(1, abs=0.03)
    x, p, cdf = langevin_double_well.density(0.5)
    assert (p * (x[1] - x[0])).sum() == pytest.approx(1, rel=1e-6) and cdf[-1] == 1
    uniform = (np.arange(1000) + 0.5) / 1000
    ideal = np.interp(uniform, cdf, x)
    assert langevin_double_well.kolmogorov_distance(ideal) < 0.05
    assert langevin_double_well.kolmogorov_distance(ideal + 0.1) > 1.0
