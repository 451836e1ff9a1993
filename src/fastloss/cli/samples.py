# SPDX-License-Identifier: BSD-3-Clause
"""Scores, targets and weights of the same samples, in files, a block of rows at a time."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastloss import Loss
from fastloss.cli.array_files import ArrayReader
from fastloss.cli.terminal import UserError, one_line
from fastloss.evaluate import interval, targets_outside

__all__ = ["Samples"]

# Bytes of scores and targets mapped at a time: enough to hide the cost of mapping, and little enough that the
# accuracy finds them in the cache.
BLOCK_BYTES = 4 << 20
# In Fortran order a block touches every column: take longer runs, so that few pages are read twice.
FORTRAN_BLOCK_BYTES = 16 << 20


class Samples:
    """Three files of one shape of samples, checked against each other and against a loss.

    Rows are all but the last axis of the scores, counted in C order. Elementwise losses see one-dimensional
    scores as rows of one number.

    Attributes
    ----------
    rows, count : int
        Number of rows and of samples; an elementwise loss has a sample per score.
    bytes : int
        Size of all that is read.
    total_weight, counted : float
        Sum of the weights of all samples, and how many of them are not 0.
    value_dtype, gradient_dtype : dtype
        Of the loss per sample and of the gradient.
    """

    def __init__(self, loss: Loss, scores: ArrayReader, targets: ArrayReader, weights: ArrayReader | None) -> None:
        self.scores, self.targets, self.weights = scores, targets, weights
        rowwise = loss.family == "rowwise"
        self._score_axes = 1 if rowwise or len(scores.shape) > 1 else 0
        self._target_axes = 0 if rowwise else self._score_axes
        self._check_shapes(rowwise)
        self.count = math.prod(targets.shape)
        self._row_samples = math.prod(targets.row_shape(self._target_axes))
        self.rows = self.count // max(1, self._row_samples)
        self._check_dtypes(loss)
        files = [scores, targets] if weights is None else [scores, targets, weights]
        self.bytes = sum(math.prod(file.shape) * file.dtype.itemsize for file in files)
        self.total_weight = self.counted = float(self.count)
        if weights is not None:
            self._sum_weights(weights)

    def _check_shapes(self, rowwise: bool) -> None:
        shape = self.scores.shape
        if rowwise and not shape:
            raise UserError(f"{self.scores.path}: expected scores of shape (..., classes), got one number")
        expected = shape[:-1] if rowwise else shape
        if self.targets.shape != expected:
            raise UserError(
                f"{self.targets.path}: expected targets of shape {expected} for scores of shape {shape},"
                f" got shape {self.targets.shape}"
            )
        if self.weights is not None:
            found = self.weights.shape
            if found != expected[: len(found)]:
                raise UserError(
                    f"{self.weights.path}: expected weights of shape {expected} or a leading part of it,"
                    f" got shape {found}"
                )

    def _check_dtypes(self, loss: Loss) -> None:
        """Let the loss judge the dtypes and the number of classes, before any output is begun."""
        scores = np.empty((0, *self.scores.row_shape(self._score_axes)), self.scores.dtype)
        targets = np.empty((0, *self.targets.row_shape(self._target_axes)), self.targets.dtype)
        try:
            value, gradient = loss.replace(reduction="none").value_and_grad(scores, targets)
        except (TypeError, ValueError) as error:
            raise UserError(f"{self.scores.path}, {self.targets.path}: {one_line(error)}") from error
        self.value_dtype: np.dtype[Any] = np.asarray(value).dtype
        # The gradient of a mean over many rows is too small for half precision.
        half = gradient.dtype == np.float16
        self.gradient_dtype: np.dtype[Any] = np.dtype(np.float32) if half else gradient.dtype

    def _sum_weights(self, weights: ArrayReader) -> None:
        size = math.prod(weights.shape)
        step = BLOCK_BYTES // weights.dtype.itemsize
        sums = []
        counted = 0
        for start in range(0, size if self.count else 0, step):
            block = weights.rows(start, min(start + step, size), 0)
            finite = np.isfinite(block)
            if not finite.all():
                position = int(np.argmin(finite))
                raise UserError(
                    f"{weights.path}: expected finite weights, got {block[position]} at position {start + position}"
                )
            sums.append(float(block.sum(dtype=np.float64)))
            counted += int(np.count_nonzero(block))
        repeat = self.count // max(1, size)
        self.total_weight, self.counted = math.fsum(sums) * repeat, float(counted * repeat)

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Yield ranges of rows that together are all rows."""
        row_bytes = sum(
            math.prod(file.row_shape(axes)) * file.dtype.itemsize
            for file, axes in ((self.scores, self._score_axes), (self.targets, self._target_axes))
        )
        block_bytes = BLOCK_BYTES if self.scores.in_row_order else FORTRAN_BLOCK_BYTES
        step = max(1, block_bytes // max(1, row_bytes))
        for start in range(0, self.rows, step):
            yield start, min(start + step, self.rows)

    def read(self, start: int, stop: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]:
        """Return the scores, targets and weights (if there are any) of a range of rows."""
        scores = self.scores.rows(start, stop, self._score_axes)
        targets = self.targets.rows(start, stop, self._target_axes)
        return scores, targets, None if self.weights is None else self._read_weights(start, stop)

    def _read_weights(self, start: int, stop: int) -> NDArray[np.float64]:
        assert self.weights is not None
        shape = self.weights.shape
        if self._row_samples > 1 and len(shape) == len(self.targets.shape):
            return self.weights.rows(start, stop, self._target_axes).astype(np.float64)
        rows_each = self.rows // math.prod(shape)
        first, last = start // rows_each, (stop - 1) // rows_each
        weights = self.weights.rows(first, last + 1, 0).astype(np.float64)
        # Counted from the first row of the first of these weights.
        return weights[(np.arange(start, stop) - first * rows_each) // rows_each]

    def explain(self, loss: Loss, start: int, stop: int, error: Exception) -> UserError:
        """Name the file and the row, counted from the start of the file, of a target that a loss refused."""
        targets = self.targets.rows(start, stop, self._target_axes)
        bad = targets_outside(loss, targets, self.scores.shape)
        if not bad.any():  # something else is wrong
            path = self.scores.path if str(error).startswith("scores") else self.targets.path
            return UserError(f"{path}: rows {start} to {stop - 1}: {one_line(error)}")
        if loss.target_kind == "class index":
            what, where, expected = "label", "row", f"a class index in [0, {self.scores.shape[-1]})"
        elif loss.target_kind == "sign":
            what, where, expected = "target", "position", "-1, 0 or 1"
        else:
            what, where, expected = "target", "position", f"a {loss.target_kind} in {interval(*loss.target_range)}"
        index = int(np.argmax(bad))
        position = start * self._row_samples + index
        return UserError(
            f"{self.targets.path}: {what} {targets.reshape(-1)[index]} at {where} {position}: expected {expected}"
        )
