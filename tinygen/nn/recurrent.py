"""Recurrent networks: a step from one state to the next, cells that take it, layers that repeat it.

A step takes the input's part of all gates (computed for all times at once, in one product), the
state, and the weights of the state's part. The state is a tuple whose first member is the output:
(h,) or, for an LSTM, (h, c).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

from tinygen.autograd import Tensor
from tinygen.autograd.creation import empty, zeros
from tinygen.autograd.ops.elementwise import relu, sigmoid, tanh
from tinygen.autograd.ops.join import cat, stack, unbind

from . import functional as F
from . import init
from .functional.dropout import checked_probability
from .module import Module
from .parameter import Parameter

__all__ = ["GRU", "GRUCell", "LSTM", "LSTMCell", "RNN", "RNNCell"]

State = tuple[Tensor, ...]


# ---- Steps ---------------------------------------------------------------------------------------


def tanh_step(x: Tensor, state: State, weight: Tensor, bias, projection=None) -> State:
    """h′ = tanh(x + W h + b) (Elman 1990)."""
    return (tanh(x + F.linear(state[0], weight, bias)),)


def relu_step(x: Tensor, state: State, weight: Tensor, bias, projection=None) -> State:
    """h′ = max(0, x + W h + b) (Le, Jaitly & Hinton 2015)."""
    return (relu(x + F.linear(state[0], weight, bias)),)


def gru_step(x: Tensor, state: State, weight: Tensor, bias, projection=None) -> State:
    """h′ = (1 − z) n + z h, with n = tanh(x_n + r (W_n h + b_n)) and gates r, z (Cho et al. 2014).

    The reset gate r acts after the product with W_n, as in PyTorch and cuDNN; in the paper, before.
    """
    (h,) = state
    x_r, x_z, x_n = x.chunk(3, -1)
    h_r, h_z, h_n = F.linear(h, weight, bias).chunk(3, -1)
    r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
    n = tanh(x_n + r * h_n)
    return (n + z * (h - n),)


def lstm_step(x: Tensor, state: State, weight: Tensor, bias, projection=None) -> State:
    """c′ = σ(f) c + σ(i) tanh(g), h′ = σ(o) tanh(c′) (Hochreiter & Schmidhuber 1997; the gate f:
    Gers et al. 2000), where (i, f, g, o) = x + W h + b; h′ may be projected (Sak et al. 2014)."""
    h, c = state
    i, f, g, o = (x + F.linear(h, weight, bias)).chunk(4, -1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h = sigmoid(o) * tanh(c)
    return (h if projection is None else F.linear(h, projection)), c


def step_for(nonlinearity: str) -> Callable[..., State]:
    """The step of an RNN with this activation."""
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
    return tanh_step if nonlinearity == "tanh" else relu_step


class _Recurrent(Module):
    """What cells and layers share: the step, the number of its gates, and how weights start."""

    step: Callable[..., State]
    gates: int

    def __init__(self, input_size: int, hidden_size: int, bias: bool):
        if input_size < 0 or hidden_size <= 0:
            raise ValueError(
                f"{type(self).__name__}: hidden_size must be greater than zero, and input_size not "
                f"negative, got {hidden_size} and {input_size}"
            )
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias

    def reset_parameters(self) -> None:
        """All uniform in ±1/√hidden_size."""
        bound = 1 / math.sqrt(self.hidden_size)
        for param in self.parameters():
            init.uniform_(param, -bound, bound)

    def _check_input(self, input: Tensor, dims: tuple[int, ...]) -> None:
        name = type(self).__name__
        if input.ndim not in dims:
            raise ValueError(
                f"{name}: Expected input to be {dims[0]}D or {dims[1]}D, got shape {input.shape}"
            )
        if input.shape[-1] != self.input_size:
            raise RuntimeError(
                f"{name}: input.size(-1) must be equal to input_size. Expected {self.input_size}, "
                f"got an input of shape {input.shape}"
            )

    def _state(self, hx, shapes: list[tuple[int, ...]], dtype) -> State:
        """The given state as a tuple, or zeros of these shapes."""
        if hx is None:
            return tuple(zeros(*shape, dtype=dtype) for shape in shapes)
        state = (hx,) if isinstance(hx, Tensor) else tuple(hx)
        found = [x.shape for x in state]
        if found != shapes:
            kind = "a tuple (h, c) of shapes" if len(shapes) == 2 else "shape"
            raise RuntimeError(
                f"{type(self).__name__}: Expected hidden size {kind} "
                f"{', '.join(map(str, shapes))}, got {', '.join(map(str, found))}"
            )
        return state


# ---- Cells ---------------------------------------------------------------------------------------


class _Cell(_Recurrent):
    """One step, from an input [N, input_size] and a state [N, hidden_size], or both without N."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device=None,
                 dtype=None):  # fmt: skip
        super().__init__(input_size, hidden_size, bias)
        rows = self.gates * hidden_size
        for name, columns in (("ih", input_size), ("hh", hidden_size)):
            self.register_parameter(
                f"weight_{name}", Parameter(empty(rows, columns, device=device, dtype=dtype))
            )
        for name in ("bias_ih", "bias_hh"):
            values = empty(rows, device=device, dtype=dtype) if bias else None
            self.register_parameter(name, None if values is None else Parameter(values))
        self.reset_parameters()

    def _next(self, input: Tensor, hx, states: int) -> State:
        self._check_input(input, (1, 2))
        shape = (*input.shape[:-1], self.hidden_size)
        state = self._state(hx, [shape] * states, input.dtype)
        x = F.linear(input, self.weight_ih, self.bias_ih)
        return self.step(x, state, self.weight_hh, self.bias_hh)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(_Cell):
    """h′ = tanh(W_ih x + b_ih + W_hh h + b_hh), or with nonlinearity="relu"."""

    gates = 1

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True,
                 nonlinearity: str = "tanh", device=None, dtype=None):  # fmt: skip
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity, self.step = nonlinearity, step_for(nonlinearity)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._next(input, hx, 1)[0]


class GRUCell(_Cell):
    """A gated recurrent unit: the gates r, z and the new state n lie in this order in weights."""

    gates, step = 3, staticmethod(gru_step)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._next(input, hx, 1)[0]


class LSTMCell(_Cell):
    """A long short-term memory: the gates i, f, g, o lie in this order in weights."""

    gates, step = 4, staticmethod(lstm_step)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        h, c = self._next(input, hx, 2)
        return h, c


# ---- Layers --------------------------------------------------------------------------------------


class _Layers(_Recurrent):
    """Steps repeated over a sequence, in `num_layers` layers, one on the outputs of the other.

    Inputs are [T, N, input_size], or [N, T, input_size] with `batch_first`, or [T, input_size].
    The output has hidden_size (or proj_size) in place of input_size, twice that if `bidirectional`:
    then a second set of weights reads the sequence backwards. `dropout` acts between the layers.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device=None,
        dtype=None,
    ):
        super().__init__(input_size, hidden_size, bias)
        if num_layers < 1 or not 0 <= proj_size < hidden_size:
            raise ValueError(
                f"{type(self).__name__}: num_layers must be positive, and proj_size less than "
                f"hidden_size={hidden_size}, got {num_layers} and {proj_size}"
            )
        if dropout and num_layers == 1:
            warnings.warn(
                f"dropout acts between layers, so dropout={dropout} does nothing with num_layers=1",
                stacklevel=2,
            )
        self.num_layers, self.batch_first, self.proj_size = num_layers, batch_first, proj_size
        self.dropout, self.bidirectional = checked_probability(dropout), bidirectional
        self.output_size = proj_size or hidden_size
        rows = self.gates * hidden_size
        for i, suffix in enumerate(self._suffixes()):
            first_layer = i <= bidirectional
            inputs = input_size if first_layer else self.output_size * (1 + bidirectional)
            shapes = {"weight_ih": (rows, inputs), "weight_hh": (rows, self.output_size)}
            if bias:
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
            if proj_size:
                shapes["weight_hr"] = (proj_size, hidden_size)
            for name, shape in shapes.items():
                values = empty(*shape, device=device, dtype=dtype)
                self.register_parameter(name + suffix, Parameter(values))
        self.reset_parameters()

    def _suffixes(self) -> list[str]:
        """What ends the names of the weights of each layer and direction, in order."""
        directions = ("", "_reverse") if self.bidirectional else ("",)
        return [f"_l{i}{direction}" for i in range(self.num_layers) for direction in directions]

    def flatten_parameters(self) -> None:
        """Does nothing: PyTorch arranges weights for cuDNN here."""

    def _outputs(self, input: Tensor, hx, states: int) -> tuple[Tensor, State]:
        """The outputs at all times, and the last state [layers · directions, N, hidden_size]."""
        self._check_input(input, (2, 3))
        batched = input.ndim == 3
        x = input if not batched or not self.batch_first else input.transpose(0, 1)  # [T, (N), C]
        if not len(x):
            raise RuntimeError(
                f"{type(self).__name__}: Expected sequence length to be larger than 0, got an "
                f"input of shape {input.shape}"
            )
        lead = (len(self._suffixes()), *x.shape[1:-1])
        shapes = [(*lead, size) for size in (self.output_size, self.hidden_size)[:states]]
        state = self._state(hx, shapes, x.dtype)
        initial = list(zip(*[unbind(s) for s in state]))
        directions, last = 1 + self.bidirectional, []
        for at in range(0, len(initial), directions):
            if at:
                x = F.dropout(x, self.dropout, self.training)
            found = [self._run(x, i, initial[i]) for i in range(at, at + directions)]
            x = found[0][0] if directions == 1 else cat([out for out, _ in found], -1)
            last += [state for _, state in found]
        out = x.transpose(0, 1) if batched and self.batch_first else x
        return out, tuple(stack(each) for each in zip(*last))

    def _run(self, x: Tensor, i: int, state: State) -> tuple[Tensor, State]:
        """Layer and direction i over x [T, N, C] from this state: outputs [T, N, H], last state."""
        suffix = self._suffixes()[i]
        weight = lambda name: getattr(self, name + suffix, None)
        # The input's part of the gates needs no state, so it is one product for all times.
        gates = unbind(F.linear(x, weight("weight_ih"), weight("bias_ih")))
        backwards = suffix.endswith("_reverse")
        of_state = [weight(name) for name in ("weight_hh", "bias_hh", "weight_hr")]
        outputs = []
        for gate in reversed(gates) if backwards else gates:
            state = self.step(gate, state, *of_state)
            outputs.append(state[0])
        return stack(outputs[::-1] if backwards else outputs), state

    def extra_repr(self) -> str:
        options = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False,
                   "dropout": 0.0, "bidirectional": False}  # fmt: skip
        said = [f"{k}={getattr(self, k)}" for k, v in options.items() if getattr(self, k) != v]
        return ", ".join([str(self.input_size), str(self.hidden_size), *said])


class RNN(_Layers):
    """Elman's network: h′ = tanh(W_ih x + b_ih + W_hh h + b_hh), or with nonlinearity="relu".

    Returns the outputs of the last layer, and the last states of all: (output, h_n).
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device=None,
        dtype=None,
    ):
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout,
                         bidirectional, device=device, dtype=dtype)  # fmt: skip
        self.nonlinearity, self.step = nonlinearity, step_for(nonlinearity)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        output, (h,) = self._outputs(input, hx, 1)
        return output, h


class GRU(_Layers):
    """Gated recurrent units; returns (output, h_n). The gates r, z, n lie in this order."""

    gates, step = 3, staticmethod(gru_step)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device=None,
        dtype=None,
    ):
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout,
                         bidirectional, device=device, dtype=dtype)  # fmt: skip

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        output, (h,) = self._outputs(input, hx, 1)
        return output, h


class LSTM(_Layers):
    """Long short-term memories; returns (output, (h_n, c_n)). The gates are ordered i, f, g, o.

    With `proj_size` the output and h have that size, by a projection of each h.
    """

    gates, step = 4, staticmethod(lstm_step)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        output, (h, c) = self._outputs(input, hx, 2)
        return output, (h, c)
