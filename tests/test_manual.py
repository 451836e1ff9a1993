# SPDX-License-Identifier: BSD-3-Clause
"""The generated page of the manual: it shows every loss, and what it shows is right."""

import csv
import importlib
import re
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from numpy.testing import assert_allclose

from fastloss import losses, reference

MANUAL = Path(__file__).parents[1] / "docs"

pytestmark = pytest.mark.skipif(not MANUAL.is_dir(), reason="needs the source tree around the tests")


@pytest.fixture(scope="module")
def semantics():
    """The module that makes the tables of the page."""
    sys.path.insert(0, str(MANUAL))
    yield importlib.import_module("semantics")
    sys.path.remove(str(MANUAL))


def rows_of(text):
    """The rows of all tables, headers included."""
    rows = []
    for body in re.findall(r"^\.\. csv-table::.*\n(?:   :.*\n)*\n((?:   .*\n)+)", text, flags=re.MULTILINE):
        rows += csv.reader(line[3:] for line in body.splitlines(keepends=True))
    return rows


TOPICS = ("weights", "reductions", "scores", "targets", "kinds", "outputs", "options", "checks", "functions")


@pytest.mark.parametrize("topic", TOPICS)
def test_each_loss_stands_in_the_tables_and_no_cell_is_empty(semantics, topic):
    text = semantics.tables(topic)
    cells = [cell for row in rows_of(text) for cell in (row[1:] if row[0].strip("| ") == "" else row)]
    assert len(cells) > 50
    assert all(line.strip("| *") for cell in cells for line in cell.split("\n\n" if topic == "checks" else "\n"))
    for name in losses.__all__ if topic != "functions" else ():
        kind = getattr(losses, name)
        if kind is not losses.Loss and (topic != "options" or semantics.options_of(kind)):
            assert f"`~fastloss.{name}`" in text or "every loss" in text, name


def test_the_page_has_every_topic(semantics):
    page = (MANUAL / "semantics.rst").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\.\. outcomes:: (\w+)$", page, flags=re.MULTILINE)) == sorted(TOPICS)
    assert set(semantics.TOPICS) == set(TOPICS)


def test_every_option_is_shown_alone_and_with_every_other(semantics):
    for kind in semantics.concrete():
        names = semantics.options_of(kind)
        shown = {frozenset(options) for options in semantics.combinations(kind)}
        assert {frozenset({one, other}) for one in names for other in names} <= shown


def cases(semantics):
    """Every problem of the page but those about outputs."""
    for topic in ("weights", "scores", "targets", "kinds"):
        for group in semantics.problems().values():
            for text, change in semantics.SITUATIONS[topic].items():
                yield from ((text, change(problem)) for problem in group)
    for kind in semantics.concrete():
        for options in semantics.combinations(kind):
            problem = semantics.example(kind(**options), kind.target_kind)
            for text, change in semantics.OPTION_COLUMNS[kind.family].items():
                yield text, change(problem)


# Where the definition is known to say otherwise: e^z - t z of it is a difference of infinities.
KNOWN = {("score 1e308", "Poisson")}


def test_what_the_page_shows_is_what_the_definition_says(semantics):
    seen = 0
    for text, problem in cases(semantics):
        if problem is None or problem.out is not None or (text, type(problem.loss).__name__) in KNOWN:
            continue
        loss, name = problem.loss, type(problem.loss).__name__
        actual = semantics.outcome(problem)
        define = getattr(reference, name)(**{field.name: getattr(loss, field.name) for field in fields(loss)})
        if isinstance(actual, Exception):
            with pytest.raises((TypeError, ValueError)):
                define.value_and_grad(problem.scores, problem.targets, problem.sample_weight)
            continue
        expected = define.value_and_grad(problem.scores, problem.targets, problem.sample_weight)
        itemsize = getattr(getattr(problem.scores, "dtype", None), "itemsize", 8)
        rtol = {2: 1e-3, 4: 1e-6}.get(itemsize, 1e-12)
        where = f"{text}, {loss}"
        assert_allclose(actual[0], expected[0], rtol, err_msg=where)
        assert_allclose(actual[1], expected[1], rtol, err_msg=where)
        seen += 1
    assert seen > 500
