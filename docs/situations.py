# SPDX-License-Identifier: BSD-3-Clause
"""The situations of the page "What happens when": how each changes a problem of two samples, mostly the second.

A situation is a function of a problem that returns another, or None where it makes no sense. The target of the second
sample is class 1, probability 1 or number 2; of a distribution, nothing of it is on class 0.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

import fastloss as fl

INF, NAN = np.inf, np.nan
Situation = Callable[[Any], Any]


def _given(**changes: Any) -> Situation:
    """Change arguments of the call, or options if the loss has all of them."""

    def change(p: Any) -> Any:
        names = set(changes) - {"sample_weight", "out", "scores", "targets"}
        return p.but(**changes) if all(map(p.has, names)) else None

    return change


def _then(*changes: Situation) -> Situation:
    def change(p: Any) -> Any:
        for one in changes:
            p = p and one(p)
        return p

    return change


def _row(**at: float) -> Situation:
    """Set scores of the second row: at the target, at another class, or all."""

    def change(p: Any) -> Any:
        if not p.rowwise:
            return None
        scores = p.scores.copy()
        for place, value in at.items():
            scores[1, {"every": slice(None), "target": 1, "other": 0}[place]] = value
        return p.but(scores=scores)

    return change


def _element(score: Any, targets: dict[str, Any] | None = None) -> Situation:
    """Set the second score, or make it its target, and maybe the target by its kind."""

    def change(p: Any) -> Any:
        if p.rowwise or (targets is not None and p.form not in targets):
            return None
        scores = p.scores.copy()
        scores[1] = (p.targets[0] if isinstance(p.targets, tuple) else p.targets)[1] if score == "target" else score
        p = p.but(scores=scores)
        return p if targets is None else _target(targets)(p)

    return change


def _poisoned(p: Any) -> Any:
    scores = p.scores.copy()
    scores[1] = NAN
    return p.but(scores=scores)


def _target(by_form: dict[str, Any]) -> Situation:
    """Set the second target to what is said for its form."""

    def change(p: Any) -> Any:
        if p.form not in by_form:
            return None
        value = by_form[p.form]
        if isinstance(p.targets, tuple):
            first, second = (np.array(part) for part in p.targets)
            first[1], second[1] = value
            return p.but(targets=(first, second))
        dtype = None if isinstance(value, int) else np.result_type(p.targets, np.asarray(value).dtype)
        targets = np.array(p.targets, dtype=dtype)
        targets[1] = value
        return p.but(targets=targets)

    return change


def _targets(forms: str, change: Callable[[Any], Any]) -> Situation:
    """Make other targets of all, if they are of one of these forms."""
    chosen = {"index": {"class index"}, "rows": {"distribution"}, "pair": {"pair"}, "variance": {"number and variance"}}
    chosen["element"] = {"probability", "sign", "number", "count"}
    return lambda p: p.but(targets=change(p.targets)) if p.form in chosen[forms] else None


def _classes(count: int) -> Situation:
    """Take away classes."""

    def change(p: Any) -> Any:
        if not p.rowwise:
            return None
        targets = {
            "class index": np.zeros(2, int),
            "distribution": np.ones((2, count)),
            "pair": (np.zeros((2, 1), int), np.ones((2, 1))),
        }[p.form]
        return p.but(scores=p.scores[:, :count].copy(), targets=targets)

    return change


def _nobody(p: Any) -> Any:
    none = tuple(part[:0] for part in p.targets) if isinstance(p.targets, tuple) else p.targets[:0]
    return p.but(scores=p.scores[:0], targets=none)


def _all_of_class(label: int) -> Situation:
    def change(p: Any) -> Any:
        if p.form == "pair":
            return p.but(targets=(np.full((2, 2), label), p.targets[1]))
        return p.but(targets=np.full_like(p.targets, label)) if p.form in {"class index", "probability"} else None

    return change


def _labelled(label: int, forms: tuple[str, ...] = ("class index", "pair", "probability")) -> Situation:
    by_form = {"class index": label, "pair": ([label, label], [0.5, 0.5]), "probability": float(label)}
    return _target({form: by_form[form] for form in forms})


_LABELS = ("class index", "pair")


_OUT_OF_RANGE = {
    "class index": 7,
    "distribution": [0, -1, 0],
    "pair": ([7, 7], [0.5, 0.5]),
    "probability": 2.0,
    "sign": 5.0,
    "count": -1.0,
    "number and variance": (2.0, -1.0),
}
_LOW = {"probability": 0.0, "sign": -1.0, "number": 0.0, "count": 0.0, "number and variance": (0.0, 4.0)}

_WEIGHTS: dict[str, Situation] = {
    "no weights": lambda p: p,
    "weights 1 and 3": _given(sample_weight=[1, 3]),
    "one weight, 3": _given(sample_weight=3),
    "weight 0": _given(sample_weight=[1, 0]),
    "weight 0, scores NaN": _then(_poisoned, _given(sample_weight=[1, 0])),
    "weight 0, target out of range": _then(_target(_OUT_OF_RANGE), _given(sample_weight=[1, 0])),
    "weight -3": _given(sample_weight=[1, -3]),
    "weights 1 and -1": _given(sample_weight=[1, -1]),
    "both weights 0": _given(sample_weight=[0, 0]),
    "weight NaN": _given(sample_weight=[1, NAN]),
    "weight +∞": _given(sample_weight=[1, INF]),
    "weights of 1e-310": _given(sample_weight=[1e-310, 1e-310]),
    "three weights": _given(sample_weight=[1, 2, 3]),
    "weights of shape (2, 1)": _given(sample_weight=[[1], [3]]),
    "weights are text": _given(sample_weight=["1", "3"]),
    "``class_weight`` 3": _given(class_weight=(1, 3, 1)),
    "``class_weight`` 0, scores NaN": _then(_poisoned, _given(class_weight=(1, 0, 0))),
    "``class_weight`` 3, weight 2": _given(class_weight=(1, 3, 1), sample_weight=[1, 2]),
    "two class weights for three classes": _given(class_weight=(1, 3)),
    "target is ``ignore_index``": _then(_labelled(1), _given(ignore_index=1)),
    "ignored, scores NaN": _then(_labelled(1), _poisoned, _given(ignore_index=1)),
    "one entry of the target is ``ignore_index``": _then(
        _target({"pair": ([1, 2], [0.5, 0.5])}), _given(ignore_index=1)
    ),
    "``ignore_index``, targets are probabilities": _then(_targets("rows", lambda t: t), _given(ignore_index=1)),
    "``ignore_index`` outside the range": _then(_labelled(-100), _given(ignore_index=-100)),
    "all ignored": _then(_all_of_class(1), _given(ignore_index=1)),
    "no samples": _nobody,
}

_SCORES: dict[str, Situation] = {
    "as they are": lambda p: p,
    "all equal": _row(every=0.0),
    "target ahead by 1": _row(every=0.0, target=1.0),
    "target ahead by 40": _row(every=0.0, target=40.0),
    "target ahead by 1e308": _row(every=0.0, target=1e308),
    "target behind by 1e308": _row(every=0.0, target=-1e308),
    "-∞ at a class of no part in the target": _row(other=-INF),
    "-∞ at the target": _row(target=-INF),
    "-∞ at every class": _row(every=-INF),
    "+∞ at the target": _row(target=INF),
    "+∞ at another class": _row(other=INF),
    "+∞ at both": _row(target=INF, other=INF),
    "+∞ at the target, -∞ at another": _row(target=INF, other=-INF),
    "NaN at the target": _row(target=NAN),
    "NaN at another class": _row(other=NAN),
    "one class": _classes(1),
    "no class": _classes(0),
    "score equal to the target": _element("target"),
    "score 0": _element(0.0),
    "score 1": _element(1.0),
    "score -1": _element(-1.0),
    "score 40": _element(40.0),
    "score 1e308": _element(1e308),
    "score -1e308": _element(-1e308),
    "score +∞": _element(INF),
    "score -∞": _element(-INF),
    "score NaN": _element(NAN),
    "target low, score 0": _element(0.0, _LOW),
    "target low, score 1": _element(1.0, _LOW),
    "target low, score +∞": _element(INF, _LOW),
    "target low, score -∞": _element(-INF, _LOW),
    "target +∞, score +∞": _element(INF, {"number": INF, "count": INF, "number and variance": (INF, 1.0)}),
}

_TARGETS: dict[str, Situation] = {
    "label 3 of 3 classes": _labelled(3, _LABELS),
    "label -1": _labelled(-1, _LABELS),
    "label -100, no ``ignore_index``": _labelled(-100, _LABELS),
    "labels of uint8": _targets("index", lambda t: t.astype(np.uint8)),
    "labels are floats": _targets("index", lambda t: t.astype(float)),
    "labels are booleans": _targets("index", lambda t: t.astype(bool)),
    "labels are a list": _targets("index", lambda t: t.tolist()),
    "one label for all": _targets("index", lambda t: 1),
    "labels of shape (2, 1)": _targets("index", lambda t: t[:, None]),
    "three labels": _targets("index", lambda t: np.array([0, 1, 2])),
    "an array one-hot": _targets("index", lambda t: np.eye(3)[t]),
    "one-hot, of integers": _targets("index", lambda t: np.eye(3, dtype=int)[t]),
    "one-hot": _target({"distribution": [0.0, 1.0, 0.0], "pair": ([1, 0], [1.0, 0.0])}),
    "probabilities sum to 2": _target({"distribution": [0.0, 1.0, 1.0], "pair": ([1, 2], [1.0, 1.0])}),
    "probabilities all 0": _target({"distribution": [0.0, 0.0, 0.0], "pair": ([1, 2], [0.0, 0.0])}),
    "a class named twice": _target({"pair": ([1, 1], [0.5, 0.5])}),
    "a negative probability": _target({"distribution": [-0.5, 1.0, 0.5], "pair": ([1, 2], [-0.5, 0.5])}),
    "a probability NaN": _target({"distribution": [NAN, 0.5, 0.5], "pair": ([1, 2], [NAN, 0.5])}),
    "a probability +∞": _target({"distribution": [INF, 0.5, 0.5], "pair": ([1, 2], [INF, 0.5])}),
    "probabilities of booleans": _targets("rows", lambda t: t > 0.3),
    "probabilities of integers": _targets("rows", lambda t: (t > 0.3).astype(int)),
    "probabilities of shape (1, 3)": _targets("rows", lambda t: t[:1]),
    "probabilities of shape (2, 2)": _targets("rows", lambda t: t[:, :2]),
    "indices and probabilities of other shapes": _targets("pair", lambda t: (t[0], t[1][:, :1])),
    "a pair with indices of floats": _targets("pair", lambda t: (t[0].astype(float), t[1])),
    "a pair for one sample": _targets("pair", lambda t: (t[0][:1], t[1][:1])),
    "a pair for losses of one array": _targets("rows", lambda t: (np.array([[0], [1]]), np.array([[1.0], [1.0]]))),
    "target 0.5": _target(dict.fromkeys(("probability", "sign", "number", "count"), 0.5)),
    "target 0": _target(dict.fromkeys(("probability", "sign", "number", "count"), 0.0)),
    "target -1": _target(dict.fromkeys(("probability", "sign", "number", "count"), -1.0)),
    "target 2": _target(dict.fromkeys(("probability", "sign", "number", "count"), 2.0)),
    "target NaN": _target(
        dict.fromkeys(("probability", "sign", "number", "count"), NAN) | {"number and variance": (NAN, 1)}
    ),
    "target +∞": _target(
        dict.fromkeys(("probability", "sign", "number", "count"), INF) | {"number and variance": (INF, 1)}
    ),
    "variance 0": _target({"number and variance": (2.0, 0.0)}),
    "variance -1": _target({"number and variance": (2.0, -1.0)}),
    "variance NaN": _target({"number and variance": (2.0, NAN)}),
    "variance +∞": _target({"number and variance": (2.0, INF)}),
    "one variance for all": _targets("variance", lambda t: (t[0], 4.0)),
    "three variances": _targets("variance", lambda t: (t[0], np.ones(3))),
    "no variances": _targets("variance", lambda t: t[0]),
    "targets of integers": _targets("element", lambda t: t.astype(int)),
    "targets of booleans": _targets("element", lambda t: t > t[0]),
    "one target for all": _targets("element", lambda t: t[1]),
    "targets of shape (1,)": _targets("element", lambda t: t[1:]),
    "targets of shape (2, 1)": _targets("element", lambda t: t[:, None]),
    "three targets": _targets("element", lambda t: np.append(t, t[1])),
    "targets are text": lambda p: None if isinstance(p.targets, tuple) else p.but(targets=p.targets.astype(str)),
    "targets are objects": lambda p: None if isinstance(p.targets, tuple) else p.but(targets=p.targets.astype(object)),
    "targets are complex": lambda p: None if isinstance(p.targets, tuple) else p.but(targets=p.targets.astype(complex)),
    "no targets, None": _given(targets=None),
}


def _converted(dtype: Any) -> Situation:
    return lambda p: p.but(scores=p.scores.astype(dtype))


def _read_only(p: Any) -> Any:
    scores = p.scores.copy()
    scores.flags.writeable = False
    return p.but(scores=scores)


def _masked(p: Any) -> Any:
    mask = np.arange(p.scores.size).reshape(p.scores.shape) == p.scores.size - 1
    return p.but(scores=np.ma.masked_array(p.scores, mask=mask))


_KINDS: dict[str, Situation] = {
    "float64": lambda p: p,
    "float32": _converted(np.float32),
    "float16": _converted(np.float16),
    "float16, ``out`` of float32": lambda p: _converted(np.float16)(p).but(out=np.empty(p.scores.shape, np.float32)),
    "float64, big-endian": _converted(">f8"),
    "float64, little-endian": _converted("<f8"),
    "integers": _converted(int),
    "booleans": _converted(bool),
    "long doubles": _converted(np.longdouble),
    "complex": _converted(complex),
    "text": _converted(str),
    "objects": _converted(object),
    "None": _given(scores=None),
    "lists": lambda p: p.but(scores=p.scores.tolist()),
    "lists of different lengths": _given(scores=[[1.0], [1.0, 2.0]]),
    "a single number": _given(scores=0.5),
    "Fortran order": lambda p: p.but(scores=np.asfortranarray(p.scores)),
    "every other number of an array": lambda p: p.but(scores=np.repeat(p.scores, 2, axis=-1)[..., ::2]),
    "backwards, both": lambda p: p.but(scores=p.scores[..., ::-1].copy()[..., ::-1]),
    "read-only": _read_only,
    "a masked array, its last number masked": _masked,
}


def _shifted(p: Any) -> Any:
    """Scores and outputs that share memory, but not all of it."""
    memory = np.concatenate([p.scores, p.scores[:1]])
    return p.but(scores=memory[:-1], out=memory[1:])


def _over_targets(p: Any) -> Any:
    """Outputs where the targets are."""
    if p.form in {"class index", "pair"}:
        return None
    targets = p.targets[0].copy() if isinstance(p.targets, tuple) else p.targets.copy()
    return p.but(targets=(targets, p.targets[1]) if isinstance(p.targets, tuple) else targets, out=targets)


def _unwritable(p: Any) -> Any:
    out = np.empty_like(p.scores)
    out.flags.writeable = False
    return p.but(out=out)


def _in_place(p: Any) -> Any:
    scores = p.scores.copy()
    return p.but(scores=scores, out=scores)


_OUTPUTS: dict[str, Situation] = {
    "an array of the shape and dtype of the scores": lambda p: p.but(out=np.empty_like(p.scores)),
    "the scores themselves": _in_place,
    "in Fortran order": lambda p: p.but(out=np.empty_like(p.scores, order="F")),
    "not contiguous": lambda p: p.but(out=np.repeat(p.scores, 2, axis=-1)[..., ::2]),
    "float32 for float64": lambda p: p.but(out=np.empty_like(p.scores, dtype=np.float32)),
    "float64 for float32": lambda p: p.but(scores=p.scores.astype(np.float32), out=np.empty_like(p.scores)),
    "too short": lambda p: p.but(out=np.empty_like(p.scores[:1])),
    "of another shape, as many numbers": lambda p: p.but(out=np.empty((1, *p.scores.shape))),
    "read-only": _unwritable,
    "a list": lambda p: p.but(out=p.scores.tolist()),
    "overlapping the scores": _shifted,
    "the targets": _over_targets,
}

SITUATIONS = {
    "weights": _WEIGHTS,
    "scores": _SCORES,
    "targets": _TARGETS,
    "kinds": _KINDS,
    "outputs": _OUTPUTS,
}

# Values of options to try, those of two of which are combined first. A loss may have its own.
OPTIONS: dict[str, tuple[Any, ...]] = {
    "class_weight": ((1.0, 3.0, 2.0), (1.0, 0.0, 2.0)),
    "delta": (0.5,),
    "focal_alpha": (0.25,),
    "focal_gamma": (2.0, 0.5),
    "form": ("crammer-singer",),
    "ignore_index": (1,),
    "inputs": ("probabilities",),
    "label_smoothing": (0.1, 1.0),
    "log_input": (False,),
    "logit_cap": (3.0,),
    "margin": (0.5, 0.0),
    "MulticlassHinge.margin": ((0.0, 0.5, 2.0), ((0, 1, 2), (2, 0, 1), (1, 1, 0)), 0.0),
    "pos_weight": (3.0, 0.0, (1.0, 3.0)),
    "power": (2,),
    "temperature": (2.0,),
    "z_loss": (0.1,),
}

# What the options are tried on, by the family of the loss.
OPTION_COLUMNS: dict[str, dict[str, Situation]] = {
    "rowwise": {
        "plain": lambda p: p,
        "weight 0, scores NaN": _then(_poisoned, _given(sample_weight=[1, 0])),
        "-∞ at another class": _row(other=-INF),
        "-∞ at the target": _row(target=-INF),
        "+∞ at the target": _row(target=INF),
        "+∞ at another class": _row(other=INF),
        "NaN at another class": _row(other=NAN),
        "one class": _classes(1),
    },
    "elementwise": {
        "plain": lambda p: p,
        "weight 0, score NaN": _then(_poisoned, _given(sample_weight=[1, 0])),
        "target low": _target(_LOW),
        "score +∞": _element(INF),
        "score -∞": _element(-INF),
        "target low, score +∞": _element(INF, _LOW),
        "target low, score -∞": _element(-INF, _LOW),
        "score NaN": _element(NAN),
    },
}

# What constructors are offered for every option.
OPTION_VALUES: tuple[Any, ...] = (None, -1, 0, 0.5, 1, 2, NAN, INF, True, "x", (1.0, 2.0), (1.0, -1.0))

REDUCTION_ROWS: dict[str, Situation] = {
    name: _WEIGHTS[name]
    for name in (
        "no weights",
        "weights 1 and 3",
        "one weight, 3",
        "weight 0",
        "weight 0, scores NaN",
        "weight -3",
        "weights 1 and -1",
        "both weights 0",
        "``class_weight`` 3",
        "``class_weight`` 0, scores NaN",
        "``class_weight`` 3, weight 2",
        "target is ``ignore_index``",
        "all ignored",
        "no samples",
    )
} | {"weights 1 and 3, target is ``ignore_index``": _given(sample_weight=[1, 3], ignore_index=1)}

# Arguments of the functions, by what they are; rowwise ones take the last axis.
FUNCTIONS: dict[str, Any] = {
    "1, 2, 3": [1.0, 2.0, 3.0],
    "all equal": [0.0, 0.0, 0.0],
    "1e308 among them": [0.0, 0.0, 1e308],
    "-1e308 among them": [0.0, 0.0, -1e308],
    "-∞ among them": [0.0, 0.0, -INF],
    "all -∞": [-INF, -INF, -INF],
    "+∞ among them": [0.0, 0.0, INF],
    "two +∞": [0.0, INF, INF],
    "NaN among them": [0.0, 0.0, NAN],
    "one number": [2.0],
    "an empty axis": [],
    "a number without an axis": 2.0,
    "integers": [1, 2, 3],
    "float16": np.array([1, 2, 3], np.float16),
    "text": ["1", "2"],
}
FUNCTION_NAMES = {
    "rowwise": ("logsumexp", "softmax", "log_softmax"),
    "elementwise": ("sigmoid", "log_sigmoid", "softplus"),
}
assert all(hasattr(fl, name) for names in FUNCTION_NAMES.values() for name in names)
