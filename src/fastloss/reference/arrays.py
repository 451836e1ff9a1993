# SPDX-License-Identifier: BSD-3-Clause
"""Numbers in and out, and the precision of all that happens in between."""

from typing import Any

import numpy as np

# What every definition computes in. The tests load this package a second time and set extended precision here.
real: Any = np.float64


def whole_array(name, values):
    """Return an array as it is, or raise if a part of it is masked."""
    if np.ma.is_masked(values):
        raise ValueError(f"{name} must not have masked numbers, got {np.ma.count_masked(values)} of them")
    return np.asarray(values)


def real_array(name, values):
    """Return a new array in the working precision, or raise."""
    array = whole_array(name, values)
    known = array.dtype.kind in "biuf" or array.dtype.name == "bfloat16"
    if not known or array.dtype.itemsize > np.dtype(real).itemsize:
        raise TypeError(f"{name} must be floating point, integer or bool, got dtype {array.dtype}")
    return array.astype(real)


def write(name, out, result):
    """Return the result, in `out` if there is one."""
    if out is None:
        return result
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{name} must be an ndarray, got {type(out).__name__}")
    if out.dtype.kind != "f":
        raise TypeError(f"{name} must be floating point, got dtype {out.dtype}")
    if out.shape != result.shape:
        raise ValueError(f"{name} must have shape {result.shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError(f"{name} must be writeable, got a read-only array")
    np.copyto(out, result, casting="same_kind")
    return out


def refuse_overlap(**outputs):
    """Raise if two outputs share memory: the second would be written over the first."""
    (first, a), (second, b) = outputs.items()
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and np.may_share_memory(a, b):
        raise ValueError(f"{first} and {second} must not overlap, got arrays that share memory")
