# SPDX-License-Identifier: BSD-3-Clause
"""Every example runs as its readers will run it, and says something about its result."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))


def imported(script):
    """Return the top-level modules that a script imports."""
    tree = ast.parse(script.read_text(encoding="utf-8"))
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names}


def run(script, *arguments):
    missing = [name for name in imported(script) if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    command = [sys.executable, "-W", "error", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_there_are_examples():
    assert SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_example_runs(script):
    assert any(character.isdigit() for character in run(script))


def test_streaming_perplexity_reads_files(tmp_path):
    classes = 7
    np.save(tmp_path / "scores.npy", np.zeros((1_000, classes), np.float32))
    np.save(tmp_path / "tokens.npy", np.arange(1_000) % classes)
    shown = run(EXAMPLES / "streaming_perplexity.py", tmp_path / "scores.npy", tmp_path / "tokens.npy")
    # Scores that know nothing are as perplexed as there are classes.
    assert shown == f"perplexity {classes:.4f}\n"
