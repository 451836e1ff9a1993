# SPDX-License-Identifier: BSD-3-Clause
"""Targets that are distributions: all probabilities of a sample, some with their classes, or means and variances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastloss.arrays import as_array, is_bfloat16

if TYPE_CHECKING:
    from fastloss.losses import Loss

Array = npt.NDArray[Any]


def read_distribution(loss: Loss, targets: Any, shape: tuple[int, ...]) -> Distribution | None:
    """Return the distribution that targets are, of scores of this shape, or None where each is a number."""
    if loss.target_kind == "number and variance":
        return Normal(targets, shape)
    if loss.distribution_kernel is None:
        return None
    if loss.target_kind == "class index":
        if _is_pair(targets):
            return Entries(targets[0], targets[1], shape, loss.axis)
        array = as_array("targets", targets)
        if not _may_be_probabilities(array) or array.ndim != len(shape):
            return None
    return Dense(targets, shape, loss.axis)


class Distribution:
    """Arrays that together say how probable the classes of each sample are."""

    arrays: dict[str, Array]
    whole: Any

    def check(self, loss: Loss) -> None:
        """Raise ValueError for what is no probability or no class."""
        raise NotImplementedError

    def block(self, index: Any, dtype: np.dtype[Any], flat: bool = False) -> Any:
        """Return what a kernel reads of some samples: one axis of them if `flat`."""
        raise NotImplementedError


class Dense(Distribution):
    """One probability for each score."""

    def __init__(self, targets: Any, shape: tuple[int, ...], axis: int) -> None:
        array = as_array("targets", targets)
        if not _may_be_probabilities(array) or array.dtype.itemsize > 8:
            raise TypeError(f"targets: expected probabilities, floating point or bool, got dtype {array.dtype}")
        if array.shape != shape:
            raise ValueError(
                f"targets: expected probabilities in the shape of scores, {shape}, got shape {array.shape}"
            )
        self.whole = array
        self.arrays = {"targets": array}
        self.rows = np.moveaxis(array, axis, -1)

    def check(self, loss: Loss) -> None:
        _check_probabilities(self.whole, None)

    def block(self, index: Any, dtype: np.dtype[Any], flat: bool = False) -> Any:
        part = np.require(self.rows[index], dtype, ["C_CONTIGUOUS", "ALIGNED"])
        return part.reshape(-1, part.shape[-1]) if flat else part


class Entries(Distribution):
    """The same number of classes and probabilities for each sample."""

    def __init__(self, indices: Any, probabilities: Any, shape: tuple[int, ...], axis: int) -> None:
        y, p = as_array("targets[0]", indices), as_array("targets[1]", probabilities)
        samples = shape[: axis % len(shape)] + shape[axis % len(shape) + 1 :]
        if y.ndim != len(shape) or y.shape[:-1] != samples or y.shape[-1] == 0:
            expected = ", ".join(map(str, (*samples, "k")))
            raise ValueError(
                f"targets: expected a pair of arrays of shape ({expected}), got indices of shape {y.shape}"
            )
        if p.shape != y.shape:
            raise ValueError(
                f"targets: expected a pair of arrays of one shape, got indices of {y.shape} and probabilities "
                f"of {p.shape}"
            )
        if p.dtype.itemsize > 8:
            raise TypeError(f"targets: expected probabilities of at most 64 bits, got dtype {p.dtype}")
        self.classes = shape[axis]
        self.indices = y if y.dtype.isnative and y.flags.aligned else y.astype(y.dtype.newbyteorder("="))
        self.probabilities = p
        self.whole = self.indices, p
        self.arrays = {"targets[0]": y, "targets[1]": p}

    def check(self, loss: Loss) -> None:
        kept = np.asarray(True) if loss.ignore_index is None else self.indices != loss.ignore_index
        bad = kept & ((self.indices < 0) | (self.indices >= self.classes))
        if bad.any():
            where, value = _first(bad, self.indices)
            ignored = "" if loss.ignore_index is None else f" or {loss.ignore_index}, which is ignored"
            raise ValueError(
                f"targets: expected class indices in [0, {self.classes}){ignored}, got {value} at position {where}"
            )
        _check_probabilities(self.probabilities, kept)

    def block(self, index: Any, dtype: np.dtype[Any], flat: bool = False) -> Any:
        y = np.require(self.indices[index], None, ["C_CONTIGUOUS", "ALIGNED"])
        p = np.require(self.probabilities[index], dtype, ["C_CONTIGUOUS", "ALIGNED"])
        return (y.reshape(-1, y.shape[-1]), p.reshape(-1, p.shape[-1])) if flat else (y, p)


class Normal(Distribution):
    """A mean for each score, and a variance for each, for each row, or for all."""

    def __init__(self, targets: Any, shape: tuple[int, ...]) -> None:
        if not isinstance(targets, tuple) or len(targets) != 2:
            raise TypeError(f"targets: expected a tuple (target, variance), got {type(targets).__name__}")
        self.mean, self.variance = (as_array(f"targets[{i}]", part) for i, part in enumerate(targets))
        for i, part in enumerate((self.mean, self.variance)):
            real = part.dtype.kind in "biu" or (part.dtype.kind == "f" and part.dtype.itemsize <= 8)
            if not real and not is_bfloat16(part):
                raise TypeError(f"targets[{i}]: expected real numbers of at most 64 bits, got dtype {part.dtype}")
        if self.mean.shape != shape:
            raise ValueError(f"targets[0]: expected the shape of scores, {shape}, got shape {self.mean.shape}")
        if self.variance.shape not in {shape, (*shape[:-1], *(1 for _ in shape[-1:])), ()}:
            raise ValueError(
                f"targets[1]: expected the shape of scores, {shape}, a last axis of length 1, or one number, got shape "
                f"{self.variance.shape}"
            )
        self.shape = shape
        self.whole = self.mean, self.variance
        self.arrays = {"targets[0]": self.mean, "targets[1]": self.variance}

    def check(self, loss: Loss) -> None:
        bad = ~((self.variance > 0) & (self.variance < np.inf))
        if bad.any():
            where, value = _first(bad, self.variance)
            at = "" if where == () else f" at position {where}"
            raise ValueError(f"targets[1]: expected variances that are finite and positive, got {value}{at}")

    def block(self, index: Any, dtype: np.dtype[Any], flat: bool = False) -> Any:
        limits = np.finfo(dtype)
        variance = np.broadcast_to(self.variance, self.shape)[index]
        if self.variance.dtype.kind == "f" and self.variance.dtype.itemsize > dtype.itemsize:
            variance = variance.clip(limits.tiny, limits.max)  # what the narrower type has no number for
        return tuple(np.require(part, dtype, ["C_CONTIGUOUS", "ALIGNED"]) for part in (self.mean[index], variance))


def _is_pair(targets: Any) -> bool:
    """Whether targets are a tuple (indices, probabilities), and not the labels of two samples."""
    return (
        isinstance(targets, tuple)
        and len(targets) == 2
        and as_array("targets[0]", targets[0]).dtype.kind in "iu"
        and (as_array("targets[1]", targets[1]).dtype.kind == "f" or is_bfloat16(as_array("targets[1]", targets[1])))
        and np.ndim(targets[1]) > 0
    )


def _may_be_probabilities(array: Array) -> bool:
    return array.dtype.kind in "fb" or is_bfloat16(array)


def _check_probabilities(probabilities: Array, kept: Array | None) -> None:
    bad = ~((probabilities >= 0) & (probabilities < np.inf))
    if kept is not None:
        bad &= kept
    if bad.any():
        where, value = _first(bad, probabilities)
        raise ValueError(
            f"targets: expected probabilities that are finite and not negative, got {value} at position {where}"
        )


def _first(bad: Array, values: Array) -> tuple[Any, Any]:
    where = tuple(int(i) for i in np.argwhere(bad)[0])
    return (where[0] if len(where) == 1 else where), values[where]
