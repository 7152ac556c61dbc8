"""The published audit of gradients: nothing beyond its bound, every op on the page, errors seen."""

import re

import gradient_audit as audit
import pytest
from samples import BY_OP

import tinygen as tg
from tinygen.kernels import jit


@pytest.mark.slow
@pytest.mark.skipif(not jit.ENABLED, reason="takes minutes; test_ops.py checks the NumPy lines")
def test_every_gradient_is_within_its_bound():
    assert audit.main([]) == 0


def test_the_page_has_every_op_that_has_a_gradient():
    page = audit.PAGE.read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)` \|", page, re.M)
    expected = sorted(n for n, samples in BY_OP.items() if any(s.differentiable for s in samples))
    assert listed == expected, "run `python tests/gradient_audit.py --write`"


def test_a_wrong_gradient_is_found(monkeypatch, capsys):
    op = tg.exp
    monkeypatch.setitem(op.vjps, 0, (lambda g, out: g * out * (1 + 1e-5), ("out",)))
    monkeypatch.setattr(op, "plans", {})
    assert audit.main(["exp", "tanh"]) == 1
    failures = capsys.readouterr().err.splitlines()
    assert failures and all(line.startswith("exp: float64") for line in failures)


def test_a_wrong_gradient_of_the_gradient_is_found(monkeypatch, capsys):
    op = tg.tanh  # right in value, but out of the graph
    rule = (lambda g, out: g * tg.as_tensor(1 - out * out).detach(), ("out",))
    monkeypatch.setitem(op.vjps, 0, rule)
    monkeypatch.setattr(op, "plans", {})
    assert audit.main(["tanh"]) == 1
    assert all("order 2" in line for line in capsys.readouterr().err.splitlines())


def test_unknown_ops_are_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        audit.main(["tahn"])
    assert ended.value.code == 2
    assert "there is no op tahn" in capsys.readouterr().err
