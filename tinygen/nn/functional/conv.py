"""Convolutions, and the windows that they look through: unfold and fold.

One implementation for any number of dimensions; `conv1d`, `conv2d`, `conv3d` only say how many.
An option may be one number for all dimensions, or a number for each. The batch dimension of an
input may be missing.
"""

from __future__ import annotations

import functools
import math

from tinygen.autograd import Tensor
from tinygen.autograd.ops.conv import Layout, convolution, convolution_input
from tinygen.autograd.ops.window import (
    PerDim,
    check_at_least,
    constant_pad_nd,
    overlap_add,
    per_dim,
    sliding_windows,
)
from tinygen.autograd.registry import ShapeError, composition
from tinygen.kernels.conv_columns import places_of

__all__ = [
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "fold", "unfold",
]  # fmt: skip


def conv_of(n: int):
    """Convolution over n dimensions."""
    op = f"conv{n}d"

    def conv(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: PerDim = 1,
        padding: int | tuple | list | str = 0,
        dilation: PerDim = 1,
        groups: int = 1,
    ) -> Tensor:
        """Filters slid over an input: each output is the sum of products under one place.

        input: [N, C, *sizes]; weight: [M, C / groups, *kernel]; bias: [M].
        padding: how many zeros to put at both ends; "valid" for none, "same" for as many as make
            the output as large as the input (the odd one, if there is one, behind).
        dilation: how far the elements of a filter lie apart.
        groups: into how many parts to cut the channels, whose outputs see only their own inputs.

        Gives [N, M, *places], of ⌊(size + 2 padding − dilation (kernel − 1) − 1) / stride⌋ + 1
        places.
        """
        x, batched = with_batch(input, n, op)
        shapes = x.shape, weight.shape, None if bias is None else bias.shape
        options = (hashable(option) for option in (stride, padding, dilation))
        layout = layout_for(op, n, *shapes, *options, groups)
        out = convolution(x, weight, bias, layout=layout)
        return out if batched else out.squeeze(0)

    return named(op, conv)


def conv_transpose_of(n: int):
    """Transposed convolution over n dimensions."""
    op = f"conv_transpose{n}d"

    def conv_transpose(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: PerDim = 1,
        padding: PerDim = 0,
        output_padding: PerDim = 0,
        groups: int = 1,
        dilation: PerDim = 1,
    ) -> Tensor:
        """The transpose of a convolution: each input spreads a filter over the output.

        input: [N, C, *sizes]; weight: [C, M / groups, *kernel]; bias: [M].
        padding: how much to cut off from both ends; output_padding: how much to leave of that (or
            to add, as zeros) behind. Several sizes have a convolution of the same size, and
            this tells which one is meant.

        Gives [N, M, *outs], of (size − 1) stride − 2 padding + dilation (kernel − 1) + 1 +
        output_padding.
        """
        x, batched = with_batch(input, n, op)
        bias_shape = None if bias is None else bias.shape
        check_filters(op, n, x.shape, weight.shape, bias_shape, groups, transposed=True)
        layout = layout_of(n, stride, padding, dilation, groups, weight.shape[2:], op)
        extra = per_dim(output_padding, n, "output_padding", op)
        check_at_least(0, op, output_padding=extra)
        if any(e >= max(s, d) for e, s, d in zip(extra, layout.stride, layout.dilation)):
            raise RuntimeError(
                f"{op}: output padding must be smaller than either stride or dilation; got "
                f"{extra}, stride {layout.stride}, dilation {layout.dilation}"
            )
        ends = tuple((a, b - e) for (a, b), e in zip(layout.padding, extra))
        each = zip(x.shape[2:], weight.shape[2:], layout.stride, layout.dilation, ends)
        outs = tuple((i - 1) * s + d * (k - 1) + 1 - a - b for i, k, s, d, (a, b) in each)
        if min(outs) < 1 or 0 in x.shape[2:]:
            raise ShapeError(f"{op}: an input of size {x.shape[2:]} would make an output of {outs}")
        out = convolution_input(x, weight, bias, sizes=outs, layout=layout._replace(padding=ends))
        return out if batched else out.squeeze(0)

    return named(op, conv_transpose)


def named(name: str, function):
    """Register a function under the name for its number of dimensions."""
    function.__name__ = function.__qualname__ = name
    return composition(function)


# ---- Arguments -----------------------------------------------------------------------------------


def with_batch(x: Tensor, n: int, op: str) -> tuple[Tensor, bool]:
    """The input with a batch dimension, and whether it had one."""
    if x.ndim not in (n + 1, n + 2):
        raise ShapeError(
            f"{op}: Expected {n + 1}D (unbatched) or {n + 2}D (batched) input, [channels, sizes] "
            f"or [batch, channels, sizes]; got shape {x.shape}"
        )
    return (x, True) if x.ndim == n + 2 else (x.unsqueeze(0), False)


def hashable(option):
    return tuple(option) if isinstance(option, list) else option


@functools.lru_cache(maxsize=1024, typed=True)
def layout_for(
    op: str, n: int, x_shape, weight_shape, bias_shape, stride, padding, dilation, groups
) -> Layout:
    """How the windows lie, if the shapes of x [N, C, *sizes], the filters and the bias fit. It is
    kept for the next call: a fifth of the time of a small convolution went into such questions."""
    check_filters(op, n, x_shape, weight_shape, bias_shape, groups)
    layout = layout_of(n, stride, padding, dilation, groups, weight_shape[2:], op)
    check_fits(layout.padded_sizes(x_shape[2:]), weight_shape[2:], layout.dilation, op)
    return layout


def check_filters(op, n, x_shape, weight_shape, bias_shape, groups, transposed=False) -> None:
    """Refuse filters that do not fit the channels of x [N, C, *sizes]."""
    if groups < 1:
        raise RuntimeError(f"{op}: groups must be positive, got {groups}")
    if len(weight_shape) != n + 2:
        raise ShapeError(f"{op}: weight must have {n + 2} dimensions, got shape {weight_shape}")
    if weight_shape[0] % groups:
        raise ShapeError(
            f"{op}: the first size of weight {weight_shape} must be divisible by groups={groups}"
        )
    channels, outputs = weight_shape[1] * groups, weight_shape[0]
    if transposed:
        channels, outputs = outputs, channels
    if x_shape[1] != channels:
        raise ShapeError(
            f"{op}: with groups={groups}, weight of shape {weight_shape} takes an input of "
            f"{channels} channels; this one, {x_shape}, has {x_shape[1]} channels"
        )
    if bias_shape not in (None, (outputs,)):
        raise ShapeError(f"{op}: bias must have shape {(outputs,)}, got {bias_shape}")


def layout_of(n, stride, padding, dilation, groups, kernel, op) -> Layout:
    """How the windows lie, from options as they are given."""
    stride = per_dim(stride, n, "stride", op)
    dilation = per_dim(dilation, n, "dilation", op)
    check_at_least(1, op, stride=stride, dilation=dilation)
    return Layout(stride, ends_of(padding, n, kernel, stride, dilation, op), dilation, groups)


def ends_of(padding, n, kernel, stride, dilation, op) -> tuple[tuple[int, int], ...]:
    """How much to add at both ends of each dimension."""
    if padding == "same":
        if max(stride) > 1:
            raise RuntimeError(f"{op}: padding='same' is not supported for strided convolutions")
        total = [d * (k - 1) for k, d in zip(kernel, dilation)]
        return tuple((t // 2, t - t // 2) for t in total)
    if isinstance(padding, str) and padding != "valid":
        raise RuntimeError(f"{op}: Invalid padding string: {padding!r}; use 'same' or 'valid'")
    each = per_dim(0 if padding == "valid" else padding, n, "padding", op)
    check_at_least(0, op, padding=each)
    return tuple((p, p) for p in each)


def check_fits(sizes, kernel, dilation, op: str) -> None:
    """Refuse windows that are larger than what they are laid on."""
    reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation))
    if any(k < 1 for k in kernel) or any(r > n for r, n in zip(reach, sizes)):
        raise ShapeError(
            f"{op}: a kernel of size {tuple(kernel)}, which reaches over {reach}, must fit into "
            f"the padded input of size {tuple(sizes)}: Kernel size can't be greater than actual "
            "input size"
        )


conv1d, conv2d, conv3d = conv_of(1), conv_of(2), conv_of(3)
conv_transpose1d, conv_transpose2d, conv_transpose3d = (conv_transpose_of(n) for n in (1, 2, 3))


# ---- Unfold and fold -----------------------------------------------------------------------------


def unfold(
    input: Tensor,
    kernel_size: PerDim,
    dilation: PerDim = 1,
    padding: PerDim = 0,
    stride: PerDim = 1,
) -> Tensor:
    """Every window on [N, C, H, W] as a column: [N, C · kernel, places]."""
    x, batched = with_batch(input, 2, "unfold")
    kernel, steps, ends, apart = windows_from("unfold", kernel_size, stride, padding, dilation)
    x = constant_pad_nd(x, both_ends(ends))
    check_fits(x.shape[2:], kernel, apart, "unfold")
    found = sliding_windows(x, kernel, steps, apart)
    places = math.prod(found.shape[-2:])
    out = found.reshape(len(x), x.shape[1] * math.prod(kernel), places)
    return out if batched else out.squeeze(0)


def fold(
    input: Tensor,
    output_size: PerDim,
    kernel_size: PerDim,
    dilation: PerDim = 1,
    padding: PerDim = 0,
    stride: PerDim = 1,
) -> Tensor:
    """Columns [N, C · kernel, places] put back and added up where they overlap: [N, C, H, W]."""
    x, batched = with_batch(input, 1, "fold")
    kernel, steps, ends, apart = windows_from("fold", kernel_size, stride, padding, dilation)
    sizes = per_dim(output_size, 2, "output_size", "fold")
    whole = tuple(n + 2 * p for n, p in zip(sizes, ends))
    check_fits(whole, kernel, apart, "fold")
    places = places_of(whole, kernel, steps, apart)
    if x.shape[1] % math.prod(kernel) or x.shape[2] != math.prod(places):
        raise ShapeError(
            f"fold: an output of size {sizes} has {places} places for a kernel {kernel}, so the "
            f"input must be [N, C · {math.prod(kernel)}, {math.prod(places)}]; got {input.shape}"
        )
    columns = x.reshape(len(x), x.shape[1] // math.prod(kernel), *kernel, *places)
    out = overlap_add(columns, whole, steps, apart)
    out = constant_pad_nd(out, tuple(-n for n in both_ends(ends)))
    return out if batched else out.squeeze(0)


def windows_from(op, kernel_size, stride, padding, dilation) -> tuple:
    """Windows over two dimensions, from options as they are given."""
    kernel, stride = per_dim(kernel_size, 2, "kernel_size", op), per_dim(stride, 2, "stride", op)
    padding, dilation = per_dim(padding, 2, "padding", op), per_dim(dilation, 2, "dilation", op)
    check_at_least(1, op, kernel_size=kernel, stride=stride, dilation=dilation)
    check_at_least(0, op, padding=padding)
    return kernel, stride, padding, dilation


def both_ends(padding) -> tuple[int, ...]:
    """A padding for each dimension as `pad` takes it: from the last dimension on, in pairs."""
    return tuple(p for p in reversed(padding) for _ in range(2))


# Under other names, for `Tensor.unfold` is another thing: what PyTorch calls these inside.
composition(unfold, "im2col")
composition(fold, "col2im")
