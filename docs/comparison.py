# SPDX-License-Identifier: BSD-3-Clause
"""Write the page "In other libraries", by running fastloss and them: ``python docs/comparison.py``.

It needs the optional dependencies "comparison", and stops where one is missing. Each row of the page has a call of
another library and one of fastloss. Both are run, on what the page shows and on random numbers, and must agree;
so must their gradients, where the other library has one.
"""

import importlib
import json
import os
import sys
import textwrap
import warnings
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.testing import assert_allclose
from tables import number, numbers, table
from tasks import BOOSTING, CLAIMS, CORNERS, DATA, LIBRARIES, SECTIONS, Corner, Row, Section, random_data

import fastloss

# Keras computes in float32, and clips at 1e-7; XGBoost and LightGBM write their trees in few digits.
TOLERANCES = {"Keras": 1e-5, "XGBoost": 1e-5, "LightGBM": 1e-5}
SEEDS = 3
ATTEMPTS = 100
PAGE = Path(__file__).with_suffix(".rst")

Data = Mapping[str, Any]
Result = tuple[float, Any]  # value; gradient, or None


def load(name: str) -> Any:
    """Import what another library needs, or say how to get it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        sys.exit(
            f"comparison: {error}; the page is not written without. Install the extra: pip install '.[comparison]'"
        )


os.environ.setdefault("KERAS_BACKEND", "torch")
jax, keras, lightgbm, onnx = (load(name) for name in ("jax", "keras", "lightgbm", "onnx"))
optax, scipy_special, metrics, torch, xgboost = (
    load(name) for name in ("optax", "scipy.special", "sklearn.metrics", "torch", "xgboost")
)
onnx_reference = load("onnx.reference")
private_losses = load("sklearn._loss")
jax.config.update("jax_enable_x64", True)


# What the page shows of the data, and how the rest follows.
SHOWN = {
    "classes": ("scores", "labels", "probabilities", "class_weight"),
    "yes or no": ("scores", "targets", "probabilities", "sample_weight"),
    "numbers": ("predictions", "targets", "rates", "counts", "variances"),
}
DERIVED = {
    "classes": (
        ">>> N, C = scores.shape",
        ">>> padded = np.array([*labels[:-1], -100])",
        ">>> one_hot = np.eye(C)[labels]",
        ">>> teacher = 0.8 * one_hot + 0.2 / C",
        ">>> log_probabilities = np.log(probabilities)",
    ),
    "yes or no": (">>> signs = 2 * targets - 1",),
    "numbers": (),
}
INTRODUCTION = """\
You have a number from another library, and fastloss gives another one. Find your task below: the same call in each,
what differs, and the call of fastloss that gives their number.

.. This page is written by comparison.py. Change that, and run it.

Every row was run, on the numbers shown and on random ones, when this page was written, with the versions below. The
call in the last column gives the result of the library to twelve digits (five for Keras, XGBoost and LightGBM,
which compute in float32 or print few digits), and so does its gradient, where the library has one. "As above" is
the call at the head of the section.

{versions}
In calls, each array is one of that library's: a tensor in PyTorch and Keras, which runs on PyTorch here. ``F`` is
``torch.nn.functional``, ``metrics`` is ``sklearn.metrics``, ``_loss`` is ``sklearn._loss``, which is private,
``softmax`` and ``expit`` are SciPy's, and ``node`` runs a model of a single operator in the reference
implementation of ONNX.

Three differences explain most of the others:

* **What a mean is divided by.** See `Class weights and the divisor of a mean`_.
* **Which argument comes first.** Scores, then targets, in fastloss, PyTorch and optax; targets first in Keras and
  scikit-learn.
* **Scores or probabilities.** scikit-learn's metrics take probabilities, and so does Keras without
  ``from_logits=True``.
"""
BOOSTED_TEXT = """\
Gradient and Hessian that a built-in objective uses, found by growing a tree for each sample: its leaf holds their
quotient and the Hessian. Shown are those of the first sample. What scikit-learn's histogram gradient boosting uses
is private, and was asked directly. "Passed on" is what a custom objective made of fastloss returns to be the same,
with the result of ``value_grad_hess`` as ``gradient`` and ``hessian``.

"""
CORNERS_TEXT = """\
Here nothing can be reproduced, for it should not be. What each returns, or the error it raises; a dash where it has
no such call. :doc:`semantics` has more of them for fastloss.

"""


class WithGradient:
    """A loss with its gradient; numbers may be added to it, and it may be multiplied."""

    def __init__(self, value: Any, gradient: Any) -> None:
        self.value, self.gradient = value, gradient

    def __mul__(self, factor: float) -> "WithGradient":
        return WithGradient(self.value * factor, self.gradient * factor)

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> "WithGradient":
        return self * (1 / divisor)

    def __add__(self, other: Any) -> "WithGradient":
        return WithGradient(self.value + getattr(other, "value", other), self.gradient)

    def __sub__(self, other: Any) -> "WithGradient":
        return self + -1 * other if isinstance(other, WithGradient) else self + -other


class Tracing:
    """``fl``, whose losses bring their gradients along."""

    def __getattr__(self, name: str) -> Any:
        kind = getattr(fastloss, name)
        return lambda **options: lambda *arguments: WithGradient(*kind(**options).value_and_grad(*arguments))


def run_fastloss(call: str, data: Data) -> Result:
    """Run a call of fastloss."""
    result = eval(call, {"fl": Tracing(), "np": np, **data})
    return result.value, result.gradient


def run_torch(call: str, data: Data, by: str) -> Result:
    """Run a call on tensors, and its backward pass; Keras runs on PyTorch, too."""
    arrays = {name: torch.tensor(value) for name, value in data.items() if isinstance(value, np.ndarray)}
    arrays[by].requires_grad_()
    value = eval(call, {"torch": torch, "F": torch.nn.functional, "keras": keras, **data, **arrays})
    value.backward()
    return value.item(), arrays[by].grad.numpy()


def run_optax(call: str, data: Data, by: str) -> Result:
    """Run a call and its gradient with JAX."""
    arrays = {name: jax.numpy.asarray(value) for name, value in data.items() if isinstance(value, np.ndarray)}
    names = {"optax": optax, "jax": jax, "jnp": jax.numpy, **data, **arrays}
    value, gradient = jax.value_and_grad(lambda x: eval(call, {**names, by: x}))(arrays[by])
    return float(value), np.asarray(gradient)


def run_sklearn(call: str, data: Data, by: str) -> Result:
    """Run a call on arrays; metrics have no gradient."""
    names = {"metrics": metrics, "softmax": scipy_special.softmax, "expit": scipy_special.expit, "np": np}
    return float(eval(call, {**names, "_loss": private_losses, **data})), None


def node(operator: str, *inputs: Any, **attributes: Any) -> Any:
    """Run a model of one node with the reference implementation of ONNX."""
    helper, to_type = onnx.helper, onnx.helper.np_dtype_to_tensor_dtype
    names = [f"input{i}" for i in range(len(inputs))]
    graph = helper.make_graph(
        [helper.make_node(operator, names, ["loss"], **attributes)],
        operator,
        [
            helper.make_tensor_value_info(name, to_type(value.dtype), value.shape)
            for name, value in zip(names, inputs, strict=True)
        ],
        [helper.make_tensor_value_info("loss", to_type(inputs[0].dtype), None)],
    )
    evaluator = onnx_reference.ReferenceEvaluator(helper.make_model(graph))
    return evaluator.run(None, dict(zip(names, inputs, strict=True)))[0]


def run_onnx(call: str, data: Data, by: str) -> Result:
    """Run an operator on arrays; its gradient is left to the framework."""
    return float(eval(call, {"node": node, **data})), None


RUN: dict[str, Callable[[str, Data, str], Result]] = {
    "PyTorch": run_torch,
    "optax": run_optax,
    "Keras": run_torch,
    "scikit-learn": run_sklearn,
    "ONNX": run_onnx,
}


def compare(section: Section, row: Row) -> float:
    """Run a row on the numbers of the page and on others, and return the first result of the other library."""
    shown = None
    for data in (DATA[section.data], *(random_data(section.data, seed) for seed in range(SEEDS))):
        value, gradient = RUN[row.library](row.call, data, row.by)
        ours, our_gradient = run_fastloss(row.ours or section.base, data)
        where, tolerance = f"{section.title}, {row.library}: {row.call}", TOLERANCES.get(row.library, 1e-12)
        assert_allclose(ours, value, rtol=tolerance, atol=tolerance, err_msg=where)
        if gradient is not None and row.gradient:
            assert_allclose(our_gradient, gradient, rtol=tolerance, atol=tolerance, err_msg=where)
        shown = value if shown is None else shown
    assert shown is not None
    return shown


def section_text(section: Section) -> str:
    """Return a section of the page."""
    value, _ = run_fastloss(section.base, DATA[section.data])
    rows = [
        (
            row.library,
            f"``{row.call}``",
            number(compare(section, row)),
            row.why or "the same",
            f"``{row.ours}``" if row.ours else "as above",
        )
        for row in section.rows
    ]
    header = ("library", "call", "result", "what differs", "in fastloss")
    return "\n".join(
        (
            heading(section.title, "~"),
            *([filled(section.text)] if section.text else []),
            f">>> round({section.base}, 6)\n{round(float(value), 6)!r}\n",
            table("", header, rows, (10, 30, 9, 25, 26)),
            *([filled(section.after)] if section.after else []),
        )
    )


def filled(text: str) -> str:
    """Return a paragraph in lines."""
    return textwrap.fill(text, 118, break_long_words=False, break_on_hyphens=False) + "\n"


def heading(text: str, underline: str) -> str:
    """Return a heading."""
    return f"{text}\n{underline * len(text)}\n"


def boosted_by_xgboost(objective: str, scores: Any, labels: Any, **parameters: Any) -> tuple[Any, Any]:
    """Return gradient and Hessian that XGBoost uses: a tree of one leaf for each sample tells both."""
    scores = np.asarray(scores, np.float32)
    gradient, hessian = np.empty_like(scores), np.empty_like(scores)
    for i in range(len(labels)):
        data = xgboost.DMatrix(np.zeros((1, 1)), label=labels[i : i + 1], base_margin=scores[i : i + 1])
        options = {"objective": objective, "eta": 1, "lambda": 0, "min_child_weight": 0, "max_depth": 1, "nthread": 1}
        classes = {"num_class": scores.shape[1]} if scores.ndim == 2 else {}
        booster = xgboost.train(options | classes | {"base_score": 0.5} | parameters, data, num_boost_round=1)
        leaves = [json.loads(tree) for tree in booster.get_dump(with_stats=True, dump_format="json")]
        cover, leaf = (np.array([tree[name] for tree in leaves]) for name in ("cover", "leaf"))
        hessian[i], gradient[i] = (x if scores.ndim == 2 else x[0] for x in (cover, -leaf * cover))
    return gradient, hessian


def boosted_by_lightgbm(objective: str, scores: Any, labels: Any, **parameters: Any) -> tuple[Any, Any]:
    """Return gradient and Hessian that LightGBM uses: the leaf of a tree for each sample tells both."""
    options = {
        "objective": objective,
        "learning_rate": 1.0,
        "lambda_l2": 0.0,
        "min_data_in_leaf": 1,
        "min_sum_hessian_in_leaf": 0.0,
        "num_leaves": 2,
        "boost_from_average": False,
        "verbose": -1,
        "num_threads": 1,
        "min_data_in_bin": 1,
        "feature_pre_filter": False,
        "min_gain_to_split": 0.0,
    }
    classes = {"num_class": scores.shape[1]} if scores.ndim == 2 else {}
    gradient, hessian = np.empty(scores.shape), np.empty(scores.shape)
    # Beside each sample there is one of every class, for what is missing is not learned. Their scores are others, until
    # each tree tells the sample from them. It stands there several times, for LightGBM guesses from Hessians how many
    # samples a leaf has, and leaves none with few.
    others, times = np.arange(scores.shape[1]) if scores.ndim == 2 else np.unique([0, 1, *labels]), 20
    features, random = np.repeat([0.0, 1.0], [times, len(others)])[:, None], np.random.default_rng(0)
    for i in range(len(labels)):
        trees: list[Any] = [{}]
        for _ in range(ATTEMPTS):
            beside = 3 * random.normal(size=(len(others), *scores.shape[1:]))
            start = np.concatenate([np.repeat(scores[i : i + 1], times, axis=0), beside])
            target = np.array([*[labels[i]] * times, *others])
            data = lightgbm.Dataset(features, target, init_score=start.ravel(order="F"), params={"verbose": -1})
            booster = lightgbm.train(options | classes | parameters, data, num_boost_round=1)
            trees = [tree["tree_structure"] for tree in booster.dump_model()["tree_info"]]
            if all("left_child" in tree for tree in trees):
                break
        indices = booster.predict(features[:1], pred_leaf=True).reshape(-1)
        leaves = [leaves_of(tree)[index] for tree, index in zip(trees, indices, strict=True)]
        weight, value = (np.array([leaf[name] for leaf in leaves]) for name in ("leaf_weight", "leaf_value"))
        hessian[i], gradient[i] = (x / times if scores.ndim == 2 else x[0] / times for x in (weight, -value * weight))
    return gradient, hessian


def leaves_of(tree: Mapping[str, Any]) -> dict[int, Mapping[str, Any]]:
    """Return the leaves of a tree of LightGBM by their indices."""
    if "leaf_index" in tree:
        return {tree["leaf_index"]: tree}
    return leaves_of(tree["left_child"]) | leaves_of(tree["right_child"])


def boosted_by_sklearn(objective: str, scores: Any, labels: Any) -> tuple[Any, Any]:
    """Return gradient and Hessian that the histogram gradient boosting of scikit-learn uses."""
    classes = {"n_classes": scores.shape[1]} if scores.ndim == 2 else {}
    loss = getattr(private_losses, objective)(**classes)
    gradient, hessian = loss.gradient_hessian(y_true=labels.astype(float), raw_prediction=scores)
    return gradient, np.broadcast_to(hessian, gradient.shape)  # one number where it is constant


BOOSTED = {"XGBoost": boosted_by_xgboost, "LightGBM": boosted_by_lightgbm, "scikit-learn": boosted_by_sklearn}


def boosting_text() -> str:
    """Return the section on gradient boosting."""
    rows = []
    for row in BOOSTING:
        tolerance, shown = TOLERANCES.get(row.library, 1e-12), None
        parameters = dict([row.parameter] if row.parameter else [])
        objective = "".join((f"``{row.objective}``", *(f", ``{name}={value}``" for name, value in parameters.items())))
        for data in (DATA[row.data], random_data(row.data, seed=0, samples=5, classes=4)):
            scores, targets = data["predictions" if row.data == "numbers" else "scores"], data[row.targets]
            names = {"fl": fastloss, "np": np, **data}
            _, gradient, hessian = eval(row.loss, names).value_grad_hess(scores, targets)
            names |= {"gradient": gradient, "hessian": hessian}
            ours = eval(row.gradient, names), eval(row.hessian, names)
            theirs = BOOSTED[row.library](row.objective, scores, targets, **parameters)
            for name, actual, expected in zip(("gradient", "Hessian"), ours, theirs, strict=True):
                where = f"{row.library}, {row.objective}: {name}"
                assert_allclose(actual, expected, rtol=tolerance, atol=tolerance, err_msg=where)
            shown = shown or theirs
        assert shown is not None
        first = (numbers(np.ravel(part)[: 3 if row.data == "classes" else 1]) for part in shown)
        passed = f"``{row.gradient}``, ``{row.hessian}``"
        rows.append((row.library, objective, *first, row.why or "the same", f"``{row.loss}``", passed))
    header = ("library", "objective", "gradient", "Hessian", "what differs", "in fastloss", "passed on")
    return table("", header, rows, (10, 17, 11, 11, 20, 20, 16))


def corner(library: str, corner: Corner) -> str:
    """Run a corner, and say what comes."""
    if library not in corner.calls:
        return "--"
    by = "probabilities" if "probabilities" in corner.data else "scores"
    try:
        with np.errstate(all="ignore"):
            return number(RUN[library](corner.calls[library], corner.data, by)[0])
    except Exception as error:  # whatever another library raises
        return type(error).__name__


def corners_text() -> str:
    """Return the table of corners."""
    rows = []
    for each in CORNERS:
        try:
            ours = number(eval(each.base, {"fl": fastloss, **each.data}))
        except ValueError as error:
            ours = type(error).__name__
        rows.append((each.situation, ours, *(corner(library, each) for library in RUN)))
    return table("", ("", "fastloss", *RUN), rows)


GROUPS = {"classes": "Classes", "yes or no": "Yes or no", "numbers": "Numbers"}


def check_claims() -> None:
    """Assert what is said beside the tables."""
    names = {"F": torch.nn.functional, "torch": torch, "keras": keras, "optax": optax, "jax": jax, "np": np}
    for claim in CLAIMS:
        assert eval(claim, names | {"raises": raises, "slope": slope}), claim


def raises(call: Callable[[], Any]) -> bool:
    """Whether a call fails."""
    try:
        call()
    except Exception:  # whatever another library raises
        return True
    return False


def slope(call: Callable[[Any], Any], at: Any) -> Any:
    """Return the gradient of a call on a tensor."""
    tensor = torch.tensor(at, requires_grad=True)
    call(tensor).backward()
    return tensor.grad.numpy()


def page() -> str:
    """Run everything, and return the page."""
    check_claims()
    versions = table("", ("library", "version"), [(name, version(package)) for name, package in LIBRARIES.items()])
    parts = [heading("In other libraries", "="), INTRODUCTION.format(versions=versions)]
    for kind, title in GROUPS.items():
        arrays = [(name, value) for name, value in DATA[kind].items() if name in SHOWN[kind]]
        lines = (f">>> {name} = {' '.join(f'np.{value!r}'.split())}" for name, value in arrays)
        parts += [
            heading(title, "-"),
            *([">>> import numpy as np\n>>> import fastloss as fl"] if len(parts) == 2 else []),
        ]
        parts += ["\n".join((*lines, *DERIVED[kind])) + "\n"]
        parts += [section_text(section) for section in SECTIONS if section.data == kind]
    parts += [heading("Gradient boosting", "-"), BOOSTED_TEXT, boosting_text()]
    parts += [heading("Corners", "-"), CORNERS_TEXT, corners_text()]
    return "\n".join(parts)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other libraries
        PAGE.write_text(page(), encoding="utf-8")
