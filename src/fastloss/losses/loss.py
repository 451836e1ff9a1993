# SPDX-License-Identifier: BSD-3-Clause
"""What all losses share: their three methods, and how options are checked."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar, Literal, TypeAlias, cast, get_args

import numpy as np
import numpy.typing as npt

from fastloss._core import Kernel
from fastloss.evaluate import AlongAxis, evaluate
from fastloss.options import Options

Reduction: TypeAlias = Literal["mean", "sum", "none", "batch_mean"]
Power: TypeAlias = Literal[1, 2]
TargetKind: TypeAlias = Literal[
    "class index", "distribution", "probability", "sign", "number", "number and variance", "count"
]
Array: TypeAlias = npt.NDArray[Any]


def check_choice(name: str, value: object, choices: object) -> None:
    """Raise unless the value is one of a Literal's."""
    allowed = get_args(choices)
    if isinstance(value, bool) or value not in allowed:
        expected = ", ".join(repr(choice) for choice in allowed)
        raise ValueError(f"{name}: expected one of {expected}, got {value!r}")


def checked_weights(name: str, value: Any, how_many: str, dimensions: tuple[int, ...]) -> Array | None:
    """Return weights that are finite and not negative, as many as the dimensions allow, or raise; None stays."""
    if value is None:
        return None
    expected = f"{name}: expected None or finite numbers that are not negative, {how_many}"
    try:
        weights = np.asarray(value)
    except ValueError:
        raise ValueError(f"{expected}, got {value!r}") from None
    if weights.dtype.kind not in "iuf" or weights.ndim not in dimensions:
        raise ValueError(f"{expected}, got {value!r}")
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise ValueError(f"{expected}, got {value!r}")
    return weights.astype(np.float64)


def checked_class_weight(value: Any) -> tuple[float, ...] | None:
    """Return one weight per class as a tuple, which can be compared and hashed, or raise."""
    weights = checked_weights("class_weight", value, "one per class", (1,))
    return None if weights is None else tuple(weights.tolist())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loss(Options):
    """What every loss can do: its value, with the gradient, with the diagonal of the Hessian.

    A loss is a small immutable object: options are given once, to the constructor, by name. Losses with the same
    options are equal, hash alike, and can be pickled.

    Attributes
    ----------
    reduction : {"mean", "sum", "none", "batch_mean"}
        An option of every loss. ``"mean"``, the default, divides by the sum of the weights; ``"batch_mean"`` by the
        number of samples whose weight is not 0; ``"none"`` gives one value per sample, and the gradient and Hessian of
        their sum.

    Raises
    ------
    ValueError
        If an option is not one of its choices.

    Notes
    -----
    Derived classes declare their options, the reduction last, name their kernel and say what their targets are;
    everything else is here.
    """

    # A field here would stand before a loss's own options in its signature and repr.
    @property
    def reduction(self) -> Reduction:
        """How the losses of the samples become one value."""
        raise NotImplementedError

    @property
    def score_range(self) -> tuple[float, float]:
        """Where the scores must lie; NaN if they may lie anywhere. Samples of weight 0 may, too."""
        return math.nan, math.nan

    # Options of some, and what holds without.
    axis = -1
    class_weight = cast("tuple[float, ...] | None", None)
    ignore_index = cast("int | None", None)

    kernel: ClassVar[str]
    distribution_kernel: ClassVar[str | None] = None  # for targets that are distributions over the classes
    option_kernels: ClassVar[tuple[str, ...]] = ()  # which take over where options ask for more
    family: ClassVar[Literal["rowwise", "elementwise"]]
    target_kind: ClassVar[TargetKind]
    target_range: ClassVar[tuple[float, float]] = (math.nan, math.nan)  # NaN: any number will do
    # Of each instance; declared so that they are not taken for options.
    _kernel: ClassVar[Kernel]
    _entry: ClassVar[Kernel | AlongAxis]

    def __post_init__(self) -> None:
        check_choice("reduction", self.reduction, Reduction)
        self._check_options()
        kernel = Kernel(
            self._kernel_name(),
            self.reduction,
            self._kernel_options(),
            *self.target_range,
            self.score_range[1],
            class_weight=self.class_weight,
            ignore_index=self.ignore_index,
            of_distributions=self.distribution_kernel,
            of_labels=self.target_kind == "class index",
            margins=self._margins(),
            of_pairs=self.target_kind == "number and variance",
            places=self._places(),
        )
        object.__setattr__(self, "_kernel", kernel)
        object.__setattr__(self, "_entry", kernel if self.axis == -1 else AlongAxis(kernel, self.axis))

    def _check_options(self) -> None:
        """Raise TypeError or ValueError for options that make no sense."""

    def _kernel_name(self) -> str:
        """Return which kernel has these options, where there are several."""
        return self.kernel

    def _margins(self) -> tuple[Any, ...] | None:
        """Return margins that are not the same for all classes."""
        return None

    def _places(self) -> tuple[float, ...] | None:
        """Return weights that are not the same for all places on the last axis."""
        return None

    def _kernel_options(self) -> tuple[float, ...]:
        """Return the options as the numbers that the kernel's head comment lists."""
        return ()

    def __call__(
        self, scores: npt.ArrayLike, targets: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> Any:
        """Return the loss.

        Parameters
        ----------
        scores : array_like of real numbers
            float16, bfloat16, float32 and float64 are read where they lie. Other types, and layouts that the kernels do
            not know, are converted block by block.
        targets : array_like
            What the class says.
        sample_weight : array_like of real numbers, optional
            One weight per sample, or a shape that is a leading part of the samples' shape; each weight then covers
            all samples below it. A sample of weight 0 does not count, whatever it holds.

        Returns
        -------
        float or numpy.ndarray
            A float for the reductions ``"mean"``, ``"batch_mean"`` and ``"sum"``. NaN for the mean of nothing. One
            number per sample, times its weight, for ``"none"``.

        Raises
        ------
        TypeError
            If an argument has a type of which no loss can be made: objects, strings, complex numbers.
        ValueError
            If shapes do not fit, a target is out of range, or a score of a loss that has a domain, or a weight is not
            finite.
        """
        return evaluate(self, scores, targets, sample_weight, None, None, 0)

    def value_and_grad(
        self,
        scores: npt.ArrayLike,
        targets: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        *,
        out: Array | None = None,
    ) -> tuple[Any, Array]:
        """Return the loss and its gradient by the scores.

        Parameters
        ----------
        scores, targets, sample_weight : array_like
            As for calling the loss.
        out : numpy.ndarray, optional
            Where the gradient goes: an array of the shape and dtype of the scores, which may be the scores
            themselves; or float32 for float16 and bfloat16.

        Returns
        -------
        value : float or numpy.ndarray
            As for calling the loss.
        gradient : numpy.ndarray
            `out`, or a new array of the shape and dtype of the scores (float64 for integers), laid out as they are.

        Raises
        ------
        TypeError, ValueError
            As for calling the loss, and if `out` has the wrong type or shape, is read-only or overlaps an input
            other than being the scores. The scores then are unchanged, also where `out` is the scores; another `out`
            may have been written in part if a target that is no class index is out of range, and is unchanged
            otherwise.
        """
        result: tuple[Any, Array] = evaluate(self, scores, targets, sample_weight, out, None, 1)
        return result

    def value_grad_hess(
        self,
        scores: npt.ArrayLike,
        targets: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        *,
        out: Array | None = None,
        hess_out: Array | None = None,
    ) -> tuple[Any, Array, Array]:
        """Return the loss, its gradient and the diagonal of its Hessian by the scores.

        Parameters
        ----------
        scores, targets, sample_weight : array_like
            As for calling the loss.
        out, hess_out : numpy.ndarray, optional
            Where gradient and Hessian go: arrays of the shape and dtype of the scores, or float32 for float16 and
            bfloat16. `out` may be the scores themselves.

        Returns
        -------
        value : float or numpy.ndarray
            As for calling the loss.
        gradient, hessian : numpy.ndarray
            `out` and `hess_out`, or new arrays of the shape and dtype of the scores (float64 for integers), laid out
            as they are.

        Raises
        ------
        TypeError, ValueError
            As for `value_and_grad`.
        """
        result: tuple[Any, Array, Array] = evaluate(self, scores, targets, sample_weight, out, hess_out, 2)
        return result
