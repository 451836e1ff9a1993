# SPDX-License-Identifier: BSD-3-Clause
"""Who is measured: a table of implementations.

An implementation takes a problem and an operation and returns a function without arguments that does the work and
returns ``(value, gradient, hessian)`` as far as the operation goes; or None where it has nothing for that loss.
``out`` in the name of an operation: the results go into the arrays of the problem. All run on one thread.
"""

import dataclasses
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

import fastloss
from fastloss import _core, reference

from .problems import Problem

Work = Callable[[], tuple[Any, ...]]
Implementation = Callable[[Problem, str], Work | None]


def _methods(loss: Any, problem: Problem, operation: str) -> Work:
    """The three methods of a loss, ours or the reference's."""
    scores, targets, gradient, hessian = problem.scores, problem.targets, problem.gradient, problem.hessian
    match operation:
        case "value":
            return lambda: (loss(scores, targets),)
        case "value_and_grad":
            return lambda: loss.value_and_grad(scores, targets)
        case "value_and_grad(out)":
            return lambda: loss.value_and_grad(scores, targets, out=gradient)
        case _:
            return lambda: loss.value_grad_hess(scores, targets, out=gradient, hess_out=hessian)


def _fastloss(isa: str) -> Implementation:
    def implementation(problem: Problem, operation: str) -> Work:
        fastloss.set_num_threads(1)
        _core.use_isa(isa)
        return _methods(problem.loss, problem, operation)

    return implementation


def _reference(problem: Problem, operation: str) -> Work:
    definition = getattr(reference, type(problem.loss).__name__)
    options = {field.name: getattr(problem.loss, field.name) for field in dataclasses.fields(problem.loss)}
    return _methods(definition(**options), problem, operation)


def _scipy(problem: Problem, operation: str) -> Work | None:
    """What people write with SciPy: stable functions, one temporary each."""
    from scipy import special

    z, t = problem.scores, problem.targets
    rows = np.arange(len(z))

    def softmax_value() -> Any:
        return np.mean(special.logsumexp(z, axis=1) - z[rows, t], dtype=np.float64)

    def softmax_gradient() -> Any:
        p = special.softmax(z, axis=1)
        p[rows, t] -= 1
        p /= len(z)
        return p

    def sigmoid_value() -> Any:
        return -np.mean(t * special.log_expit(z) + (1 - t) * special.log_expit(-z), dtype=np.float64)

    def sigmoid_gradient() -> Any:
        return (special.expit(z) - t) / z.size

    match type(problem.loss).__name__, operation:
        case "SoftmaxCrossEntropy", "value":
            return lambda: (softmax_value(),)
        case "SoftmaxCrossEntropy", "value_and_grad":
            return lambda: (softmax_value(), softmax_gradient())
        case "SigmoidCrossEntropy", "value":
            return lambda: (sigmoid_value(),)
        case "SigmoidCrossEntropy", "value_and_grad":
            return lambda: (sigmoid_value(), sigmoid_gradient())
    return None


def _scikit_learn(problem: Problem, operation: str) -> Work | None:
    """The losses inside its gradient boosting and linear models; losses and gradients are per sample."""
    from sklearn._loss import HalfBinomialLoss, HalfMultinomialLoss

    scores, dtype = problem.scores, problem.scores.dtype
    match type(problem.loss).__name__:
        case "SoftmaxCrossEntropy":
            loss = HalfMultinomialLoss(n_classes=scores.shape[1])
            z, gradient, hessian = scores, problem.gradient, problem.hessian
            samples = len(scores)
        case "SigmoidCrossEntropy":
            loss = HalfBinomialLoss()
            z, gradient, hessian = scores.ravel(), problem.gradient.ravel(), problem.hessian.ravel()
            samples = scores.size
        case _:
            return None
    targets = problem.targets.ravel().astype(dtype)
    losses = np.empty(samples, dtype)

    def value_and_grad(gradient_out: Any) -> tuple[Any, ...]:
        # HalfMultinomialLoss wants the class index as a number of the scores' type.
        _, g = loss.loss_gradient(targets, z, loss_out=losses, gradient_out=gradient_out, n_threads=1)
        g /= samples
        return losses.mean(dtype=np.float64), g

    def value_grad_hess() -> tuple[Any, ...]:
        value = loss.loss(targets, z, loss_out=losses, n_threads=1).mean(dtype=np.float64)
        g, h = loss.gradient_hessian(targets, z, gradient_out=gradient, hessian_out=hessian, n_threads=1)
        g /= samples
        h /= samples
        return value, g, h

    match operation:
        case "value":
            return lambda: (loss.loss(targets, z, loss_out=losses, n_threads=1).mean(dtype=np.float64),)
        case "value_and_grad":
            return lambda: value_and_grad(None)
        case "value_and_grad(out)":
            return lambda: value_and_grad(gradient)
    return value_grad_hess


def _pytorch_loss(loss: Any, classes: int) -> Any:
    from torch.nn import functional

    match type(loss).__name__:
        case "SoftmaxCrossEntropy":
            return functional.cross_entropy
        case "SigmoidCrossEntropy":
            return functional.binary_cross_entropy_with_logits
        case "MulticlassHinge" if loss.form == "weston-watkins":
            # it divides by the number of classes
            return lambda z, t: classes * functional.multi_margin_loss(z, t, p=loss.power, margin=loss.margin)
    return None


def _pytorch(problem: Problem, operation: str) -> Work | None:
    import torch

    torch.set_num_threads(1)
    z: Any = torch.from_numpy(problem.scores)
    t: Any = torch.from_numpy(problem.targets)
    loss = _pytorch_loss(problem.loss, z.shape[1])
    if loss is None:
        return None

    def value() -> tuple[Any, ...]:
        with torch.no_grad():
            return (loss(z, t).item(),)

    def value_and_grad() -> tuple[Any, ...]:
        leaf = z.detach().requires_grad_()
        result = loss(leaf, t)
        result.backward()
        return result.item(), leaf.grad.numpy()

    return {"value": value, "value_and_grad": value_and_grad}.get(operation)


def _table() -> dict[str, Implementation]:
    table: dict[str, Implementation] = {f"fastloss {isa}": _fastloss(isa) for isa in _core.isas()}
    table["reference"] = _reference
    rivals = {"scipy": _scipy, "sklearn": _scikit_learn, "torch": _pytorch}
    return table | {name: rivals[name] for name in rivals if importlib.util.find_spec(name)}


IMPLEMENTATIONS = _table()
