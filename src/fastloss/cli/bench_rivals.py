# SPDX-License-Identifier: BSD-3-Clause
"""Who else is measured by ``fastloss bench``, each as its own users would write it.

Nothing here is imported before a row asks for it. All return the mean over the samples, and what derives from it.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np

from fastloss import Loss, reference
from fastloss.cli.bench_rows import Problem

__all__ = ["RIVALS", "Rival"]

Call: TypeAlias = Callable[[], tuple[Any, ...]]


@dataclass(frozen=True)
class Rival:
    """Another way to compute a loss.

    Attributes
    ----------
    name : str
        On the command line and at the head of a column.
    packages : tuple of (str, str)
        What it needs: names to import and to install.
    prepare : callable
        From a problem and a number of threads to what does it once; None where there is nothing of the kind.
    """

    name: str
    packages: tuple[tuple[str, str], ...]
    prepare: Callable[[Problem, int], Call | None]

    def versions(self) -> str | None:
        """Return the versions of its packages, or None if one is missing."""
        found = []
        for module, package in self.packages:
            try:
                if find_spec(module) is None:
                    return None
                found.append(f"{package} {version(package)}")
            except (ImportError, PackageNotFoundError, ValueError):  # a module may be there and yet hidden
                return None
        return ", ".join(found)


def _numpy(problem: Problem, threads: int) -> Call:
    """Return the definitions of the reference: plain NumPy, in float64."""
    axis = problem.row.axis
    z, t, operation = np.moveaxis(problem.scores, axis, -1), problem.targets, problem.row.operation
    if isinstance(problem.work, str):
        function = getattr(reference, problem.work)
        return lambda: (function(z),)
    definition = getattr(reference, type(problem.work).__name__)
    options = {field.name: getattr(problem.work, field.name) for field in fields(problem.work) if field.name != "axis"}
    loss = definition(**options)
    if operation == "value":
        return lambda: (loss(z, t),)
    method = loss.value_and_grad if operation == "value+grad" else loss.value_grad_hess

    def derivatives() -> tuple[Any, ...]:
        value, *arrays = method(z, t)
        return value, *(np.moveaxis(array, -1, axis) for array in arrays)

    return derivatives


def _scipy(problem: Problem, threads: int) -> Call | None:
    """Return what is written with its stable functions, in the precision of the scores."""
    special: Any = import_module("scipy.special")
    z, t, axis, operation = problem.scores, problem.targets, problem.row.axis, problem.row.operation
    if isinstance(problem.work, str):
        function = getattr(special, problem.work)
        return lambda: (function(z, axis=axis),)

    def softmax() -> tuple[Any, ...]:
        target = np.expand_dims(t, axis)
        logarithms = special.log_softmax(z, axis=axis)
        value = -np.take_along_axis(logarithms, target, axis).mean(dtype=np.float64)
        if operation == "value":
            return (value,)
        p = np.exp(logarithms, out=logarithms)
        hessian = p * (1 - p) / t.size if operation == "value+grad+hessian" else None
        np.put_along_axis(p, target, np.take_along_axis(p, target, axis) - 1, axis)
        p /= t.size
        return (value, p) if hessian is None else (value, p, hessian)

    def sigmoid() -> tuple[Any, ...]:
        value = -np.mean(t * special.log_expit(z) + (1 - t) * special.log_expit(-z), dtype=np.float64)
        p = special.expit(z)
        return value, (p - t) / z.size

    return {"SoftmaxCrossEntropy": softmax, "SigmoidCrossEntropy": sigmoid}.get(problem.formula)


def _scikit_learn(problem: Problem, threads: int) -> Call | None:
    """Return the losses inside its gradient boosting and linear models, into arrays that are there."""
    z, operation = problem.scores, problem.row.operation
    if problem.formula not in ("SoftmaxCrossEntropy", "SigmoidCrossEntropy"):
        return None
    if not z.flags.c_contiguous or z.ndim > 2:
        return None
    losses: Any = import_module("sklearn._loss")
    loss = losses.HalfMultinomialLoss(n_classes=z.shape[1]) if problem.rowwise else losses.HalfBinomialLoss()
    # A class index is a number of the scores' type there.
    inputs = {"y_true": problem.targets.astype(z.dtype), "raw_prediction": z, "n_threads": threads}
    each = np.empty(problem.targets.shape, z.dtype)
    gradient, count = problem.out, len(each)
    hessian: Any = problem.hess_out

    def value() -> tuple[Any, ...]:
        return (loss.loss(**inputs, loss_out=each).mean(dtype=np.float64),)

    def value_and_grad() -> tuple[Any, ...]:
        loss.loss_gradient(**inputs, loss_out=each, gradient_out=gradient)
        return each.mean(dtype=np.float64), np.divide(gradient, count, out=gradient)

    def value_grad_hess() -> tuple[Any, ...]:
        loss.gradient_hessian(**inputs, gradient_out=gradient, hessian_out=hessian)
        return *value(), np.divide(gradient, count, out=gradient), np.divide(hessian, count, out=hessian)

    calls: dict[str, Call] = {"value": value, "value+grad": value_and_grad, "value+grad+hessian": value_grad_hess}
    return calls[operation]


def _torch(problem: Problem, threads: int) -> Call | None:
    return _torch_call(problem, threads, compiled=False)


def _torch_compiled(problem: Problem, threads: int) -> Call | None:
    return _torch_call(problem, threads, compiled=True)


def _torch_call(problem: Problem, threads: int, *, compiled: bool) -> Call | None:
    torch: Any = import_module("torch")
    torch.set_num_threads(threads)
    if compiled:
        torch.compiler.reset()  # it gives up after some shapes of one function
    # In its images classes are axis 1, as in a matrix.
    if problem.rowwise and problem.scores.ndim > 2 and problem.row.axis != 1:
        scores = np.moveaxis(problem.scores, -1, 0)[None]
        targets = problem.targets[None]
    else:
        scores, targets = problem.scores, problem.targets
    z, t, out = torch.from_numpy(scores), torch.from_numpy(targets), torch.from_numpy(problem.out)

    def finish(function: Any) -> Any:
        return torch.compile(function, dynamic=False) if compiled else function

    if isinstance(problem.work, str):
        function = getattr(torch, problem.work)
        if compiled or problem.work == "logsumexp":
            mapped = finish(lambda z: function(z, 1))
            return lambda: (mapped(z),)
        return lambda: (function(z, 1, out=out),)
    if problem.row.operation == "value+grad+hessian":
        derivatives = finish(_torch_softmax_derivatives(torch))
        return (lambda: derivatives(z, t)) if problem.formula == "SoftmaxCrossEntropy" else None
    formula = _torch_formula(torch, problem, compiled)
    loss = finish(formula)

    def value() -> tuple[Any, ...]:
        with torch.no_grad():
            return (loss(z, t).item(),)

    def value_and_grad() -> tuple[Any, ...]:
        leaf = z.detach().requires_grad_()
        result = loss(leaf, t)
        (gradient,) = torch.autograd.grad(result, leaf)
        return result.item(), gradient if scores is problem.scores else gradient[0].movedim(0, -1)

    return value if problem.row.operation == "value" else value_and_grad


def _torch_formula(torch: Any, problem: Problem, compiled: bool) -> Callable[[Any, Any], Any]:
    functional: Any = import_module("torch.nn.functional")
    margin, power = getattr(problem.work, "margin", 1.0), getattr(problem.work, "power", 1)
    classes = problem.scores.shape[-1]

    def weston_watkins(z: Any, t: Any) -> Any:
        # It divides by the number of classes.
        return classes * functional.multi_margin_loss(z, t, p=power, margin=margin)

    def fusible_weston_watkins(z: Any, t: Any) -> Any:
        d = z - z.gather(1, t[:, None]) + margin
        return (d.clamp_min(0) ** power).sum(1).mean() - margin**power  # the target is one of them

    def crammer_singer(z: Any, t: Any) -> Any:
        target = t[:, None]
        margins = torch.full_like(z, margin).scatter(1, target, 0.0)
        return (((z + margins).max(1).values - z.gather(1, target)[:, 0]) ** power).mean()

    formulas: dict[str, Callable[[Any, Any], Any]] = {
        "SoftmaxCrossEntropy": functional.cross_entropy,
        "SigmoidCrossEntropy": functional.binary_cross_entropy_with_logits,
        "weston-watkins": fusible_weston_watkins if compiled else weston_watkins,
        "crammer-singer": crammer_singer,
    }
    return formulas[problem.formula]


def _torch_softmax_derivatives(torch: Any) -> Callable[[Any, Any], tuple[Any, ...]]:
    def derivatives(z: Any, t: Any) -> tuple[Any, ...]:
        target = t[:, None]
        logarithms = torch.log_softmax(z, 1)
        p = logarithms.exp()
        value = -logarithms.gather(1, target).mean()
        gradient = p.scatter_add(1, target, torch.full_like(target, -1, dtype=p.dtype)) / len(z)
        return value, gradient, p * (1 - p) / len(z)

    return derivatives


def _start_jax(threads: int) -> Any:
    """Import JAX for a number of threads, which it asks for once; None if it has another."""
    if "jax" not in sys.modules:
        os.environ["JAX_PLATFORMS"] = "cpu"
        os.environ["NPROC"] = str(threads)
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # it tells users when compiling takes long
        if threads == 1:
            flags = os.environ.get("XLA_FLAGS", "")
            os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    elif os.environ.get("NPROC") != str(threads):
        return None
    jax: Any = import_module("jax")
    jax.config.update("jax_enable_x64", True)
    return jax


def _jax(problem: Problem, threads: int) -> Call | None:
    """Return the formulas of optax, or their like, compiled for this shape."""
    operation, axis = problem.row.operation, problem.row.axis
    # Its arrays lie in C order and no other.
    jax = _start_jax(threads) if problem.scores.flags.c_contiguous else None
    if jax is None:
        return None
    jnp: Any = import_module("jax.numpy")
    z, t = jax.device_put(problem.scores), jax.device_put(problem.targets)
    if isinstance(problem.work, str):
        named = getattr(jax.nn, problem.work)
        function = jax.jit(lambda z: named(z, axis=axis))
        return lambda: (jax.block_until_ready(function(z)),)
    formula = _jax_formula(jnp, problem)

    def value_grad_hess(z: Any, t: Any) -> tuple[Any, ...]:
        value, gradient = jax.value_and_grad(formula)(z, t)
        p = jax.nn.softmax(z, axis=axis)
        return value, gradient, p * (1 - p) / t.size

    if operation == "value":
        value = jax.jit(formula)
        return lambda: (jax.block_until_ready(value(z, t)),)
    if operation == "value+grad+hessian" and problem.formula != "SoftmaxCrossEntropy":
        return None
    derivatives = jax.jit(jax.value_and_grad(formula) if operation == "value+grad" else value_grad_hess)
    return lambda: jax.block_until_ready(derivatives(z, t))


def _jax_formula(jnp: Any, problem: Problem) -> Callable[[Any, Any], Any]:
    optax: Any = import_module("optax")
    axis = problem.row.axis
    margin, power = getattr(problem.work, "margin", 1.0), getattr(problem.work, "power", 1)

    def softmax(z: Any, t: Any) -> Any:
        return optax.losses.softmax_cross_entropy_with_integer_labels(z, t, axis=axis).mean()

    def sigmoid(z: Any, t: Any) -> Any:
        return optax.losses.sigmoid_binary_cross_entropy(z, t).mean()

    def differences(z: Any, t: Any) -> Any:
        others = jnp.arange(z.shape[1]) != t[:, None]
        return z - jnp.take_along_axis(z, t[:, None], axis=1) + jnp.where(others, margin, 0).astype(z.dtype), others

    def weston_watkins(z: Any, t: Any) -> Any:
        d, others = differences(z, t)
        return jnp.where(others, jnp.maximum(d, 0) ** power, 0).sum(1).mean()

    def crammer_singer(z: Any, t: Any) -> Any:
        d, _ = differences(z, t)
        return (d.max(1) ** power).mean()

    return {
        "SoftmaxCrossEntropy": softmax,
        "SigmoidCrossEntropy": sigmoid,
        "weston-watkins": weston_watkins,
        "crammer-singer": crammer_singer,
    }[problem.formula]


def _numba(problem: Problem, threads: int) -> Call | None:
    """Return the loops of a textbook, compiled."""
    z, t, out, operation = problem.scores, problem.targets, problem.out, problem.row.operation
    loops = {
        "SoftmaxCrossEntropy": _softmax_loop,
        "SigmoidCrossEntropy": _sigmoid_loop,
        "weston-watkins": _weston_watkins_loop,
    }
    if problem.formula not in loops or threads != 1 or not z.flags.c_contiguous or z.ndim > 2:
        return None
    if operation not in ("value", "value+grad"):
        return None
    loop = import_module("numba").njit(loops[problem.formula], fastmath=True, error_model="numpy")
    if isinstance(problem.work, Loss) and problem.formula == "weston-watkins":
        margin, power = z.dtype.type(getattr(problem.work, "margin", 1.0)), getattr(problem.work, "power", 1)
        return lambda: (loop(z, t, margin, power, out), out)
    if problem.formula == "SigmoidCrossEntropy":
        return lambda: (loop(z, t, out), out)
    if operation == "value":
        empty = np.empty((0, z.shape[1]), z.dtype)
        return lambda: (loop(z, t, empty),)
    return lambda: (loop(z, t, out), out)


# Numbers of the loops have the scores' type: a number of another would make all of a formula float64.


def _softmax_loop(z: Any, t: Any, g: Any) -> Any:
    real = z.dtype.type
    samples, classes = z.shape
    total = 0.0
    for i in range(samples):
        largest = z[i, 0]
        for j in range(1, classes):
            largest = max(largest, z[i, j])
        summed = real(0)
        if len(g) == 0:
            for j in range(classes):
                summed += np.exp(z[i, j] - largest)
        else:
            for j in range(classes):
                g[i, j] = np.exp(z[i, j] - largest)
                summed += g[i, j]
            factor = real(1 / (summed * samples))
            for j in range(classes):
                g[i, j] *= factor
            g[i, t[i]] -= real(1 / samples)
        total += np.log(summed) + (largest - z[i, t[i]])
    return total / samples


def _sigmoid_loop(z: Any, t: Any, g: Any) -> Any:
    real = z.dtype.type
    zero, one, share = real(0), real(1), real(1 / len(z))
    total = 0.0
    for i in range(len(z)):
        u = np.exp(-abs(z[i]))
        p = (one if z[i] >= zero else u) / (one + u)
        total += max(z[i], zero) - z[i] * t[i] + np.log1p(u)
        g[i] = (p - t[i]) * share
    return total / len(z)


def _weston_watkins_loop(z: Any, t: Any, margin: Any, power: int, g: Any) -> Any:
    real = z.dtype.type
    samples, classes = z.shape
    zero, share, double = real(0), real(1 / samples), real(2 / samples)
    total = 0.0
    for i in range(samples):
        shift = margin - z[i, t[i]]
        loss = slope = zero
        for j in range(classes):
            d = max(shift + z[i, j], zero)
            if j == t[i]:
                d = zero
            loss += d if power == 1 else d * d
            g[i, j] = double * d if power == 2 else share if d > zero else zero
            slope += g[i, j]
        g[i, t[i]] = -slope
        total += loss
    return total / samples


RIVALS = (
    Rival("numpy", (("numpy", "numpy"),), _numpy),
    Rival("scipy", (("scipy", "scipy"),), _scipy),
    Rival("sklearn", (("sklearn", "scikit-learn"),), _scikit_learn),
    Rival("torch", (("torch", "torch"),), _torch),
    Rival("compile", (("torch", "torch"),), _torch_compiled),
    Rival("jax", (("jax", "jax"), ("optax", "optax")), _jax),
    Rival("numba", (("numba", "numba"),), _numba),
)
