# SPDX-License-Identifier: BSD-3-Clause
"""What every loss does in every situation, found out by doing it: the tables of the page "What happens when".

Losses are found by looking into the package. Each is asked about two samples, of which a situation changes the second.
"""

import itertools
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
from situations import (
    FUNCTION_NAMES,
    FUNCTIONS,
    OPTION_COLUMNS,
    OPTION_VALUES,
    OPTIONS,
    REDUCTION_ROWS,
    SITUATIONS,
    Situation,
)
from tables import numbers, table

import fastloss as fl
from fastloss import losses, reference
from fastloss.losses.loss import Reduction
from fastloss.reference.options import examples

# The losses that stand in one table, by the kind of their targets.
GROUPS = {
    "Targets are class indices": ("class index",),
    "Targets are distributions over the classes": ("distribution",),
    "Targets say yes or no": ("probability", "sign"),
    "Targets are numbers": ("number", "number and variance", "count"),
}

# Two samples for each kind of targets.
TARGETS: dict[str, Any] = {
    "class index": np.array([0, 1]),
    "distribution": np.array([[0.75, 0.25, 0.0], [0.0, 0.5, 0.5]]),
    "pair": (np.array([[0, 1], [1, 2]]), np.array([[0.75, 0.25], [0.5, 0.5]])),
    "probability": np.array([0.0, 1.0]),
    "sign": np.array([-1.0, 1.0]),
    "number": np.array([1.0, 2.0]),
    "number and variance": (np.array([1.0, 2.0]), np.array([1.0, 4.0])),
    "count": np.array([1.0, 2.0]),
}


@dataclass(frozen=True)
class Problem:
    """A loss and what it is given."""

    loss: Any
    form: str
    scores: Any
    targets: Any
    sample_weight: Any = None
    out: Any = None

    @property
    def rowwise(self) -> bool:
        """Whether a sample is a row of scores."""
        return bool(self.loss.family == "rowwise")

    def but(self, **changes: Any) -> "Problem":
        """Return another problem; the name of an option changes the loss."""
        own = {field.name for field in fields(self)}
        options = {name: value for name, value in changes.items() if name not in own}
        loss = self.loss.replace(**options) if options else self.loss
        return replace(self, **{"loss": loss} | {name: changes[name] for name in changes if name in own})

    def has(self, option: str) -> bool:
        """Whether the loss has an option."""
        return option in options_of(type(self.loss))


def concrete() -> list[type[losses.Loss]]:
    """Every loss of the package."""
    kinds = (getattr(losses, name) for name in losses.__all__)
    return [kind for kind in kinds if kind is not losses.Loss and issubclass(kind, losses.Loss)]


def options_of(kind: type[losses.Loss]) -> list[str]:
    """The options of a loss, the ones that all rowwise or all losses have excepted."""
    return [field.name for field in fields(kind) if field.name not in {"axis", "reduction"}]


def _choices(kind: type[losses.Loss], name: str) -> tuple[str, ...]:
    """The words that an option may be."""
    hint = get_type_hints(kind)[name]
    return tuple(choice for choice in get_args(hint) if isinstance(choice, str)) if get_origin(hint) is Literal else ()


def _variants(kind: type[losses.Loss]) -> Iterator[losses.Loss]:
    """A loss as it is, and with each option that makes another loss of it: those that are words, and yes or no."""
    yield kind()
    for name in options_of(kind):
        default = getattr(kind, name)
        choices = (True, False) if isinstance(default, bool) else _choices(kind, name)
        yield from (kind(**{name: choice}) for choice in choices if choice != default)


def example(loss: losses.Loss, form: str) -> Problem:
    """Two samples of whatever the loss takes."""
    if loss.family == "elementwise":
        low, high = loss.score_range
        scores = np.array([0.5, -1.0] if np.isnan(low) else [0.25, 0.5] if high == 1 else [0.5, 4.0])
        return Problem(loss, form, scores, TARGETS[form])
    scores = np.array([[1.5, 1.0, 0.0], [0.5, 1.0, 3.0]])
    probabilities = np.array([[0.5, 0.25, 0.25], [0.125, 0.25, 0.625]])
    if (inputs := getattr(loss, "inputs", None)) is not None:
        scores = probabilities if inputs == "probabilities" else np.log(probabilities)
    return Problem(loss, form, scores, TARGETS[form])


def problems() -> dict[str, list[Problem]]:
    """The problems of each group: every loss, in every variant, with every form of targets that it takes."""
    groups: dict[str, list[Problem]] = {title: [] for title in GROUPS}
    for kind in concrete():
        for loss in _variants(kind):
            (group,) = (title for title, kinds in GROUPS.items() if kind.target_kind in kinds)
            groups[group].append(example(loss, kind.target_kind))
        if kind.target_kind == "class index" and kind.distribution_kernel:
            distributions = groups["Targets are distributions over the classes"]
            distributions += [example(kind(), form) for form in ("distribution", "pair")]
    return groups


def name_of(problem: Problem) -> str:
    """The heading of a column: the loss, and what is special about it."""
    kind, loss = type(problem.loss), problem.loss
    special = [
        f"{name}={getattr(loss, name)!r}" for name in options_of(kind) if getattr(loss, name) != getattr(kind, name)
    ]
    if problem.form != kind.target_kind:
        special.append({"distribution": "probabilities", "pair": "pairs"}[problem.form])
    return "\n".join((f"`~fastloss.{kind.__name__}`", *(f"``{text}``" if "=" in text else text for text in special)))


Outcome = tuple[Any, Any] | Exception


def outcome(problem: Problem) -> Outcome:
    """Run it: value and gradient, or what was raised. A warning would be raised, too."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            value, gradient = problem.loss.value_and_grad(
                problem.scores, problem.targets, problem.sample_weight, out=problem.out
            )
            return value, np.array(gradient)
    except (TypeError, ValueError, Warning) as error:
        return error


class Messages:
    """What errors of a table say, each once, with the number by which cells refer to it."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def reference(self, error: Exception) -> str:
        """Return the name of an error and the number of its message."""
        text = f"{type(error).__name__}: {error}"
        where = self._numbers.setdefault(text, len(self._numbers) + 1)
        return f"{type(error).__name__}\n({where})"

    def listed(self) -> str:
        """Return the messages, to stand below the table."""
        return "".join(f"{where}. ``{text}``\n" for text, where in self._numbers.items())


def _cell(result: Outcome | None, messages: Messages) -> str:
    if result is None:
        return "--"  # a dash
    if isinstance(result, Exception):
        return messages.reference(result)
    value, gradient = result
    last = gradient[-1:] if len(gradient) > 1 else gradient
    return "\n".join((numbers(value) or "empty", f"*{numbers(last, 3) or 'empty'}*"))


def _lines(cell: str) -> str:
    return "\n".join(f"| {line}" for line in cell.split("\n"))


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], messages: Messages) -> str:
    rows = [(first, *map(_lines, rest)) for first, *rest in rows]
    return f"{table(title, [_lines(cell) for cell in header], rows)}\n{messages.listed()}\n"


def applicable(changes: Mapping[str, Situation], group: Sequence[Problem]) -> dict[str, Situation]:
    """The situations that make sense for one problem of a group at least."""
    return {text: change for text, change in changes.items() if any(map(change, group))}


def _examples(kind: type[losses.Loss], name: str) -> tuple[Any, ...]:
    default, *others = examples(getattr(reference, kind.__name__), name)
    return tuple(others) or (default,)


def combinations(kind: type[losses.Loss]) -> Iterator[dict[str, Any]]:
    """No option, each with each of its values, and every two together."""
    values = {
        name: OPTIONS.get(f"{kind.__name__}.{name}") or OPTIONS.get(name) or _examples(kind, name)
        for name in options_of(kind)
    }
    yield {}
    for name, some in values.items():
        yield from ({name: value} for value in some)
    for first, second in itertools.combinations(values, 2):
        yield {first: values[first][0], second: values[second][0]}


def _situations(topic: str) -> Iterator[str]:
    for title, group in problems().items():
        messages = Messages()
        rows = [
            [situation, *(_cell(changed and outcome(changed), messages) for changed in map(change, group))]
            for situation, change in applicable(SITUATIONS[topic], group).items()
        ]
        yield _table(title, ["", *map(name_of, group)], rows, messages)


def _options() -> Iterator[str]:
    for kind in concrete():
        messages, rows = Messages(), []
        columns = OPTION_COLUMNS[kind.family]
        for options in combinations(kind) if options_of(kind) else ():
            problem = example(kind(**options), kind.target_kind)
            cells = (
                _cell(changed and outcome(changed), messages) for changed in (f(problem) for f in columns.values())
            )
            rows.append([", ".join(f"``{name}={value!r}``" for name, value in options.items()) or "none", *cells])
        if rows:
            yield _table(f"Options of `~fastloss.{kind.__name__}`", ["", *columns], rows, messages)


def _checks() -> Iterator[str]:
    same: dict[tuple[str, ...], list[str]] = {}
    for kind in concrete():
        for name in (field.name for field in fields(kind)):
            taken: list[str] = []
            refused: list[str] = []
            messages: dict[str, None] = {}  # in order, each once
            for value in (*_choices(kind, name), *OPTION_VALUES):
                try:
                    kept = getattr(kind(**{name: value}), name)
                    taken.append(f"``{value!r}``" if repr(kept) == repr(value) else f"``{value!r}`` as ``{kept!r}``")
                except (TypeError, ValueError) as error:
                    refused.append(f"``{value!r}``")
                    what, _, _ = str(error).rpartition(", got ")
                    messages[f"``{type(error).__name__}: {what}, got ...``"] = None
            row = (
                f"``{name}``",
                ", ".join(taken) or "none",
                ", ".join(refused) or "none",
                "\n\n".join(messages) or "none",
            )
            same.setdefault(row, []).append(f"`~fastloss.{kind.__name__}`")
    every = len(concrete())
    rows = [
        (name, "every loss" if len(kinds) == every else ", ".join(kinds), *rest)
        for (name, *rest), kinds in same.items()
    ]
    yield table("", ("option", "of", "taken", "refused", "with"), sorted(rows), (12, 20, 22, 22, 24))


def _reductions() -> Iterator[str]:
    reductions = get_args(Reduction)
    for kind in (fl.SoftmaxCrossEntropy, fl.SigmoidCrossEntropy):
        messages, problem = Messages(), example(kind(), kind.target_kind)
        rows = []
        for situation, change in applicable(REDUCTION_ROWS, [problem]).items():
            changed = (change(problem.but(reduction=how)) for how in reductions)
            rows.append([situation, *(_cell(outcome(one), messages) for one in changed)])
        yield _table(f"`~fastloss.{kind.__name__}`", ["", *(f"``{how!r}``" for how in reductions)], rows, messages)
    messages = Messages()
    rows = []
    for problem in itertools.chain.from_iterable(problems().values()):
        changed = (problem.but(reduction=how, sample_weight=[1, 3]) for how in reductions)
        rows.append([name_of(problem), *(_cell(outcome(one), messages) for one in changed)])
    yield _table("Weights 1 and 3", ["", *(f"``{how!r}``" for how in reductions)], rows, messages)


def _functions() -> Iterator[str]:
    for names in FUNCTION_NAMES.values():
        messages, rows = Messages(), []
        for text, argument in FUNCTIONS.items():
            cells = []
            for name in names:
                try:
                    cells.append(numbers(getattr(fl, name)(argument)) or "empty")
                except (TypeError, ValueError) as error:
                    cells.append(messages.reference(error))
            rows.append([text, *cells])
        yield _table("", ["", *(f"`~fastloss.{name}`" for name in names)], rows, messages)


TOPICS: dict[str, Callable[[], Iterator[str]]] = {
    **{topic: partial(_situations, topic) for topic in SITUATIONS},
    "reductions": _reductions,
    "options": _options,
    "checks": _checks,
    "functions": _functions,
}


def tables(topic: str) -> str:
    """Return what happens in the situations of a topic, as reStructuredText."""
    return "\n".join(TOPICS[topic]())
