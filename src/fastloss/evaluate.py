# SPDX-License-Identifier: BSD-3-Clause
"""From array-likes to kernel calls: what cannot be read as it lies is explained or converted, block by block."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from numpy.lib.array_utils import byte_bounds

from fastloss._core import Kernel, OutOfRange, map_elements, row_statistics, sum_weights
from fastloss.arrays import as_array, is_bfloat16
from fastloss.distributions import Distribution, read_distribution

if TYPE_CHECKING:
    from fastloss.losses import Loss

# Elements that are converted at a time: with all copies of a block, half a megabyte, which a second-level cache holds.
BLOCK_ELEMENTS = 16384

Array = npt.NDArray[Any]
Named = tuple[str, Any]  # an argument with its name, for messages
Block = tuple[Any, int]  # an index, and the first sample in memory order


class AlongAxis:
    """A kernel for classes on another axis than the last: it gets views that have them last."""

    def __init__(self, kernel: Kernel, axis: int) -> None:
        self.kernel, self.axis = kernel, axis

    def direct(self, scores: Any, targets: Any, weight: Any, out: Any, hess_out: Any, order: int) -> Any:
        """As `Kernel.direct`, for arrays as they were passed."""
        if type(scores) is not np.ndarray or not -scores.ndim <= self.axis < scores.ndim:
            return None
        if self.axis == scores.ndim - 1:  # the last one by another name
            return self.kernel.direct(scores, targets, weight, out, hess_out, order)
        outputs = [_empty_like(scores, scores.dtype) if array is None else array for array in (out, hess_out)[:order]]
        if any(type(array) is not np.ndarray or array.shape != scores.shape for array in outputs):
            return None
        z, *views = [np.moveaxis(array, self.axis, -1) for array in (scores, *outputs)]
        if type(targets) is np.ndarray and targets.ndim == scores.ndim:
            targets = np.moveaxis(targets, self.axis, -1)
        g, h = (*views, None, None)[:2]
        result = self.kernel.direct(z, targets, weight, g, h, order)
        return result if result is None or not outputs else (result[0], *outputs)


def evaluate(loss: Loss, scores: Any, targets: Any, weight: Any, out: Any, hess_out: Any, order: int) -> Any:
    """Value (order 0), with the gradient (1), with the Hessian diagonal (2)."""
    try:
        result = loss._entry.direct(scores, targets, weight, out, hess_out, order)
    except OutOfRange as bad:
        argument, position, value = bad.args
        shape = as_array("scores", scores).shape
        if argument == "scores" and loss.family == "rowwise":
            _check_target_scores(loss, as_array("scores", scores), _class_indices(targets), weight)
        if argument == "scores":
            raise _bad_score(loss, position, value, shape) from None
        distribution = read_distribution(loss, targets, shape)
        if distribution is not None:
            distribution.check(loss)
        raise _bad_target(loss, position, value, shape) from None
    if result is None:
        result = _convert_and_evaluate(loss, scores, targets, weight, out, hess_out, order)
    return result


def map_scores(kernel: Kernel, scores: Any, out: Any, axis: int | None, keepdims: bool | None = None) -> Array:
    """Apply a function: of each element (axis None), along an axis, or over it (keepdims not None)."""
    array = _real_array("scores", scores)
    dtype = _result_type(array)
    shape = array.shape
    if axis is None:
        source = array
    else:
        axis = _normalized_axis(axis, array.ndim)
        source = np.moveaxis(array, axis, -1)
        if keepdims is not None:
            shape = shape[:axis] + ((1,) if keepdims else ()) + shape[axis + 1 :]
    if out is not None:
        _check_output("out", out, shape, dtype, array, {"scores": array})
    result: Array = np.empty(shape, dtype) if out is None else out
    if axis is None:
        target = result
    elif keepdims is None:
        target = np.moveaxis(result, axis, -1)
    else:
        target = result.squeeze(axis) if keepdims else result
    if axis is not None and source.shape[-1] == 0:
        result[...] = -np.inf  # of logsumexp; the others have no elements
        return result
    if kernel.map(source, target) is not None:
        return result
    work = _work_type(array)
    row_axes = 0 if axis is None else 1
    for index, _ in _blocks(source.shape, row_axes):
        part = _readable(source[index], work)
        into = target[*index, ...]
        np.copyto(into, kernel.map(part, np.empty(into.shape, work)), casting="same_kind")
    return result


def map_array(kernel: Kernel, x: Named, *outputs: Named, onto: bool = False) -> Any:
    """Return what the kernel sums up and the outputs, each an array that was given, or a new one for None.

    With `onto` the kernel adds onto what the outputs hold.
    """
    (_, given), (_, out), (_, derivative_out) = (x, *outputs, ("", None), ("", None))[:3]
    result = map_elements(kernel, given, out, derivative_out, len(outputs))
    return _convert_and_map(kernel, x, outputs, onto) if result is None else result


def _convert_and_map(kernel: Kernel, x: Named, outputs: tuple[Named, ...], onto: bool) -> Any:
    """Explain what is wrong with the arguments, or read them in memory order, if need be in blocks that are copied."""
    array = _real_array(*x)
    dtype, work = _result_type(array), _work_type(array)
    inputs: dict[str, Any] = {x[0]: array}
    results: list[Array] = []
    for name, output in outputs:
        if output is not None:
            # Only the first may be the input itself.
            _check_output(name, output, array.shape, dtype, None if results else array, inputs)
            inputs[name] = output
        results.append(_empty_like(array, dtype) if output is None else output)

    axes = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
    source, *targets = (np.asarray(part).transpose(axes) for part in (array, *results))
    first, second = (*targets, None, None)[:2]
    result = map_elements(kernel, source, first, second, len(targets))
    if result is not None:
        return (result[0], *results)

    totals = []
    for index, _ in _blocks(source.shape, 0):
        part = _readable(source[index], work)
        if onto:
            parts = [_readable(target[*index, ...], work) for target in targets]
        else:
            parts = [np.empty_like(part) for _ in targets]
        first, second = (*parts, None, None)[:2]
        totals.append(map_elements(kernel, part, first, second, len(parts))[0])
        with np.errstate(all="ignore"):  # half precision: what is too large for it becomes infinite
            for target, new in zip(targets, parts, strict=True):
                np.copyto(target[*index, ...], new, casting="same_kind")
    return (_total(totals, None), *results)


def classify(kernel: Kernel, loss: Loss, scores: Any, targets: Any) -> tuple[Array, Array, Array]:
    """Return loss, log-sum-exp, entropy and margin of each sample, its arg max and rank, and whether it counts.

    What classes are, and which samples do not count, is what they are for the loss.
    """
    scores = _real_array("scores", scores)
    _check_classes(loss, scores)
    targets = _class_indices(targets)
    samples = _samples_shape(loss, scores.shape)
    _check_shape(loss, targets, samples)
    work = _work_type(scores)
    reals, integers = np.empty((4, *samples), work), np.empty((2, *samples), np.int64)
    counted = np.asarray(np.full(samples, True) if loss.ignore_index is None else targets != loss.ignore_index)
    rows = np.moveaxis(scores, loss.axis, -1)
    try:
        if row_statistics(kernel, rows, targets, reals, integers) is not None:
            return reals, integers, counted
    except OutOfRange as bad:
        _, position, value = bad.args
        raise _bad_target(loss, position, value, scores.shape) from None
    _check_targets(loss, scores.shape, targets)
    for index, _ in _blocks(rows.shape, 1):
        z, t = _readable(rows[index], work), _readable(targets[index], targets.dtype)
        parts = np.empty((4, *t.shape), work), np.empty((2, *t.shape), np.int64)
        row_statistics(kernel, z, t, *parts)
        reals[:, *index], integers[:, *index] = parts
    return reals, integers, counted


def _convert_and_evaluate(
    loss: Loss, scores: Any, targets: Any, weight: Any, out: Any, hess_out: Any, order: int
) -> Any:
    """Explain what is wrong with the arguments, or evaluate them in blocks of which the kernels get copies."""
    scores = _real_array("scores", scores)
    rowwise = loss.family == "rowwise"
    if rowwise:
        _check_classes(loss, scores)
    _check_places(loss, scores.shape)
    distribution = read_distribution(loss, targets, scores.shape)
    if distribution is None:
        targets = _class_indices(targets) if rowwise else _real_array("targets", targets)
    samples = _samples_shape(loss, scores.shape)
    if distribution is None:
        _check_shape(loss, targets, samples)
    weight = None if weight is None else as_array("sample_weight", weight)
    weights, total_weight = _weights(weight, samples)
    by_class = loss.class_weight is not None or loss.ignore_index is not None
    inputs = {"scores": scores, "targets": targets, "sample_weight": weight}
    if distribution is not None:
        inputs |= distribution.arrays
    dtype, work = _result_type(scores), _work_type(scores)
    if order >= 1 and out is not None:
        _check_output("out", out, scores.shape, dtype, scores, inputs)
    if order >= 2 and hess_out is not None:
        _check_output("hess_out", hess_out, scores.shape, dtype, None, inputs | {"out": out})
    if distribution is None:
        _check_targets(loss, scores.shape, targets)
    else:
        distribution.check(loss)
        targets = distribution.whole
    if rowwise:
        _check_target_scores(loss, scores, targets, weights)
    else:
        _check_scores(loss, scores, weights)

    outputs = [_empty_like(scores, dtype) if array is None else array for array in (out, hess_out)[:order]]
    # Subclasses of ndarray and objects that export an array can be read as they lie once they are plain arrays.
    plain = [np.asarray(array) for array in outputs]
    g, h = (*plain, None, None)[:2]
    result = loss._entry.direct(scores, targets, weight, g, h, order)
    if result is not None:
        return (result[0], *outputs) if outputs else result

    scores, *views = scores, *plain
    if loss.axis != -1:
        scores, *views = [np.moveaxis(array, loss.axis, -1) for array in (scores, *plain)]
    each = np.empty(samples, work) if loss.reduction == "none" else None
    count = float(math.prod(samples) if weights is None else np.count_nonzero(weights))
    if by_class:
        total_weight, count = _weights_by_class(loss, distribution or targets, weights, scores.shape)
    divisor: float | None = {"mean": total_weight, "batch_mean": count}.get(loss.reduction)
    totals: list[float] = []
    if divisor == 0:  # nothing counts
        for view in views:
            view[...] = 0
    whole_rows = rowwise or loss._places() is not None
    for index, _ in _blocks(scores.shape, 1 if whole_rows else 0) if divisor != 0 else ():
        of_samples = index[: len(samples)]
        z = _readable(scores[index], work)
        if distribution is None:
            t = _readable(targets[of_samples], targets.dtype if rowwise else work)
        else:
            t = distribution.block(of_samples, work)
        w = None if weights is None else _readable(weights[of_samples], weights.dtype)
        parts = [np.empty_like(z) for _ in views]
        g, h = (*parts, None, None)[:2]
        result = loss._kernel.direct(z, t, w, g, h, order, divisor)
        value = result if order == 0 else result[0]
        if each is not None:
            each[of_samples] = value
        else:
            totals.append(value)
        with np.errstate(all="ignore"):  # half precision: what is too large for it becomes infinite
            for view, part in zip(views, parts, strict=True):
                np.copyto(view[*index, ...], part, casting="same_kind")
        del z, t, w, g, h, parts, result, value  # before the next block has its own
    value = _total(totals, divisor) if each is None else each
    return (value, *outputs) if outputs else value


def _total(parts: list[float], divisor: float | None) -> float:
    if divisor == 0:
        return math.nan
    total = math.fsum(parts) if all(map(math.isfinite, parts)) else sum(parts)
    return total if divisor is None else total / divisor


def _readable(part: Array, dtype: np.dtype[Any]) -> Array:
    return np.require(part, dtype, ["C_CONTIGUOUS", "ALIGNED"])


def _blocks(shape: tuple[int, ...], row_axes: int) -> Iterator[Block]:
    """Cut the leading axes into blocks that follow each other in memory order; rows stay whole."""
    leading = len(shape) - row_axes
    if math.prod(shape[:leading]) == 0:
        return
    axis = 0
    while axis < leading and math.prod(shape[axis + 1 :]) > BLOCK_ELEMENTS:
        axis += 1
    if axis >= leading:
        axis = max(leading - 1, 0)
    inner = math.prod(shape[axis + 1 :])
    step = max(1, BLOCK_ELEMENTS // max(inner, 1))
    length = shape[axis] if leading else 1
    first = 0
    for outer in np.ndindex(shape[:axis]):
        fixed = tuple(slice(i, i + 1) for i in outer)
        for start in range(0, length, step):
            yield (*fixed, slice(start, start + step)) if leading else (), first
            first += min(step, length - start) * math.prod(shape[axis + 1 : leading])


def _real_array(name: str, value: Any) -> Array:
    array = as_array(name, value)
    kind = array.dtype.kind
    if kind in "biu" or (kind == "f" and array.dtype.itemsize <= 8) or is_bfloat16(array):
        return array
    raise TypeError(f"{name}: expected real numbers of at most 64 bits, got dtype {array.dtype}")


def _result_type(array: Array) -> np.dtype[Any]:
    if array.dtype.kind in "biu":
        return np.dtype(np.float64)
    return array.dtype.newbyteorder("=") if not is_bfloat16(array) else array.dtype


def _work_type(array: Array) -> np.dtype[Any]:
    half = array.dtype.kind not in "biu" and array.dtype.itemsize <= 4
    return np.dtype(np.float32 if half else np.float64)


def _empty_like(array: Array, dtype: np.dtype[Any]) -> Array:
    """An array in the memory layout of another, so that a kernel walks both the same way."""
    # Repeated elements, which have a stride of 0, say nothing about an array that repeats none.
    return np.empty_like(array, dtype, "C" if 0 in array.strides else "K", subok=False)


def _samples_shape(loss: Loss, shape: tuple[int, ...]) -> tuple[int, ...]:
    if loss.family == "elementwise":
        return shape
    axis = loss.axis % len(shape)
    return shape[:axis] + shape[axis + 1 :]


def _normalized_axis(axis: int, ndim: int, name: str | None = None) -> int:
    if not -ndim <= axis < ndim:
        raise np.exceptions.AxisError(axis, ndim, name)
    return axis % ndim


def _check_classes(loss: Loss, scores: Array) -> None:
    if scores.ndim == 0:
        raise ValueError("scores: expected at least one axis, the classes, got a single number")
    if scores.shape[_normalized_axis(loss.axis, scores.ndim, "scores")] == 0:
        along = "" if loss.axis == -1 else f" along axis {loss.axis}"
        raise ValueError(f"scores: expected at least one class{along}, got shape {scores.shape}")
    classes = scores.shape[loss.axis]
    if loss.class_weight is not None and len(loss.class_weight) != classes:
        raise ValueError(f"class_weight: expected one number per class, {classes}, got {len(loss.class_weight)}")
    margins = loss._margins()
    if margins is not None and len(margins) != classes:
        raise ValueError(
            f"margin: expected one number, or numbers of shape ({classes},) or ({classes}, {classes}), got shape "
            f"{np.shape(margins)}"
        )


def _check_shape(loss: Loss, targets: Array, samples: tuple[int, ...]) -> None:
    if targets.shape != samples:
        expected = "the shape of scores"
        if loss.family == "rowwise":
            along = "" if loss.axis == -1 else f" along axis {loss.axis}"
            expected = f"one class index for each row of scores{along}"
        raise ValueError(f"targets: expected {expected}, shape {samples}, got shape {targets.shape}")


def _check_places(loss: Loss, shape: tuple[int, ...]) -> None:
    places = loss._places()
    if places is not None and shape[-1:] != (len(places),):
        expected = shape[-1] if shape else "a last axis"
        raise ValueError(
            f"pos_weight: expected one number, or one for each place on the last axis, {expected}, got {len(places)}"
        )


def _class_indices(targets: Any) -> Array:
    array = as_array("targets", targets)
    if array.size == 0 and not isinstance(targets, np.ndarray):
        array = array.astype(np.int64)  # an empty list has no type of its own
    if array.dtype.kind not in "iu":
        raise TypeError(f"targets: expected integer class indices, got dtype {array.dtype}")
    if not array.dtype.isnative or not array.flags.aligned:
        array = array.astype(array.dtype.newbyteorder("="))
    return array


def _check_targets(loss: Loss, shape: tuple[int, ...], targets: Array) -> None:
    for index, first in _blocks(targets.shape, 0):
        part = targets[index]
        outside = targets_outside(loss, part, shape)
        if outside.any():
            position = int(np.flatnonzero(outside)[0])
            raise _bad_target(loss, first + position, part.reshape(-1)[position], shape)


def targets_outside(loss: Loss, targets: Array, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Say which targets are none for scores of this shape."""
    low, high = (0.0, float(shape[loss.axis] - 1)) if loss.family == "rowwise" else loss.target_range
    outside: npt.NDArray[np.bool_]
    if loss.target_kind == "sign":
        outside = (targets != -1) & (targets != 0) & (targets != 1)
    elif math.isnan(low) or high == math.inf:  # a range without end also holds NaN
        outside = targets < low
    else:
        outside = ~((targets >= low) & (targets <= high))
    if loss.ignore_index is not None:
        outside &= targets != loss.ignore_index
    return outside


def _check_scores(loss: Loss, scores: Array, weights: Array | None) -> None:
    low, high = loss.score_range
    if math.isnan(low):
        return
    for index, first in _blocks(scores.shape, 0):
        part = scores[index]
        outside = (part < low) | (part > high)
        if weights is not None:
            outside &= weights[index] != 0
        if outside.any():
            position = int(np.flatnonzero(outside)[0])
            raise _bad_score(loss, first + position, part.reshape(-1)[position], scores.shape)


def _check_target_scores(loss: Loss, scores: Array, targets: Array, weights: Any) -> None:
    """Raise if a target's score is out of range in a row that counts."""
    low, high = loss.score_range
    if math.isnan(low):
        return
    counts = np.ones(targets.shape, bool) if loss.ignore_index is None else targets != loss.ignore_index
    labels = np.where(counts, targets, 0)
    p = np.take_along_axis(np.moveaxis(scores, loss.axis, -1), labels[..., None], axis=-1)[..., 0]
    if weights is not None:
        array = np.asarray(weights)
        counts &= array.reshape(array.shape + (1,) * (targets.ndim - array.ndim)) != 0
    if loss.class_weight is not None:
        counts &= np.asarray(loss.class_weight)[labels] != 0
    outside = counts & ((p < low) | (p > high))
    if outside.any():
        position = int(np.flatnonzero(outside)[0])
        where = f"row {position}"
        if targets.ndim > 1:
            where += f", position {tuple(int(i) for i in np.unravel_index(position, targets.shape))}"
        raise ValueError(
            f"scores: expected numbers in {interval(low, high)} at the targets, "
            f"got {p.reshape(-1)[position]} at {where}"
        )


def _bad_score(loss: Loss, position: int, value: Any, shape: tuple[int, ...]) -> ValueError:
    where = _element(position, shape)
    return ValueError(f"scores: expected numbers in {interval(*loss.score_range)}, got {value} at position {where}")


def interval(low: float, high: float) -> str:
    """Write down a range."""
    return f"[{low:g}, inf)" if high == math.inf else f"[{low:g}, {high:g}]"


def _element(position: int, shape: tuple[int, ...]) -> Any:
    where = tuple(int(i) for i in np.unravel_index(position, shape))
    return where[0] if len(where) == 1 else where


def _bad_target(loss: Loss, position: int, value: Any, shape: tuple[int, ...]) -> ValueError:
    where = _element(position, _samples_shape(loss, shape))
    if loss.family == "rowwise":
        row = f"row {position}" if where in {position, ()} else f"row {position}, position {where}"
        ignored = "" if loss.ignore_index is None else f" or {loss.ignore_index}, which is ignored"
        return ValueError(f"targets: expected class indices in [0, {shape[loss.axis]}){ignored}, got {value} at {row}")
    expected = "-1, 0 or 1" if loss.target_kind == "sign" else f"numbers in {interval(*loss.target_range)}"
    if loss.ignore_index is not None:
        expected += f" or {loss.ignore_index}, which is ignored"
    return ValueError(f"targets: expected {expected}, got {value} at position {where}")


def _weights(array: Array | None, samples: tuple[int, ...]) -> tuple[Array | None, float]:
    """Weights seen in the shape of the samples, and their sum."""
    if array is None:
        return None, float(math.prod(samples))
    if not (array.dtype.kind in "biuf" and array.dtype.itemsize <= 8) and not is_bfloat16(array):
        raise TypeError(f"sample_weight: expected real numbers, got dtype {array.dtype}")
    if array.shape != samples[: array.ndim]:
        raise ValueError(
            "sample_weight: expected one number, or a shape that is a leading part of the samples' "
            f"shape {samples}, got shape {array.shape}"
        )
    if not np.isfinite(array).all():
        position = int(np.flatnonzero(~np.isfinite(array))[0])
        raise ValueError(
            f"sample_weight: expected finite numbers, got {array.reshape(-1)[position]} at sample {position}"
        )
    array = np.asarray(array, np.float32 if array.dtype == np.float32 else np.float64)
    repeat = math.prod(samples[array.ndim :])
    spread = array.reshape(array.shape + (1,) * (len(samples) - array.ndim))
    total = sum_weights(array.astype(np.float64).reshape(-1)) * repeat
    if total != 0 and not np.finfo(np.float64).tiny <= abs(total) < math.inf:
        raise ValueError(f"sample_weight: expected a sum that is a normal number, got {total}")
    return np.broadcast_to(spread, samples), total


def _weights_by_class(
    loss: Loss, targets: Array | Distribution, weights: Array | None, shape: tuple[int, ...]
) -> tuple[float, float]:
    """Return the sum of the weights that samples have by themselves and by their class, and how many are not 0."""
    sums, counts = [], []
    rows = 1 if loss.family == "rowwise" else 0
    for index, _ in _blocks(shape, rows):
        of_samples = index[: len(shape) - rows]
        w = None if weights is None else _readable(weights[of_samples], weights.dtype).reshape(-1)
        if isinstance(targets, Distribution):
            t = targets.block(of_samples, np.dtype(np.float64), flat=True)
        else:
            t = _readable(targets[of_samples], targets.dtype if rows else np.dtype(np.float64)).reshape(-1)
        part, count = loss._kernel.sum_weights(t, w, shape[-1] if rows else 1)
        sums.append(part)
        counts.append(count)
    total = math.fsum(sums)
    if total != 0 and not np.finfo(np.float64).tiny <= abs(total) < math.inf:
        raise ValueError(
            f"sample_weight and class_weight: expected products with a sum that is a normal number, got {total}"
        )
    return total, sum(counts)


def _check_output(
    name: str,
    out: Any,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    scores: Array | None,
    inputs: dict[str, Any],
) -> None:
    """Explain what is wrong with an output; `scores`, one of the inputs, is given where the output may be it."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{name}: expected a numpy array, got {type(out).__name__}")
    if out.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {out.shape}")
    widened = dtype.itemsize == 2 and out.dtype == np.float32
    if out.dtype.newbyteorder("=") != dtype and not widened:
        raise TypeError(f"{name}: expected dtype {dtype}, got {out.dtype}")
    if not out.flags.writeable:
        raise ValueError(f"{name}: expected a writeable array, got a read-only one")
    lowest, highest = byte_bounds(out)
    if out.size and highest - lowest < out.nbytes:
        raise ValueError(f"{name}: expected an array whose elements do not share memory")
    for other, array in inputs.items():
        if not isinstance(array, np.ndarray) or (array is scores and _same_memory(out, array)):
            continue
        if np.shares_memory(out, array):
            itself = [name for name, given in inputs.items() if given is scores and given is not None]
            allowed = f"is {itself[0]} itself or " if itself else ""
            raise ValueError(
                f"{name}: expected an array that {allowed}shares no memory with {other}, got one that does"
            )


def _same_memory(a: Array, b: Array) -> bool:
    interface = a.__array_interface__, b.__array_interface__
    return (
        interface[0]["data"][0] == interface[1]["data"][0]
        and a.shape == b.shape
        and a.strides == b.strides
        and a.dtype == b.dtype
    )
