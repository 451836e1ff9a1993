# SPDX-License-Identifier: BSD-3-Clause
"""Input for ``fastloss evaluate``, and two ways to run it in the current directory."""

import json
from pathlib import Path

import numpy as np
from domains import element_targets, into_domain

from fastloss import cli
from fastloss.cli.loss_options import loss_classes


def make(name, shape, dtype="float32", seed=0):
    """Return scores and targets for a loss."""
    random = np.random.default_rng(seed)
    scores = np.asarray(random.normal(scale=3, size=shape)).astype(dtype)
    loss = loss_classes()[name]()
    if loss.family == "rowwise":
        return scores, np.asarray(random.integers(0, shape[-1], size=shape[:-1]))
    return into_domain(loss, scores), np.asarray(element_targets(loss, random.random(shape)))


def evaluate(capsys, *arguments):
    """Run the command on ``s.npy`` and ``t.npy`` and return what it prints as JSON."""
    code = cli.main(["evaluate", "s.npy", "t.npy", "--json", *arguments])
    shown = capsys.readouterr()
    assert (code, shown.err) == (0, "")
    return json.loads(shown.out)


def refused(capsys, *arguments, files=("s.npy", "t.npy")):
    """Run the command, see it refuse, and return its line."""
    before = sorted(path.name for path in Path.cwd().iterdir())
    code = cli.main(["evaluate", *files, *arguments])
    shown = capsys.readouterr()
    assert (code, shown.out) == (2, "")
    assert shown.err.startswith("fastloss: ")
    assert shown.err.count("\n") == 1
    assert sorted(path.name for path in Path.cwd().iterdir()) == before
    return shown.err


def save(scores, targets):
    np.save("s.npy", scores)
    np.save("t.npy", targets)
