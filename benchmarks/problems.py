# SPDX-License-Identifier: BSD-3-Clause
"""What is measured: every variant of every loss of the package, on made-up scores, and the right answers."""

import functools
import itertools
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from fastloss import losses, reference

OPERATIONS = ("value", "value_and_grad", "value_and_grad(out)", "value_grad_hess(out)")

# A call that is all overhead; few classes; the ImageNet shape; a language model's.
SHAPES = ((32, 10), (65536, 10), (1024, 1000), (512, 32000))

DTYPES = ("float32", "float64")

# Coarse on purpose, for rivals of any precision: it proves that the right thing is timed. The tests bound errors.
TOLERANCES = {"float32": 1e-4, "float64": 1e-9}


def _literal_fields(loss: type) -> dict[str, tuple[Any, ...]]:
    hints = get_type_hints(loss)
    return {
        field.name: get_args(hints[field.name])
        for field in fields(loss)
        if get_origin(hints[field.name]) is Literal and field.name != "reduction"
    }


def _variants() -> dict[str, tuple[str, dict[str, Any]]]:
    """Class name and options of each variant, by a readable name."""
    variants = {}
    for name in losses.__all__:
        loss = getattr(losses, name)
        if loss is losses.Loss or not issubclass(loss, losses.Loss):
            continue
        finite = _literal_fields(loss)
        for values in itertools.product(*finite.values()):
            options = dict(zip(finite, values, strict=True))
            label = ", ".join(f"{option}={value}" for option, value in options.items())
            variants[f"{name}({label})"] = (name, options)
    return variants


VARIANTS = _variants()


@dataclass(frozen=True)
class Problem:
    """One set of scores and targets, where the answers go, and what they must be."""

    loss: Any
    dtype: str
    scores: np.ndarray
    targets: Any
    gradient: np.ndarray
    hessian: np.ndarray
    expected: tuple[float, np.ndarray, np.ndarray]

    def check(self, operation: str, result: tuple[Any, ...]) -> None:
        """Compare what an implementation returned with the reference."""
        assert len(result) == {"value": 1, "value_grad_hess(out)": 3}.get(operation, 2), operation
        for name, actual, definition in zip(("value", "gradient", "hessian"), result, self.expected, strict=False):
            expected = np.asarray(definition)
            np.testing.assert_allclose(
                np.asarray(actual).reshape(expected.shape),
                expected,
                rtol=0,
                atol=TOLERANCES[self.dtype] * np.abs(expected).max(),
                err_msg=f"{self.loss}: {name}",
            )


@functools.lru_cache(maxsize=1)
def make(variant: str, dtype: str, shape: tuple[int, int]) -> Problem:
    """Scores like those of a half-trained classifier: normal, standard deviation 3."""
    name, options = VARIANTS[variant]
    loss = getattr(losses, name)(**options)
    random = np.random.default_rng(0)
    scores = (3 * random.standard_normal(shape)).astype(dtype)
    targets: Any
    if loss.target_kind == "distribution":
        targets = random.dirichlet(np.ones(shape[-1]), size=shape[:-1]).astype(dtype)
    elif loss.target_kind == "number and variance":
        targets = scores[::-1].copy(), (random.random(shape) + 0.5).astype(dtype)
    elif loss.family == "rowwise":
        targets = random.integers(shape[-1], size=shape[:-1])
    else:
        fractions = random.random(shape)
        if loss.target_kind == "sign":
            fractions = np.round(fractions)
        elif loss.target_kind == "count":
            fractions = np.floor(8 * fractions)
        targets = fractions.astype(dtype)
    if loss.score_range[1] == 1:
        scores = (1 / (1 + np.exp(-scores.astype(np.float64)))).astype(dtype)
    definition = getattr(reference, name)(**options)
    return Problem(
        loss=loss,
        dtype=dtype,
        scores=scores,
        targets=targets,
        gradient=np.empty_like(scores),
        hessian=np.empty_like(scores),
        expected=definition.value_grad_hess(scores, targets),
    )
