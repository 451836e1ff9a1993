# SPDX-License-Identifier: BSD-3-Clause
"""Every loss of the reference with its options, and samples for each: few, small, and away from kinks."""

import itertools
from dataclasses import fields
from typing import Literal, get_args, get_origin

import numpy as np

from fastloss.reference.options import examples

SAMPLES = (2, 3)
CLASSES = 4

# Values of options that are not finite sets, none the neutral one except the first, where their definition names none.
# An entry for one class goes first.
OPTIONS = {
    "axis": (-1, 0, 1),
    "class_weight": (None, (0.5, 2.0, 0.0, 1.25)),
    "delta": (1.0, 0.3),
    "focal_alpha": (None, 0.25),
    "focal_gamma": (0.0, 2.0, 0.7),
    "ignore_index": (None, 1, -100),
    "SigmoidCrossEntropy.ignore_index": (None, -1),
    "label_smoothing": (0.0, 0.3, 1.0),
    "log_input": (True, False),
    "logit_cap": (None, 3.0),
    "margin": (1.0, 0.3, 0.0),
    "MulticlassHinge.margin": (
        1.0,
        (0.3, 0.0, 1.0, 2.0),
        ((0.0, 1.0, 0.3, 2.0), (0.5, 0.0, 0.7, 0.0), (1.0, 3.0, 0.0, 0.1), (0.2, 0.6, 1.5, 0.0)),
    ),
    "pos_weight": (None, 3.0, (0.5, 0.0, 1.0, 2.5)),
    "temperature": (1.0, 0.7),
    "z_loss": (0.0, 0.2),
}


def choices_of(kind):
    """Return the values to test of each option of a loss but the reduction."""
    return {
        field.name: get_args(field.type)
        if get_origin(field.type) is Literal
        else OPTIONS.get(f"{kind.__name__}.{field.name}") or OPTIONS.get(field.name) or examples(kind, field.name)
        for field in fields(kind)
        if field.name != "reduction"
    }


def pairwise(choices):
    """Combinations of options in which every two values of two options meet: far fewer than all combinations."""
    names = tuple(choices)
    every = [
        (values, {*itertools.combinations(zip(names, map(repr, values), strict=True), min(2, len(names)))})
        for values in itertools.product(*choices.values())
    ]
    missing = set().union(*(pairs for _, pairs in every))
    chosen = [every[0]]
    missing -= every[0][1]
    while missing:
        best = max(every, key=lambda entry: len(entry[1] & missing))
        chosen.append(best)
        missing -= best[1]
    return [dict(zip(names, values, strict=True)) for values, _ in chosen]


def losses_of(module):
    """Return every concrete loss of a module."""
    found = (getattr(module, name) for name in sorted(module.__all__))
    return [
        kind
        for kind in found
        if isinstance(kind, type) and issubclass(kind, module.Loss) and getattr(kind, "target_kind", None)
    ]


def definitions(module):
    """Return every concrete loss with options in pairs, and the reduction that hides nothing."""
    return [kind(**options, reduction="none") for kind in losses_of(module) for options in pairwise(choices_of(kind))]


def forms(loss):
    """Return the forms in which the targets of a loss may come."""
    return ("indices", "probabilities", "pair") if type(loss).__name__ == "SoftmaxCrossEntropy" else ("",)


def make(loss, seed, form=None):
    """Return scores and targets for a loss, more than `GAP` away from its kinks."""
    random = np.random.default_rng(seed)
    while True:
        z, targets = _draw(loss, random, form or forms(loss)[0])
        if _distance_to_kinks(loss, z, targets) > GAP:
            return z, targets


GAP = 0.02


def _draw(loss, random, form):
    shape = (*SAMPLES, CLASSES)
    z = random.normal(scale=1.5, size=shape)
    kind, name = loss.target_kind, type(loss).__name__
    if name == "BinaryCrossEntropy":
        z = random.uniform(0.2, 0.8, size=shape)
    elif getattr(loss, "log_input", True) is False:
        z = np.exp(z / 4)
    elif getattr(loss, "inputs", "") == "probabilities":
        z = np.exp(z / 4) / np.exp(z / 4).sum(axis=-1, keepdims=True)
    if kind in {"class index", "distribution"}:
        z = np.moveaxis(z, -1, loss.axis)
        targets = _row_targets(loss, random, form or ("probabilities" if kind == "distribution" else "indices"))
        return z, targets
    targets = {
        "probability": random.choice([0.0, 1.0, 0.5, 0.1, 0.98], size=shape),
        "sign": random.choice([-1, 0, 1], size=shape),
        "number": random.normal(size=shape),
        "count": random.poisson(1.5, size=shape) * random.choice([1.0, 0.7], size=shape),
        "number and variance": (random.normal(size=shape), random.uniform(0.5, 3, size=shape)),
    }[kind]
    if getattr(loss, "ignore_index", None) is not None:
        targets[0, 0, 1] = targets[1, 2, 3] = loss.ignore_index
    return z, targets


def _row_targets(loss, random, form):
    ignored = getattr(loss, "ignore_index", None)
    if form == "probabilities":
        t = random.uniform(size=(*SAMPLES, CLASSES))
        t[0, 1] = [0, 1, 0, 0]
        t[1, 0] = [0.5, 0, 0.25, 0]
        return np.moveaxis(t, -1, loss.axis)
    if form == "pair":
        indices = random.integers(0, CLASSES, size=(*SAMPLES, 3))
        if ignored is not None:
            indices[0, 1] = indices[1, 1, 2] = ignored
        return indices, random.uniform(size=indices.shape)
    y = random.integers(0, CLASSES, size=SAMPLES)
    y[0, 0], y[1, 1] = 2, 0
    if ignored is not None:
        y[0, 1] = ignored
    return y


def _distance_to_kinks(loss, z, targets):
    name = type(loss).__name__
    if name == "MulticlassHinge":
        rows, (y, _), _ = loss.check(z, targets)
        d = np.sort(loss.violations(rows, y), axis=-1)[..., 1:]  # without the target's
        return min(np.abs(d).min(), np.diff(d).min())
    if name == "Hinge":
        return np.abs(loss.violations(z, np.where(targets > 0, 1, -1))).min()
    if name == "Huber":
        return np.abs(np.abs(z - targets) - loss.delta).min()
    if loss.target_kind == "number":
        return np.abs(z - targets).min()
    return np.inf
