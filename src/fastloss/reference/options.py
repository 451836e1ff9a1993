# SPDX-License-Identifier: BSD-3-Clause
"""Objects that are nothing but their options: losses, regularisers and activations."""

import operator
from dataclasses import dataclass, fields, replace
from numbers import Real
from typing import Any, Literal, get_args, get_origin

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options that are given by name, checked once, and compared, hashed, shown and pickled by value.

    A subclass checks its own in `__post_init__`. Numbers are kept as float or int and arrays as tuples of float, so
    that equal options are equal objects.
    """

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            choices = get_args(field.type)
            if get_origin(field.type) is Literal and (isinstance(value, bool) or value not in choices):
                expected = " or ".join(map(repr, choices))
                raise ValueError(f"{field.name} must be {expected}, got {value!r}")

    def replace(self, **options):
        """Return a copy with other options."""
        return replace(self, **options)

    __replace__ = replace

    def _number(self, name, expected, valid):
        """Check that an option is a finite number that is valid."""
        self._numbers(name, expected, valid, dimensions=(0,))

    def _numbers(self, name, expected, valid, *, dimensions):
        """Check that an option is an array of finite numbers that are valid."""
        value = getattr(self, name)
        array = as_array(value)
        good = array.dtype.kind in "iuf" and array.ndim in dimensions
        if not good or not (np.isfinite(array) & valid(array)).all():
            raise ValueError(f"{name} must be {expected}, got {value!r}")
        object.__setattr__(self, name, _as_tuples(array.astype(np.float64).tolist()))

    def _integer(self, name, expected="an integer"):
        """Check that an option is an integer."""
        value = getattr(self, name)
        try:
            if isinstance(value, (bool, np.bool_)):
                raise TypeError
            object.__setattr__(self, name, operator.index(value))
        except TypeError:
            raise TypeError(f"{name} must be {expected}, got {value!r}") from None


def as_array(value):
    """Return an array, of objects where a value is too large or has rows of different lengths."""
    try:
        return np.asarray(float(value) if isinstance(value, Real) and not isinstance(value, bool) else value)
    except (OverflowError, ValueError):
        return np.asarray(None)


def not_negative(x):
    """Whether numbers are >= 0."""
    return x >= 0


def positive(x):
    """Whether numbers are > 0."""
    return x > 0


def fraction(x):
    """Whether numbers are in [0, 1]."""
    return (x >= 0) & (x <= 1)


def _as_tuples(value):
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value


def examples(kind: type[Any], name: str) -> tuple[Any, ...]:
    """Return values of an option that are worth trying: the default, and those that its field's metadata names."""
    (field,) = (field for field in fields(kind) if field.name == name)
    return (field.default, *field.metadata.get("examples", ()))
