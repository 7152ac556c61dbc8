"""Padding, interpolation, and the arrangement of pixels."""

import numpy as np

from .table import *

# fmt: off


def np_pad(x, pad, mode="constant", value=0):
    pairs = [(0, 0)] * (x.ndim - len(pad) // 2) + list(zip(pad[::2], pad[1::2]))[::-1]
    cut = tuple(slice(max(0, -a), n - max(0, -b)) for (a, b), n in zip(pairs, x.shape))
    pairs = [(max(0, a), max(0, b)) for a, b in pairs]
    names = {"replicate": "edge", "circular": "wrap"}
    options = {"constant_values": value} if mode == "constant" else {}
    return np.pad(x[cut], pairs, names.get(mode, mode), **options)


PADS = [with_(N(2, 3), (1, 2)), with_(N(2, 2, 3), (1, 0, 0, 2)), with_(N(2, 3), (-1, 1)),
        with_(N(3, 3), (-1, -2, 1, 0)), with_(N(0, 2), (1, 1))]
row("constant_pad_nd", lambda x, pad, value=0: np_pad(x, pad, value=value), PADS,
    with_(N(2, 2), (1, 1), 0.5), with_(N(3), ()))
row("pad", np_pad, PADS, with_(N(2), (1, 1), "constant", 0.5))
for mode in ("reflect", "replicate", "circular"):
    row("pad", np_pad, with_(N(2, 3), (2, 1), mode), with_(N(1, 3, 3), (1, 2, 0, 1), mode),
        with_(N(1, 1, 2, 2, 2), (1, 0, 0, 1, 1, 1), mode), with_(N(1, 1, 4), (-1, 1), mode),
        with_(N(0, 2, 3), (1, 1), mode))
row("pad", np_pad, with_(N(1, 2), (3, 4), "replicate"), with_(N(2, 3), (3, 3), "circular"))

# ---- Interpolation -------------------------------------------------------------------------------

row("interpolate", lambda x, scale_factor: x.repeat(2, 2).repeat(3, 3),
    with_(N(1, 2, 2, 2), scale_factor=(2, 3)))
row("interpolate", None, with_(N(1, 2, 5), 3), with_(N(1, 1, 3), scale_factor=1.7),
    with_(N(0, 1, 2), 3), with_(N(1, 1, 1, 2, 2), 3),
    *[with_(N(1, 1, 3, 2), (2, 5), mode=m) for m in ("nearest", "nearest-exact", "area")])
for corners in (False, True):
    row("interpolate", None, with_(N(1, 2, 3), 5, mode="linear", align_corners=corners),
        with_(N(1, 1, 2, 3), (3, 2), mode="bilinear", align_corners=corners),
        with_(N(1, 1, 2, 2, 2), 3, mode="trilinear", align_corners=corners),
        with_(N(1, 1, 3, 3), (4, 2), mode="bicubic", align_corners=corners),
        with_(N(1, 1, 3, 3), scale_factor=1.5, mode="bilinear", align_corners=corners,
              recompute_scale_factor=True))

# ---- Arrangement ---------------------------------------------------------------------------------


def np_shuffled(x, r):
    *lead, C, H, W = x.shape
    out = np.zeros((*lead, C // r ** 2, H * r, W * r), x.dtype)
    for c, i, j in np.ndindex(C, H, W):
        out[..., c // r ** 2, i * r + c % r ** 2 // r, j * r + c % r] = x[..., c, i, j]
    return out


def np_unshuffled(x, r):
    places = np.ndindex(x.shape[-3], r, r)
    return np.concatenate([x[..., c : c + 1, i::r, j::r] for c, i, j in places], -3)


row("pixel_shuffle", np_shuffled, with_(N(1, 4, 2, 3), 2), with_(N(8, 1, 2), 2))
row("pixel_unshuffle", np_unshuffled, with_(N(1, 2, 2, 4), 2), with_(N(1, 3, 3), 3))
# torch forgets to shuffle an empty batch
row("pixel_shuffle", np_shuffled, with_(N(0, 4, 1, 1), 2), torch=None)
row("pixel_unshuffle", None, with_(N(0, 1, 2, 2), 2), torch=None)
row("channel_shuffle", lambda x, g: np.stack(np.split(x, g, 1), 2).reshape(x.shape),
    with_(N(1, 4, 2), 2), with_(N(2, 6, 1, 2), 3))

# ---- Grids ---------------------------------------------------------------------------------------

row("affine_grid", None, with_(N(1, 2, 3), (1, 1, 2, 3), False),
    with_(N(2, 2, 3), (2, 1, 3, 2), True),
    with_(N(1, 3, 4), (1, 1, 2, 1, 2), False))
row("affine_grid", None, with_(N(0, 2, 3), (0, 1, 2, 2), False), torch=None)  # it refuses
for corners in (False, True):
    row("grid_sample", None, with_(N(1, 2, 3, 2), N(1, 2, 3, 2), align_corners=corners),
        with_(N(0, 1, 2, 2), N(0, 1, 2, 2), align_corners=corners),
        with_(N(1, 1, 2, 2, 2), UNIT(1, 1, 2, 1, 3), align_corners=corners),
        *[with_(N(1, 1, 3, 3), N(1, 2, 1, 2), mode, pads, corners)
          for mode in ("bilinear", "nearest", "bicubic")
          for pads in ("border", "reflection", *["zeros"] * (mode != "bilinear"))])
