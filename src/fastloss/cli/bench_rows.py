# SPDX-License-Identifier: BSD-3-Clause
"""What ``fastloss bench`` measures: the table of rows, their arrays, and what the results must be."""

import importlib
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from functools import cache
from itertools import repeat
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

import fastloss
from fastloss import Loss, MulticlassHinge, SigmoidCrossEntropy, SoftmaxCrossEntropy, _core, reference

__all__ = [
    "ROWS",
    "TIMES_FASTER",
    "Missing",
    "Outcome",
    "Problem",
    "Row",
    "Work",
    "add_work",
    "copy_work",
    "disagreement",
    "fastloss_work",
    "make_problem",
]

Array: TypeAlias = NDArray[Any]
Operation: TypeAlias = Literal["value", "value+grad", "value+grad+hessian", "function"]
Layout: TypeAlias = Literal["", "in place", "strided rows", "Fortran order", "classes first"]
# The first two are NumPy's; the others are fastloss itself on other arrays or settings.
Yardstick: TypeAlias = Literal["copy", "add", "contiguous", "ordinary", "one thread", "1000 classes", "float32"]

# Do it so many times and return the last result. The loop is inside, so that nothing but the call is timed.
Work: TypeAlias = Callable[[int], tuple[Any, ...]]


class Missing(Exception):
    """A row that cannot be measured here, and why."""


@dataclass(frozen=True)
class Row:
    """One line of the benchmark: data alone.

    Attributes
    ----------
    work : Loss or str
        A loss, or the name of a function.
    operation : str
        What is asked of it.
    shape : tuple of int
        Of the scores.
    must, aim : float or None
        Bars, in times of the yardstick: to be met, and to be proud of. If the yardstick is NumPy's they are for
        AVX-512 and one thread; see `bars`.
    yardstick : str
        Whose time is 1.
    axis : int
        Of the classes.
    threads : int or None
        None for as many as the command line says.
    isa : str or None
        Likewise, the instruction set.
    rivals : bool
        Whether others are timed, too. Not where fastloss meets itself on other data or instructions.
    """

    work: Loss | str
    operation: Operation
    shape: tuple[int, ...]
    must: float | None = None
    aim: float | None = None
    yardstick: Yardstick = "copy"
    dtype: str = "float32"
    layout: Layout = ""
    axis: int = -1
    confident: bool = False
    threads: int | None = None
    isa: str | None = None
    rivals: bool = True

    @property
    def name(self) -> str:
        """What tells the row from all others, in at most 48 characters."""
        words = [_label(self.work)]
        if self.operation != "function":
            words.append(self.operation)
        words.append("x".join(map(str, self.shape)))
        if self.dtype != "float32":
            words.append(self.dtype)
        if self.layout:
            words.append(self.layout)
        if self.axis != -1:
            words.append(f"axis {self.axis}")
        if self.threads:
            words.append(f"{self.threads} threads")
        if self.confident:
            words.append("confident")
        if self.isa:
            words.append(self.isa)
        return " ".join(words)

    @property
    def size(self) -> int:
        """Number of scores."""
        return int(np.prod(self.shape))

    def bars(self, isa: str, threads: int) -> tuple[float | None, float | None]:
        """Return `must` and `aim` for an instruction set and a number of threads, None where nothing was promised."""
        if self.yardstick not in ("copy", "add"):
            return self.must, self.aim  # of fastloss to itself
        if isa not in BARS_OF_ISA or threads != 1:
            return None, None
        must, aim = BARS_OF_ISA[isa]
        return self.must and self.must * must, self.aim and self.aim * aim

    def yardstick_row(self) -> "Row":
        """Return the row of fastloss that this one is a multiple of."""
        if self.yardstick == "contiguous" and self.axis != -1:
            classes = self.shape[self.axis]
            return replace(self, shape=(self.size // classes, classes), axis=-1)
        changes: dict[Yardstick, dict[str, Any]] = {
            "contiguous": {"layout": ""},
            "ordinary": {"confident": False},
            "one thread": {"threads": 1},
            "1000 classes": {"shape": (16384, 1000)},
            "float32": {"dtype": "float32"},
        }
        return replace(self, **changes[self.yardstick])


def _label(work: Loss | str) -> str:
    if isinstance(work, MulticlassHinge):
        return work.form + ("^2" if work.power == 2 else "")
    if isinstance(work, Loss):
        return work.kernel.removesuffix("_cross_entropy").replace("_", "-")
    return f"{work}()"


# What the bars of the table are multiplied by. Other instruction sets have none.
BARS_OF_ISA = {"avx512": (1.0, 1.0), "avx2": (1.6, 1.3)}

_SOFTMAX = SoftmaxCrossEntropy()
_SIGMOID = SigmoidCrossEntropy()
_WESTON_WATKINS = MulticlassHinge(form="weston-watkins")
_CRAMMER_SINGER = MulticlassHinge(form="crammer-singer")

_TABLE = (
    Row(_SOFTMAX, "value+grad", (1024, 1000), must=1.5, aim=1.2),
    Row(_SOFTMAX, "value+grad", (16384, 1000), must=1.6, aim=1.2),
    Row(_SOFTMAX, "value+grad", (512, 32000), must=1.6, aim=1.2),
    Row(_SOFTMAX, "value+grad", (256, 128256), must=2.0, aim=1.4),
    Row(_SOFTMAX, "value", (1024, 1000), must=0.9, aim=0.6),
    Row(_SOFTMAX, "value", (16384, 1000), must=0.9, aim=0.6),
    Row(_SOFTMAX, "value", (512, 32000), must=0.9, aim=0.6),
    Row(_SOFTMAX, "value", (256, 128256), must=0.9, aim=0.6),
    Row(_SOFTMAX, "value+grad", (65536, 100), must=1.8, aim=1.4),
    Row(_SOFTMAX, "value+grad", (262144, 10), must=2.5, aim=1.8),
    Row(_SOFTMAX, "value+grad", (1000000, 3), must=4.0, aim=2.5),
    Row(_SOFTMAX, "value+grad", (1000000, 2), must=4.0, aim=2.5),
    Row(_WESTON_WATKINS, "value+grad", (16384, 1000), must=1.4, aim=1.0),
    Row(_WESTON_WATKINS.replace(power=2), "value+grad", (16384, 1000), must=1.4, aim=1.0),
    Row(_WESTON_WATKINS, "value+grad", (262144, 10), must=2.5, aim=1.8),
    Row(_CRAMMER_SINGER, "value+grad", (262144, 10), must=2.5, aim=1.8),
    Row(_SOFTMAX, "value+grad+hessian", (16384, 1000), must=2.5, aim=1.8),
    Row(_SOFTMAX, "value+grad", (8192, 1000), must=1.8, aim=1.3, dtype="float64"),
    Row("logsumexp", "function", (16384, 1000), must=1.0, aim=0.7),
    Row("softmax", "function", (16384, 1000), must=1.6, aim=1.2),
    Row("log_softmax", "function", (16384, 1000), must=1.6, aim=1.2),
    Row(_SOFTMAX, "value+grad", (16384, 1000), must=1.2, aim=0.9, layout="in place"),
    Row(_SIGMOID, "value+grad", (16000000,), must=1.0, aim=0.8, yardstick="add"),
    Row(_SIGMOID, "value+grad", (100000,), must=2.0, aim=1.5, yardstick="add"),
    Row(_SOFTMAX, "value+grad", (32, 10), must=3.0, aim=2.0, yardstick="add"),
)

_LAYOUTS = (
    *(
        Row(_SOFTMAX, "value+grad", shape, must=2.0, yardstick="contiguous", layout=layout)
        for layout in ("strided rows", "Fortran order", "classes first")
        for shape in ((16384, 1000), (262144, 10))
    ),
    Row(_SOFTMAX, "value+grad", (8, 21, 256, 256), must=1.5, yardstick="contiguous", axis=1),
)

# 1.6 and 1.9 times faster than one.
_THREADS = (Row(_SOFTMAX, "value+grad", (16384, 1000), must=1 / 1.6, aim=1 / 1.9, yardstick="one thread", threads=2),)

# The same number of scores in rows of any length: the time should not change, at no level of the cache and for no
# remainder of lanes.
_LENGTHS = tuple(
    Row(_SOFTMAX, "value+grad", (16384000 // classes, classes), yardstick="1000 classes", rivals=False)
    for classes in (64, 67, 255, 999, 1001, 4096, 32768, 262144)
)

# Half the bytes should take no longer.
_HALVES = tuple(
    replace(row, must=1.0, aim=None, yardstick="float32", dtype=dtype, rivals=False)
    for dtype in ("float16", "bfloat16")
    for row in (
        *(Row(_SOFTMAX, "value+grad", shape) for shape in ((16384, 1000), (512, 32000), (262144, 10))),
        *(Row(_SOFTMAX, "value", shape) for shape in ((16384, 1000), (512, 32000), (262144, 10))),
        Row(_SIGMOID, "value+grad", (16000000,)),
    )
)

_CONFIDENT = tuple(
    replace(row, must=1.1, aim=None, yardstick="ordinary", confident=True, rivals=False) for row in _TABLE
)

_AVX2 = tuple(replace(row, isa="avx2", rivals=False) for row in _TABLE)

ROWS: tuple[Row, ...] = (*_TABLE, *_LAYOUTS, *_THREADS, *_LENGTHS, *_HALVES, *_CONFIDENT, *_AVX2)


# What a user of another library should gain.
TIMES_FASTER = 3


@dataclass(kw_only=True)
class Outcome:
    """What became of a row.

    Attributes
    ----------
    must, aim : float or None
        The bars that apply.
    seconds : dict
        Of the fastest call, by who made it: ``yardstick``, ``fastloss``, ``fastloss new`` (into new arrays) and the
        rivals.
    absent, error : str or None
        Why there are no times.
    notes : list of str
        Which rivals failed, and how.
    """

    row: Row
    must: float | None = None
    aim: float | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    absent: str | None = None
    error: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def ratios(self) -> dict[str, float]:
        """The times in times of the yardstick."""
        unit = self.seconds.get("yardstick", math.nan)
        return {name: seconds / unit for name, seconds in self.seconds.items() if name != "yardstick"}

    @property
    def rivals(self) -> dict[str, float]:
        """The ratios of the rivals."""
        return {name: ratio for name, ratio in self.ratios.items() if not name.startswith("fastloss")}

    @property
    def fastest_rival(self) -> str | None:
        """The name of the rival that takes the least time."""
        return min(self.rivals, key=self.rivals.__getitem__, default=None)

    @property
    def times_faster(self) -> float | None:
        """How many times as long as fastloss the fastest rival takes."""
        rival = self.fastest_rival
        return self.seconds[rival] / self.seconds["fastloss"] if rival else None

    @property
    def met(self) -> str | None:
        """The better of the bars that is met, ``"no"`` if none is, None if there is none."""
        ratio = self.ratios.get("fastloss")
        if ratio is None or self.must is None:
            return None
        if self.aim is not None and ratio <= self.aim:
            return "aim"
        return "must" if ratio <= self.must else "no"


@dataclass(frozen=True)
class Problem:
    """The arrays of a row: scores as they lie, their targets, and where results go."""

    row: Row
    work: Loss | str
    scores: Array
    targets: Array
    out: Array
    hess_out: Array | None

    @property
    def formula(self) -> str:
        """The name of a loss's class, the form of a hinge, or the name of a function."""
        if isinstance(self.work, MulticlassHinge):
            return self.work.form
        return self.work if isinstance(self.work, str) else type(self.work).__name__

    @property
    def rowwise(self) -> bool:
        """Whether scores have an axis of classes."""
        return _rowwise(self.work)


def _rowwise(work: Loss | str) -> bool:
    return isinstance(work, str) or work.family == "rowwise"


def make_problem(row: Row) -> Problem:
    """Make the arrays of a row.

    Raises
    ------
    Missing
        If there is no such instruction set, number of processors or dtype here.
    """
    if row.isa and row.isa not in _core.isas():
        raise Missing(f"this machine or build has no {row.isa}")
    if row.threads and row.threads > _processors():
        raise Missing(f"needs {row.threads} processors, here are {_processors()}")
    work = row.work
    if row.axis != -1 and isinstance(work, Loss):
        work = work.replace(axis=row.axis)
    if row.dtype == "bfloat16":
        try:
            importlib.import_module("ml_dtypes")  # NumPy knows the dtype from then on
        except ImportError:
            raise Missing("needs ml_dtypes, which has bfloat16") from None
    scores, targets = _samples(*_sample_key(row))
    out = _lay(np.empty_like(scores), row)
    hess_out = _lay(np.empty_like(scores), row) if row.operation == "value+grad+hessian" else None
    for array in (out, hess_out):
        if array is not None:
            array.fill(0)  # its pages are there before the first call
    scores = _lay(scores, row)
    if _rowwise(work):
        targets = targets.reshape(out.shape[: row.axis] + out.shape[row.axis :][1:])
    return Problem(row, work, scores, targets, out, hess_out)


def _processors() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else (os.cpu_count() or 1)


SampleKey: TypeAlias = tuple[bool, tuple[int, ...], str, bool]


def _sample_key(row: Row) -> SampleKey:
    """Return all that the numbers depend on; of the shape, the classes come last."""
    axis = row.axis % len(row.shape)
    shape = (*row.shape[:axis], *row.shape[axis + 1 :], row.shape[axis])
    return _rowwise(row.work), shape, row.dtype, row.confident


def _samples(rowwise: bool, shape: tuple[int, ...], dtype: str, confident: bool) -> tuple[Array, Array]:
    """Make contiguous scores like those of a half-trained classifier, or of a confident one, and targets."""
    random = np.random.default_rng([len(shape), *shape])
    scores = random.standard_normal(shape, np.float32)
    scores *= 3
    targets: Array
    if rowwise:
        samples, classes = shape[:-1], shape[-1]
        targets = random.integers(classes, size=samples)
        if confident:
            # The largest score is ahead by 30 to 90, and mostly right.
            right = random.random(samples) < 0.9
            best = np.where(right, targets, random.integers(classes, size=samples))[..., None]
            ahead = scores.max(axis=-1, keepdims=True) + random.uniform(30, 90, (*samples, 1)).astype(np.float32)
            np.put_along_axis(scores, best, ahead, axis=-1)
    else:
        targets = random.random(shape, np.float32).astype(dtype)
        if confident:
            scores = random.uniform(30, 90, shape).astype(np.float32) * random.choice([-1, 1], shape)
    # On a grid whose differences no precision rounds: all agree on which side of a kink they are.
    scores *= 2**16
    np.rint(scores, out=scores)
    scores /= 2**16
    return scores.astype(dtype, copy=False), targets


def _lay(array: Array, row: Row) -> Array:
    """Return a contiguous array, classes last, in the layout of a row."""
    if row.axis != -1:
        return np.ascontiguousarray(np.moveaxis(array, -1, row.axis))
    match row.layout:
        case "strided rows":
            wider = np.zeros((*array.shape[:-1], array.shape[-1] * 2), array.dtype)
            rows: Array = wider[..., : array.shape[-1]]
            rows[...] = array
            return rows
        case "Fortran order":
            return np.asfortranarray(array)
        case "classes first":
            # As an image has them: one plane of pixels per class.
            pixels = array.reshape(64, -1, array.shape[-1])
            return np.moveaxis(np.ascontiguousarray(np.moveaxis(pixels, -1, 0)), 0, -1)
    return array


def copy_work(problem: Problem) -> Work:
    """Copy the scores."""
    scores, out, copyto = problem.scores, problem.out, np.copyto

    def work(count: int) -> tuple[Any, ...]:
        for _ in repeat(None, count):
            copyto(out, scores)
        return (out,)

    return work


def add_work(problem: Problem) -> Work:
    """Add two arrays into a third: what an elementwise loss reads and writes."""
    scores, out, add = problem.scores, problem.out, np.add
    other = scores if problem.rowwise else problem.targets

    def work(count: int) -> tuple[Any, ...]:
        for _ in repeat(None, count):
            add(scores, other, out=out)
        return (out,)

    return work


def fastloss_work(problem: Problem, *, fresh: bool = False) -> Work:
    """Do what the row says, into its outputs or (fresh) into new arrays.

    In place the scores are taken from the output, where they have to be put before each call.
    """
    in_place = problem.row.layout == "in place"
    scores, targets = problem.out if in_place else problem.scores, problem.targets
    out, hess_out = (None, None) if fresh else (problem.out, problem.hess_out)
    if isinstance(problem.work, str):
        function: Any = getattr(fastloss, problem.work)
        if problem.work == "logsumexp" and out is not None:
            out = np.empty(targets.shape, scores.dtype)

        def function_work(count: int) -> tuple[Any, ...]:
            for _ in repeat(None, count):
                result = function(scores, out=out)
            return (result,)

        return function_work

    value, value_and_grad, value_grad_hess = problem.work, problem.work.value_and_grad, problem.work.value_grad_hess

    def value_work(count: int) -> tuple[Any, ...]:
        for _ in repeat(None, count):
            result = value(scores, targets)
        return (result,)

    def gradient_work(count: int) -> tuple[Any, ...]:
        for _ in repeat(None, count):
            result = value_and_grad(scores, targets, out=out)
        return result

    def hessian_work(count: int) -> tuple[Any, ...]:
        for _ in repeat(None, count):
            result = value_grad_hess(scores, targets, out=out, hess_out=hess_out)
        return result

    return {"value": value_work, "value+grad": gradient_work}.get(problem.row.operation, hessian_work)


@dataclass(frozen=True)
class _Expected:
    """The value over all samples, and the arrays at some of them; of a function, its result at some."""

    positions: Array
    value: float
    arrays: dict[str, Array]


# To be sure that the right thing is timed; how exact results are is for the tests. Relative to each number, and to the
# largest of all.
TOLERANCES = {"float16": (1e-3, 1e-6), "bfloat16": (8e-3, 1e-6), "float32": (1e-5, 1e-6), "float64": (1e-12, 1e-13)}
# Of other libraries, which may add a million numbers in float32.
RIVAL_TOLERANCES = {"float32": (1e-3, 1e-4), "float64": (1e-8, 1e-9)}

# Scores that the reference sees at a time, and how many of an array's rows are compared.
BLOCK_SCORES = 2**20
COMPARED_SCORES = 2**17


def disagreement(problem: Problem, result: tuple[Any, ...], *, rival: bool = False) -> str | None:
    """Return in which number a result is not that of the reference, or None."""
    expected = _expected(problem.row.work, _sample_key(problem.row))
    relative, absolute = (RIVAL_TOLERANCES if rival else TOLERANCES)[problem.row.dtype]
    rows = np.unravel_index(expected.positions, problem.targets.shape)
    if problem.row.operation == "function":
        names = ["result"]
    else:
        names = ["value", "gradient", "hessian"][: problem.row.operation.count("+") + 1]
    if len(result) != len(names):
        return f"expected {' and '.join(names)}, got {len(result)} results"
    for name, whole in zip(names, result, strict=True):
        if name == "value":
            actual, right = np.asarray(whole), np.asarray(expected.value)
        else:
            array, right = np.asarray(whole), expected.arrays[name]
            if problem.rowwise and array.ndim > problem.targets.ndim:
                array = np.moveaxis(array, problem.row.axis, -1)
            if array.shape[: problem.targets.ndim] != problem.targets.shape:
                return f"{name}: expected samples of shape {problem.targets.shape}, got {array.shape}"
            actual = array[rows]
        if actual.shape != right.shape:
            return f"{name}: expected shape {right.shape}, got {actual.shape}"
        allowed = relative * np.abs(right) + absolute * np.max(np.abs(right), initial=0)
        if problem.row.dtype == "float16" and name != "value":
            allowed += np.finfo(np.float16).smallest_subnormal
        wrong = ~(np.abs(actual - right) <= allowed)  # NaN is wrong, too
        if wrong.any():
            first = np.unravel_index(np.argmax(wrong), wrong.shape)
            where = f" of sample {expected.positions[first[0]]}" if first else ""
            return f"{name}{where}: expected {right[first]:.9g}, got {actual[first]:.9g}"
    return None


@cache
def _expected(work: Loss | str, key: SampleKey) -> _Expected:
    scores, targets = _samples(*key)
    count = targets.size
    rows = scores.reshape(count, -1) if _rowwise(work) else scores.reshape(count)
    labels = targets.reshape(count)
    compared = min(count, max(4, COMPARED_SCORES * count // scores.size), 4096)
    positions = np.unique(np.r_[0, count - 1, np.random.default_rng(0).integers(count, size=compared)])
    if isinstance(work, str):
        result = getattr(reference, work)(rows[positions])
        return _Expected(positions, np.nan, {"result": result})
    definition = getattr(reference, type(work).__name__)
    options = {option.name: getattr(work, option.name) for option in fields(work) if option.name != "axis"}
    loss = definition(**options | {"reduction": "sum"})
    value = sum(loss(rows[block], labels[block]) for block in _blocks(count, scores.size)) / count
    _, gradient, hessian = loss.value_grad_hess(rows[positions], labels[positions])
    return _Expected(positions, value, {"gradient": gradient / count, "hessian": hessian / count})


def _blocks(rows: int, size: int) -> Iterator[slice]:
    step = max(1, BLOCK_SCORES * rows // size)
    for start in range(0, rows, step):
        yield slice(start, start + step)
