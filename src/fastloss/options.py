# SPDX-License-Identifier: BSD-3-Clause
"""Objects that are nothing but their options: losses, activations and regularisers."""

from __future__ import annotations

import dataclasses
import math
import numbers
import operator
from collections.abc import Callable
from typing import Any, Self

import numpy as np


def is_number(value: object) -> bool:
    """Return whether a value is one real number, which True is not."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def checked_number(name: str, value: Any, expected: str, valid: Callable[[float], bool]) -> float:
    """Return a finite number as a float, or raise."""
    if not is_number(value) or not math.isfinite(value) or not valid(float(value)):
        raise ValueError(f"{name}: expected {expected}, got {value!r}")
    return float(value)


def checked_integer(name: str, value: Any, expected: str = "an integer") -> int:
    """Return an option as a plain integer, or raise."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected {expected}, got {value!r}") from None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """A small immutable object: options are given once, by name, and objects with the same options are equal."""

    def __post_init__(self) -> None:
        raise NotImplementedError

    def replace(self, **options: Any) -> Self:
        """Return a copy with some options changed.

        Parameters
        ----------
        **options
            Options of the constructor.

        Returns
        -------
        Options
            A new object of the same class.
        """
        return dataclasses.replace(self, **options)

    __replace__ = replace

    # Kernels cannot be pickled, and need not be: options make them.
    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)
        self.__post_init__()
