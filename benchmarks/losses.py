# SPDX-License-Identifier: BSD-3-Clause
"""Loss, gradient and Hessian, each implementation against the others and against a copy of the scores."""

import statistics
import time
from collections.abc import Callable

import numpy as np
from asv_runner.benchmarks.mark import SkipNotImplemented

from . import problems
from .implementations import IMPLEMENTATIONS


def _seconds(work: Callable[[], object], number: int) -> float:
    start = time.perf_counter()
    for _ in range(number):
        work()
    return time.perf_counter() - start


def times_copy(work: Callable[[], object], scores: np.ndarray, budget: float = 0.5) -> float:
    """How many times as long as ``np.copyto`` of the scores the work takes.

    Both are timed in turns, so that what else the machine does falls on both alike; the median of the ratios is what
    is kept from one run to the next, when times are not.
    """
    other = np.empty_like(scores)

    def copy() -> None:
        np.copyto(other, scores)

    work()
    copy()
    # A sample is long enough for the clock: at least a millisecond of the quicker one.
    number_of_copies = max(1, round(1e-3 / _seconds(copy, 1)))
    number = max(1, round(1e-3 / _seconds(work, 1)))
    ratios: list[float] = []
    end = time.perf_counter() + budget
    while len(ratios) < 5 or (time.perf_counter() < end and len(ratios) < 101):
        copying = _seconds(copy, number_of_copies) / number_of_copies
        ratios.append(_seconds(work, number) / number / copying)
    return round(statistics.median(ratios), 3)


class Losses:
    """One class for all; a loss, an option or an instruction set that is new in the package is measured by existing."""

    params = (
        list(problems.VARIANTS),
        list(problems.OPERATIONS),
        list(problems.DTYPES),
        [f"{rows}x{classes}" for rows, classes in problems.SHAPES],
        list(IMPLEMENTATIONS),
    )
    param_names = ("loss", "operation", "dtype", "shape", "implementation")
    timeout = 120

    def setup(self, loss: str, operation: str, dtype: str, shape: str, implementation: str) -> None:
        rows, classes = map(int, shape.split("x"))
        problem = problems.make(loss, dtype, (rows, classes))
        work = IMPLEMENTATIONS[implementation](problem, operation)
        if work is None:
            raise SkipNotImplemented(f"{implementation} has no {operation} of {loss}")
        problem.check(operation, work())
        self.work, self.scores = work, problem.scores

    def time_loss(self, *_: str) -> None:
        self.work()

    def track_times_copy(self, *_: str) -> float:
        return times_copy(self.work, self.scores)

    track_times_copy.unit = "x copy"  # type: ignore[attr-defined]
