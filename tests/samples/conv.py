"""Convolution, pooling, and the windows that they are made of."""

import numpy as np

from tinygen.autograd.ops.conv import Layout

from .table import *

# fmt: off

# ---- Windows -------------------------------------------------------------------------------------


def np_windows(x, kernel, stride, dilation):
    n = len(kernel)
    places = [(size - d * (k - 1) - 1) // s + 1
              for size, k, s, d in zip(x.shape[-n:], kernel, stride, dilation)]
    out = np.zeros((*x.shape[:-n], *kernel, *places), x.dtype)
    for k in np.ndindex(*kernel):
        for p in np.ndindex(*places):
            at = [i * d + j * s for i, j, s, d in zip(k, p, stride, dilation)]
            out[(..., *k, *p)] = x[(..., *at)]
    return out


def np_overlap_add(x, sizes, stride, dilation):
    n = len(sizes)
    out = np.zeros((*x.shape[:-2 * n], *sizes), x.dtype)
    for k in np.ndindex(*x.shape[-2 * n:-n]):
        for p in np.ndindex(*x.shape[-n:]):
            at = [i * d + j * s for i, j, s, d in zip(k, p, stride, dilation)]
            out[(..., *at)] += x[(..., *k, *p)]
    return out


def np_collect(x, index, dim, size):
    out = np.zeros((*x.shape[:dim], size, *x.shape[dim + 1:]), x.dtype)
    for i, at in enumerate(index):
        out[(slice(None),) * dim + (at,)] += x[(slice(None),) * dim + (i,)]
    return out


def np_rows(x, index, size, add):
    out = np.zeros((*x.shape[:-1], size), x.dtype)
    for at in np.ndindex(*index.shape):
        out[(*at[:-1], index[at])] = x[at] + add * out[(*at[:-1], index[at])]
    return out


def np_window_sum(x, ranges):
    out = np.zeros((*x.shape[: -len(ranges)], *[len(b) for b, _ in ranges]), x.dtype)
    for p in np.ndindex(*out.shape[-len(ranges) :]):
        window = [slice(b[i], e[i]) for i, (b, e) in zip(p, ranges)]
        out[(..., *p)] = x[(..., *window)].sum(tuple(range(-len(ranges), 0)))
    return out


def np_window_spread(x, sizes, ranges):
    out = np.zeros((*x.shape[: -len(sizes)], *sizes), x.dtype)
    for p in np.ndindex(*x.shape[-len(sizes) :]):
        window = [slice(b[i], e[i]) for i, (b, e) in zip(p, ranges)]
        out[(..., *window)] += x[(..., *p, *[None] * len(sizes))]
    return out


# Along each dimension of a plane: where windows begin, and before which element they end.
THREES = ((ints(0, 2, 4), ints(3, 5, 7)), (ints(0, 1, 3), ints(2, 5, 4)))

row("sliding_windows", np_windows, with_(N(2, 7), (3,), (2,), (1,)),
    with_(N(4, 5), (2, 3), (1, 2), (2, 1)), with_(N(0, 3), (2,), (1,), (1,)), torch=None)
row("overlap_add", np_overlap_add, with_(N(2, 3, 3), (7,), (2,), (1,)),
    with_(N(2, 3, 2, 2), (4, 6), (1, 2), (2, 1)), with_(N(0, 2, 2), (3,), (1,), (1,)), torch=None)
row("window_sum", np_window_sum,
    with_(N(2, 7), THREES[:1]), with_(N(2, 7, 5), THREES), with_(N(0, 5), THREES[1:]), torch=None)
row("window_spread", np_window_spread,
    with_(N(2, 3), (7,), THREES[:1]), with_(N(2, 3, 3), (7, 5), THREES), torch=None)
row("pick", np.take, with_(N(2, 3), ints(2, 0, 2, 1), 1), with_(N(3, 2), ints(1), 0),
    with_(N(3, 2), np.zeros(0, int), 0), torch=None)
row("collect", np_collect, with_(N(2, 4), ints(2, 0, 2, 1), 1, 4), with_(N(1, 2), ints(1), 0, 2),
    with_(N(0, 2), np.zeros(0, int), 0, 3), torch=None)
ROWS = np.array([[2, 0], [1, 1]])
row("pick_each", lambda x, i: np.take_along_axis(x, i, -1),
    with_(N(2, 3), ROWS), with_(N(2, 2, 3), np.array([[[0], [2]], [[1], [1]]])), torch=None)
row("collect_each", lambda x, i, n: np_rows(x, i, n, 1), with_(N(2, 2), ROWS, 4),
    with_(N(0, 2), np.zeros((0, 2), int), 3), torch=None)
row("place_each", lambda x, i, n: np_rows(x, i, n, 0), with_(N(2, 2), ROWS + ints(0, 1), 4),
    torch=None)


# ---- Convolution ---------------------------------------------------------------------------------


def per_dim(v, n):
    return v if isinstance(v, tuple) else (v,) * n


def np_conv(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    """One number of the output after another."""
    n, M, C = w.ndim - 2, len(w), w.shape[1]
    stride, dilation = per_dim(stride, n), per_dim(dilation, n)
    if padding in ("same", "valid"):
        total = [d * (k - 1) * (padding == "same") for k, d in zip(w.shape[2:], dilation)]
        ends = [(t // 2, t - t // 2) for t in total]
    else:
        ends = [(p, p) for p in per_dim(padding, n)]
    columns = np_windows(np.pad(x, [(0, 0)] * (x.ndim - n) + ends), w.shape[2:], stride, dilation)
    outs = []
    for m in range(M):
        first = m // (M // groups) * C
        mine = columns[..., first : first + C, *[slice(None)] * (2 * n)]
        outs.append(np.tensordot(mine, w[m], (range(-2 * n - 1, -n), range(n + 1))))
    out = np.stack(outs, -n - 1)
    return out if b is None else out + b.reshape(-1, *[1] * n)


def np_conv_transpose(x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The transpose, as a matrix: what a convolution of as many zeros does to each unit vector."""
    n, per = w.ndim - 2, w.shape[1] * groups
    each = [per_dim(v, n) for v in (stride, padding, output_padding, dilation)]
    sizes = [(i - 1) * s - 2 * p + d * (k - 1) + 1 + e
             for i, k, s, p, e, d in zip(x.shape[-n:], w.shape[2:], *each)]
    size = per * int(np.prod(sizes))
    units = np.eye(size).reshape(size, per, *sizes)
    matrix = np_conv(units, w, None, stride, padding, dilation, groups).reshape(size, -1)
    inner = x.reshape(*x.shape[:-n - 1], matrix.shape[1]) @ matrix.T
    out = inner.reshape(*x.shape[:-n - 1], per, *sizes)
    return out if b is None else out + b.reshape(-1, *[1] * n)


LAYOUT = Layout((2, 1), ((1, 0), (0, 1)), (1, 2), 2)
row("convolution", None, with_(N(2, 2, 4, 4), N(2, 1, 2, 2), N(2), layout=LAYOUT),
    with_(N(1, 1, 3), N(1, 1, 2), layout=Layout((1,), ((1, -1),), (1,))), torch=None)
row("convolution_input", None, with_(N(1, 2, 2, 3), N(2, 1, 2, 2), sizes=(4, 4), layout=LAYOUT),
    with_(N(1, 2, 2, 3), N(2, 1, 2, 2), N(2), sizes=(4, 4), layout=LAYOUT), torch=None)
row("convolution_weight", None,
    with_(N(2, 2, 4, 4), N(2, 2, 2, 3), sizes=(2, 2), layout=LAYOUT), torch=None)
row("channel_sum", lambda x: x.sum((0, *range(2, x.ndim))), with_(N(2, 3, 2, 2)), with_(N(2, 3)),
    with_(N(0, 2, 3)), with_(N(2, 3, 0)), torch=None)
row("conv1d", np_conv, with_(N(2, 2, 5), N(3, 2, 3), N(3)), with_(N(2, 4), N(2, 1, 2), groups=2),
    with_(N(1, 1, 6), N(1, 1, 3), stride=2, padding=1), with_(N(0, 1, 4), N(2, 1, 2), N(2)),
    with_(N(1, 1, 5), N(2, 1, 2), dilation=3, padding=(2,)),
    with_(N(1, 1, 4), N(1, 1, 3), padding="same"), with_(N(1, 1, 4), N(1, 1, 2), padding="valid"))
row("conv1d", np_conv, with_(N(1, 1, 4), N(1, 1, 2), padding="same"), torch=None)  # it warns
row("conv2d", np_conv, with_(N(2, 2, 3, 4), N(3, 2, 2, 3), N(3)), with_(N(1, 3, 3), N(1, 1, 1, 1)),
    with_(N(1, 4, 3, 3), N(2, 2, 2, 2), stride=(1, 2), padding=(0, 1), dilation=(2, 1), groups=2),
    with_(N(1, 1, 2, 3), N(1, 1, 1, 3), padding="same", dilation=(1, 2)))
row("conv3d", np_conv, with_(N(1, 1, 2, 3, 2), N(2, 1, 2, 2, 1), N(2), stride=(1, 2, 1)))
row("conv_transpose1d", np_conv_transpose, with_(N(2, 2, 3), N(2, 3, 3), N(3)),
    with_(N(2, 3), N(2, 1, 2), groups=2), with_(N(0, 1, 2), N(1, 1, 2)),
    with_(N(1, 1, 3), N(1, 1, 3), stride=3, padding=1, output_padding=2))
row("conv_transpose1d", None, with_(N(1, 1, 3), N(1, 1, 2), output_padding=1, dilation=2))
row("conv_transpose2d", np_conv_transpose, with_(N(2, 2, 2, 3), N(2, 1, 2, 2), N(1)),
    with_(N(1, 4, 2, 2), N(4, 1, 2, 2), N(2), stride=(1, 2), padding=(0, 1), groups=2,
          output_padding=(0, 1), dilation=(2, 1)))
row("conv_transpose3d", np_conv_transpose, with_(N(1, 1, 1, 2, 2), N(1, 2, 2, 1, 2), stride=2))
row("im2col", None, with_(N(1, 2, 3, 3), 2), with_(N(2, 3, 4), (2, 1), dilation=(1, 2), padding=1,
    stride=(2, 1)), with_(N(0, 1, 2, 2), 2), torch="unfold")
row("col2im", None, with_(N(1, 8, 4), (3, 3), 2), with_(N(4, 4), (3, 3), (2, 2)),
    with_(N(1, 4, 9), (4, 4), (2, 2), padding=1, stride=2),
    with_(N(1, 2, 6), (4, 3), (2, 1), dilation=(2, 1), stride=1), torch="fold")

# ---- Pooling -------------------------------------------------------------------------------------

INDICES = {"return_indices": True}
row("max_pool1d", None, with_(DISTINCT(1, 2, 6), 2), with_(DISTINCT(2, 5), 3, 1, 1, **INDICES),
    with_(DISTINCT(1, 1, 6), 2, stride=3, dilation=2, ceil_mode=True), with_(N(0, 1, 4), 2))
row("max_pool2d", None, with_(DISTINCT(1, 2, 4, 4), 2), with_(DISTINCT(2, 3, 4), (2, 3), 1, (1, 0)),
    with_(DISTINCT(1, 1, 5, 4), 2, (2, 3), (0, 1), ceil_mode=True, **INDICES))
row("max_pool3d", None, with_(DISTINCT(1, 1, 2, 3, 4), 2, 1))
row("avg_pool1d", None, with_(N(1, 2, 6), 2), with_(N(2, 5), 3, 1, 1), with_(N(0, 1, 4), 2),
    with_(N(1, 1, 5), 3, 2, 1, ceil_mode=True, count_include_pad=False))
row("avg_pool2d", None, with_(N(1, 2, 4, 4), 2), with_(N(2, 3, 4), (2, 3), 1, (1, 0)),
    with_(N(1, 1, 5, 4), 2, (2, 3), (0, 1), ceil_mode=True),
    with_(N(1, 1, 3, 3), 2, 1, 1, count_include_pad=False),
    with_(N(1, 1, 3, 3), 2, divisor_override=3))
row("avg_pool3d", None, with_(N(1, 1, 2, 3, 4), 2, 1))
row("adaptive_avg_pool1d", None, with_(N(1, 2, 5), 3), with_(N(2, 4), 2), with_(N(1, 3), 5),
    with_(N(0, 1, 4), 2))
row("adaptive_avg_pool2d", None, with_(N(1, 2, 3, 4), 2), with_(N(1, 3, 4), (None, 3)))
row("adaptive_avg_pool3d", None, with_(N(1, 1, 2, 3, 2), (1, 2, 2)))
row("adaptive_max_pool1d", None, with_(DISTINCT(1, 2, 5), 3), with_(DISTINCT(2, 4), 2, True))
row("adaptive_max_pool2d", None, with_(DISTINCT(1, 2, 3, 4), 2),
    with_(DISTINCT(1, 3, 4), (None, 3)), with_(DISTINCT(1, 1, 3, 3), (2, 1), True))
row("adaptive_max_pool3d", None, with_(DISTINCT(1, 1, 2, 3, 2), (1, 2, 2)))
row("max_unpool1d", None, with_(N(1, 2, 2), np.array([[[1, 2], [0, 3]]]), 2),
    with_(N(1, 2), np.array([[4, 2]]), 2, output_size=(5,)))
row("max_unpool2d", None, with_(N(1, 1, 1, 2), np.array([[[[5, 2]]]]), 2),
    with_(N(1, 1, 1, 2), np.array([[[[6, 2]]]]), 2, stride=2, padding=0, output_size=(3, 4)))
row("max_unpool3d", None, with_(N(1, 1, 1, 1, 2), np.array([[[[[5, 2]]]]]), 2))
