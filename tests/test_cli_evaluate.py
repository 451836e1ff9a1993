# SPDX-License-Identifier: BSD-3-Clause
"""``fastloss evaluate``: the same numbers as one call on arrays, in constant memory, and all or nothing in files."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fastloss
from fastloss import cli
from fastloss.cli import samples
from fastloss.cli.array_files import ArrayReader
from fastloss.cli.loss_options import loss_classes, make_loss

LOSSES = sorted(loss_classes())
ROWWISE = [name for name in LOSSES if loss_classes()[name].family == "rowwise"]
DTYPES = ("float16", "float32", "float64", "int32", ">f4")
SHAPES = {"rowwise": [(7,), (300, 7), (4, 50, 3), (2, 3, 5, 4)], "elementwise": [(), (500,), (300, 7), (4, 50, 3)]}
CASES = [(name, shape) for name in LOSSES for shape in SHAPES[loss_classes()[name].family]]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Many blocks even for small files."""
    monkeypatch.setattr(samples, "BLOCK_BYTES", 300)
    monkeypatch.setattr(samples, "FORTRAN_BLOCK_BYTES", 300)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty directory to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(name, shape, dtype="float32", seed=0):
    """Return scores and targets for a loss."""
    random = np.random.default_rng(seed)
    scores = np.asarray(random.normal(scale=3, size=shape)).astype(dtype)
    if loss_classes()[name].family == "rowwise":
        return scores, np.asarray(random.integers(0, shape[-1], size=shape[:-1]))
    return scores, np.asarray(random.random(shape))


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


def near(value, name, dtype="float32"):
    """The same mean or sum, however the rows are cut into blocks."""
    # Row by row a kernel adds in double. Elementwise, it takes one logarithm of the product of a few samples,
    # in the precision of the scores, and a cut elsewhere makes other products.
    in_double = loss_classes()[name].family == "rowwise" or np.dtype(dtype).kind == "i" or dtype == "float64"
    return pytest.approx(value, rel=1e-14 if in_double else float(np.finfo(np.float32).eps))


def save(scores, targets):
    np.save("s.npy", scores)
    np.save("t.npy", targets)


def weights_for(targets):
    """Return weights of every shape that a loss takes for these targets."""
    random = np.random.default_rng(1)
    return [np.asarray(random.random(targets.shape[:axes])) for axes in range(targets.ndim + 1)]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(("name", "score_shape"), CASES)
def test_same_as_one_call(name, score_shape, order, folder, capsys):
    scores, targets = make(name, score_shape)
    save(np.asarray(scores, order=order), np.asarray(targets, order=order))
    loss = make_loss(name, [])
    each = loss.replace(reduction="none")
    for weight in (None, *weights_for(targets)):
        arguments = ["--loss", name, "--per-sample", "p.npy", "--grad", "g.npy"]
        if weight is not None:
            np.save("w.npy", weight)
            arguments += ["--sample-weight", "w.npy"]
        result = evaluate(capsys, *arguments)
        value, gradient = loss.value_and_grad(scores, targets, weight)
        assert result["mean_loss"] == near(value, name)
        found = np.load("g.npy")
        assert (found.shape, found.dtype) == (scores.shape, gradient.dtype)
        np.testing.assert_allclose(found, gradient, rtol=4 * np.finfo(np.float32).eps)
        # A sample has the same bits in every block.
        assert np.array_equal(np.load("p.npy"), each(scores, targets, weight))
        assert result["samples"] == targets.size
        assert result["rows"] == (math.prod(score_shape[:-1]) if len(score_shape) > 1 else targets.size)
        covered = 1.0 if weight is None else np.broadcast_to(weight.T, targets.T.shape).sum() / targets.size
        assert result["total_weight"] == pytest.approx(covered * targets.size)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("score_dtype", DTYPES)
def test_dtypes(name, score_dtype, folder, capsys):
    scores, targets = make(name, (90, 5), score_dtype)
    save(scores, targets)
    loss = make_loss(name, [])
    wide = np.float32 if score_dtype == "float16" else scores.dtype
    value, gradient = loss.value_and_grad(scores.astype(wide), targets)
    result = evaluate(capsys, "--loss", name, "--grad", "g.npy", "--per-sample", "p.npy")
    assert result["mean_loss"] == near(value, name, score_dtype)
    found = np.load("g.npy")
    # Half precision would lose the gradient of a mean over many rows.
    assert found.dtype == gradient.dtype.newbyteorder("=")
    np.testing.assert_allclose(found, gradient, rtol=4 * np.finfo(found.dtype).eps)
    each = loss.replace(reduction="none")(scores, targets)
    assert np.load("p.npy").dtype == each.dtype
    assert np.array_equal(np.load("p.npy"), each)


@pytest.mark.parametrize("name", LOSSES)
def test_without_gradient(name, folder, capsys):
    scores, targets = make(name, (90, 5))
    save(scores, targets)
    weight = np.random.default_rng(1).random(90)
    np.save("w.npy", weight)
    loss = make_loss(name, [])
    assert evaluate(capsys, "--loss", name)["mean_loss"] == near(loss(scores, targets), name)
    found = evaluate(capsys, "--loss", name, "--sample-weight", "w.npy")["mean_loss"]
    assert found == near(loss(scores, targets, weight), name)


@pytest.mark.parametrize("name", LOSSES)
def test_sum(name, folder, capsys):
    scores, targets = make(name, (90, 5))
    save(scores, targets)
    value, gradient = make_loss(name, ["reduction=sum"]).value_and_grad(scores, targets)
    result = evaluate(capsys, "--loss", name, "--option", "reduction=sum", "--grad", "g.npy")
    assert result["options"]["reduction"] == "sum"
    assert result["sum_loss"] == near(value, name)
    assert result["mean_loss"] == near(value / targets.size, name)
    assert np.array_equal(np.load("g.npy"), gradient)


@pytest.mark.parametrize(("score_order", "target_order"), [("C", "F"), ("F", "C")])
def test_files_of_different_order(score_order, target_order, folder, capsys):
    scores, targets = make("sigmoid-cross-entropy", (6, 10, 3))
    save(np.asarray(scores, order=score_order), np.asarray(targets, order=target_order))
    found = evaluate(capsys, "--loss", "sigmoid-cross-entropy")["mean_loss"]
    assert found == near(fastloss.SigmoidCrossEntropy()(scores, targets), "sigmoid-cross-entropy")


def test_options_reach_the_loss(folder, capsys):
    scores, targets = make("multiclass-hinge", (90, 5))
    save(scores, targets)
    options = ["form=crammer-singer", "margin=0.5", "power=2"]
    result = evaluate(
        capsys, "--loss", "multiclass-hinge", *[word for option in options for word in ("--option", option)]
    )
    loss = fastloss.MulticlassHinge(form="crammer-singer", margin=0.5, power=2)
    assert result["mean_loss"] == near(loss(scores, targets), "multiclass-hinge")
    assert result["options"] == {"form": "crammer-singer", "margin": 0.5, "power": 2, "reduction": "mean"}


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ("marjin=1", "form, margin, power"),
        ("margin", "key=value"),
        ("power=3", "1 or 2"),
        ("form=ww", "weston-watkins or crammer-singer"),
        ("margin=wide", "margin"),
        ("margin=-1", "margin"),
        ("margin=inf", "margin"),
        ("reduction=none", "--per-sample"),
        ("_kernel=1", "form, margin, power"),
    ],
)
def test_bad_option(option, named, folder, capsys):
    save(*make("multiclass-hinge", (9, 5)))
    assert named in refused(capsys, "--loss", "multiclass-hinge", "--option", option)


def test_option_given_twice(folder, capsys):
    save(*make("multiclass-hinge", (9, 5)))
    options = ["--option", "margin=1", "--option", "margin=2"]
    assert "twice" in refused(capsys, "--loss", "multiclass-hinge", *options)


def test_accuracy_of_classes(folder, capsys):
    scores = np.zeros((100, 4), np.float32)
    predicted = np.arange(100) % 4
    scores[np.arange(100), predicted] = 2
    targets = np.where(np.arange(100) < 75, predicted, (predicted + 1) % 4)
    weight = np.where(np.arange(100) < 75, 1.0, 3.0)
    save(scores, targets)
    np.save("w.npy", weight)
    assert evaluate(capsys, "--loss", "softmax-cross-entropy")["accuracy"] == 0.75
    weighted = evaluate(capsys, "--loss", "softmax-cross-entropy", "--sample-weight", "w.npy")
    assert weighted["accuracy"] == 0.5
    scores[0] = np.nan  # predicts nothing, and certainly not class 0, where arg max finds it
    save(scores, targets)
    assert evaluate(capsys, "--loss", "softmax-cross-entropy")["accuracy"] == 0.74


def test_accuracy_of_signs(folder, capsys):
    scores = np.tile(np.float32([2, -2, 0, 1]), (50, 1))
    targets = np.tile(np.float32([0.9, 0.2, 1, 0]), (50, 1))
    save(scores, targets)
    assert evaluate(capsys, "--loss", "sigmoid-cross-entropy")["accuracy"] == 0.5
    np.save("w.npy", np.tile(np.float32([3, 3, 1, 1]), (50, 1)))
    weighted = evaluate(capsys, "--loss", "sigmoid-cross-entropy", "--sample-weight", "w.npy")
    assert weighted["accuracy"] == 0.75


def test_perplexity(folder, capsys):
    save(np.zeros((50, 8), np.float32), np.zeros(50, int))
    result = evaluate(capsys, "--loss", "softmax-cross-entropy")
    assert result["perplexity"] == pytest.approx(8)
    assert evaluate(capsys, "--loss", "multiclass-hinge")["perplexity"] is None
    save(np.float32([[0, 1e4]]), np.array([0]))
    assert evaluate(capsys, "--loss", "softmax-cross-entropy")["perplexity"] == math.inf


def test_text(folder, capsys):
    save(np.zeros((50, 8), np.float32), np.zeros(50, int))
    assert cli.main(["evaluate", "s.npy", "t.npy", "--loss", "softmax-cross-entropy"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.replace("mean loss", "mean").splitlines())
    assert lines["loss"] == "SoftmaxCrossEntropy(reduction='mean')"
    assert lines["mean"].startswith("2.079441541")
    assert lines["perplexity"] == "8"
    assert lines["accuracy"] == "100.00%"
    assert lines["rows"] == "50"
    assert float(lines["rows/s"].replace(",", "")) > 0
    assert float(lines["GB/s"]) >= 0


@pytest.mark.parametrize("name", LOSSES)
def test_no_rows(name, folder, capsys):
    scores, targets = make(name, (0, 5))
    save(scores, targets)
    result = evaluate(capsys, "--loss", name, "--grad", "g.npy", "--per-sample", "p.npy")
    assert math.isnan(result["mean_loss"])
    assert math.isnan(result["accuracy"])
    assert result["rows"] == 0
    assert np.load("g.npy").shape == (0, 5)
    assert np.load("p.npy").shape == targets.shape


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_counts(name, folder, capsys):
    scores, targets = make(name, (30, 5))
    scores[3] = np.nan
    save(scores, targets)
    np.save("w.npy", np.zeros(30))
    result = evaluate(capsys, "--loss", name, "--sample-weight", "w.npy", "--grad", "g.npy", "--per-sample", "p.npy")
    assert math.isnan(result["mean_loss"])
    assert not np.load("g.npy").any()
    assert not np.load("p.npy").any()


def test_infinite_losses_of_both_signs(folder, capsys):
    save(np.float32([[0, -np.inf]] * 60), np.ones(60, int))
    np.save("w.npy", np.where(np.arange(60) < 30, 1.0, -2.0))
    assert math.isnan(evaluate(capsys, "--loss", "softmax-cross-entropy", "--sample-weight", "w.npy")["mean_loss"])


@pytest.mark.parametrize("name", ROWWISE)
@pytest.mark.parametrize("label", [-1, 5])
@pytest.mark.parametrize("outputs", [[], ["--grad", "g.npy", "--per-sample", "p.npy"]])
def test_bad_label_names_its_row_in_the_file(name, label, outputs, folder, capsys):
    scores, targets = make(name, (4, 50, 5))
    targets[2, 37] = label
    targets[3, 0] = label
    save(scores, targets)
    shown = refused(capsys, "--loss", name, *outputs)
    assert f"t.npy: label {label} at row 137: expected a class index in [0, 5)" in shown


@pytest.mark.parametrize("value", [-0.25, 1.5, np.nan])
def test_bad_probability_names_its_position_in_the_file(value, folder, capsys):
    scores, targets = make("sigmoid-cross-entropy", (80, 5))
    targets[61, 3] = value
    save(scores, targets)
    shown = refused(capsys, "--loss", "sigmoid-cross-entropy", "--grad", "g.npy")
    assert f"t.npy: target {value} at position 308: expected a probability in [0, 1]" in shown


def test_bad_weight_names_its_position_in_the_file(folder, capsys):
    save(*make("softmax-cross-entropy", (90, 5)))
    weight = np.ones(90)
    weight[77] = np.inf
    np.save("w.npy", weight)
    shown = refused(capsys, "--loss", "softmax-cross-entropy", "--sample-weight", "w.npy")
    assert "w.npy: expected finite weights, got inf at position 77" in shown


@pytest.mark.parametrize(
    ("scores", "targets", "named"),
    [
        (np.zeros((9, 5)), np.zeros(8, int), "expected targets of shape (9,)"),
        (np.zeros((9, 5)), np.zeros((9, 1), int), "got shape (9, 1)"),
        (np.zeros(()), np.zeros((), int), "shape (..., classes)"),
        (np.zeros((9, 0)), np.zeros(9, int), "class"),
        (np.zeros((9, 5)), np.zeros(9), "float64"),
        (np.zeros((9, 5)), np.zeros(9, bool), "bool"),
        (np.zeros((9, 5), complex), np.zeros(9, int), "complex128"),
        (np.zeros((9, 5), np.longdouble), np.zeros(9, int), str(np.dtype(np.longdouble))),
        (np.full((9, 5), "a"), np.zeros(9, int), "<U1"),
        (np.zeros(9, "f4,f4"), np.zeros(9, int), "'f0'"),
        (np.zeros((9, 5), "M8[s]"), np.zeros(9, int), "datetime64"),
    ],
)
def test_arrays_that_do_not_fit(scores, targets, named, folder, capsys):
    save(scores, targets)
    assert named in refused(capsys, "--loss", "softmax-cross-entropy", "--grad", "g.npy")


@pytest.mark.parametrize("weight_shape", [(5,), (9, 1), (1,), (9, 5)])
def test_weights_that_do_not_fit(weight_shape, folder, capsys):
    save(*make("softmax-cross-entropy", (9, 5)))
    np.save("w.npy", np.ones(weight_shape))
    shown = refused(capsys, "--loss", "softmax-cross-entropy", "--sample-weight", "w.npy")
    assert f"w.npy: expected weights of shape (9,) or a leading part of it, got shape {weight_shape}" in shown


class Bomb:
    """Unpickling this leaves a file behind."""

    def __reduce__(self):
        """Make a file, once unpickled."""
        return Path.touch, (Path("exploded"),)


def test_objects_are_never_unpickled(folder, capsys):
    array = np.empty((9, 5), object)
    array[:] = Bomb()
    np.save("s.npy", array, allow_pickle=True)
    np.save("t.npy", np.zeros(9, int))
    assert "never unpickled" in refused(capsys, "--loss", "softmax-cross-entropy")
    np.save("t.npy", array[:, 0], allow_pickle=True)
    np.save("s.npy", np.zeros((9, 5)))
    assert "never unpickled" in refused(capsys, "--loss", "softmax-cross-entropy")


def header(text, version=b"\x01\x00"):
    """Return the start of a `.npy` file with this description."""
    length = len(text).to_bytes(2 if version == b"\x01\x00" else 4, "little")
    return b"\x93NUMPY" + version + length + text.encode()


DAMAGED = {
    "empty": b"",
    "text": b"1 2 3\n4 5 6\n",
    "pickle": b"\x80\x05\x95",
    "magic only": b"\x93NUMPY",
    "no header": b"\x93NUMPY\x01\x00",
    "short header": b"\x93NUMPY\x01\x00\xff\x00{",
    "version 9": header("{}", b"\x09\x00"),
    "no dictionary": header("12"),
    "open bracket": header("{'descr': '<f4', 'fortran_order': False, 'shape': (((("),
    "call": header("{'descr': '<f4', 'fortran_order': False, 'shape': (print(),)}"),
    "missing key": header("{'descr': '<f4', 'shape': (9, 5)}"),
    "bad dtype": header("{'descr': 'f99', 'fortran_order': False, 'shape': (9, 5)}"),
    "negative shape": header("{'descr': '<f4', 'fortran_order': False, 'shape': (-9, -5)}"),
    "no data": header("{'descr': '<f4', 'fortran_order': False, 'shape': (9, 5)}"),
    "huge": header("{'descr': '<f4', 'fortran_order': False, 'shape': (9, " + "9" * 40 + ")}"),
    "long header": header(" " * 60_000),
    "line break": header("{'descr': 'f\n4', 'fortran_order': False, 'shape': (9, 5)}"),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damaged_file(content, folder, capsys):
    np.save("t.npy", np.zeros(9, int))
    Path("s.npy").write_bytes(content)
    assert "s.npy: " in refused(capsys, "--loss", "softmax-cross-entropy")


def test_file_that_was_cut_short(folder, capsys):
    save(*make("softmax-cross-entropy", (90, 5)))
    with Path("s.npy").open("r+b") as file:
        file.truncate(1_000)
    assert "s.npy: cut short" in refused(capsys, "--loss", "softmax-cross-entropy")


def test_header_of_version_2(folder, capsys):
    scores, targets = make("softmax-cross-entropy", (90, 5))
    save(scores, targets)
    with Path("s.npy").open("wb") as file:
        np.lib.format.write_array(file, scores, version=(2, 0))
    found = evaluate(capsys, "--loss", "softmax-cross-entropy")["mean_loss"]
    assert found == near(fastloss.SoftmaxCrossEntropy()(scores, targets), "softmax-cross-entropy")


def test_file_that_is_no_file(folder, capsys):
    scores, targets = make("softmax-cross-entropy", (9, 5))
    save(scores, targets)
    loss = ["--loss", "softmax-cross-entropy"]
    np.savez("a.npz", scores)
    assert ".npz archive" in refused(capsys, *loss, files=("a.npz", "t.npy"))
    assert "missing.npy: No such file" in refused(capsys, *loss, files=("s.npy", "missing.npy"))
    assert "w.npy: No such file" in refused(capsys, *loss, "--sample-weight", "w.npy")
    Path("folder").mkdir()
    assert "folder: not a regular file" in refused(capsys, *loss, files=("folder", "t.npy"))
    assert "null" in refused(capsys, *loss, files=("a\0b.npy", "t.npy"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_are_refused_instead_of_waited_for(folder, capsys):
    save(*make("softmax-cross-entropy", (9, 5)))
    os.mkfifo("pipe")
    loss = ["--loss", "softmax-cross-entropy"]
    assert "pipe: not a regular file" in refused(capsys, *loss, files=("pipe", "t.npy"))
    assert "pipe: exists and is not a regular file" in refused(capsys, *loss, "--grad", "pipe")


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="everybody may read everything")
def test_file_that_may_not_be_read(folder, capsys):
    save(*make("softmax-cross-entropy", (9, 5)))
    Path("s.npy").chmod(0)
    assert "s.npy: Permission denied" in refused(capsys, "--loss", "softmax-cross-entropy")


@pytest.mark.parametrize("output", ["--grad", "--per-sample"])
@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("s.npy", "is an input"),
        ("./folder/../t.npy", "is an input"),
        ("w.npy", "is an input"),
        ("link.npy", "is an input"),
        ("hard.npy", "is an input"),
        ("folder", "not a regular file"),
        ("missing/g.npy", "directory does not exist"),
        ("s.npy/g.npy", "s.npy/g.npy: "),
        ("x" * 300, "cannot write"),
    ],
)
def test_output_that_is_refused(output, name, named, folder, capsys):
    scores, targets = make("softmax-cross-entropy", (90, 5))
    save(scores, targets)
    np.save("w.npy", np.ones(90))
    Path("folder").mkdir()
    Path("link.npy").symlink_to("s.npy")
    Path("hard.npy").hardlink_to("t.npy")
    arguments = ["--loss", "softmax-cross-entropy", "--sample-weight", "w.npy", output, name]
    assert named in refused(capsys, *arguments)
    assert np.array_equal(np.load("s.npy"), scores)
    assert np.array_equal(np.load("t.npy"), targets)


def test_outputs_need_a_file_each(folder, capsys):
    save(*make("softmax-cross-entropy", (9, 5)))
    Path("folder").mkdir()
    arguments = ["--loss", "softmax-cross-entropy", "--grad", "o.npy", "--per-sample", "folder/../o.npy"]
    assert "file of its own" in refused(capsys, *arguments)


def test_output_replaces_what_was_there(folder, capsys):
    scores, targets = make("softmax-cross-entropy", (90, 5))
    save(scores, targets)
    Path("old.npy").write_text("something else")
    Path("old.npy").chmod(0o600)
    Path("link.npy").symlink_to("old.npy")
    evaluate(capsys, "--loss", "softmax-cross-entropy", "--grad", "link.npy", "--per-sample", "new.npy")
    assert Path("link.npy").is_symlink()
    assert np.load("old.npy").shape == scores.shape
    if sys.platform != "win32":
        assert Path("old.npy").stat().st_mode & 0o777 == 0o600
        Path("plain").touch()
        assert Path("new.npy").stat().st_mode == Path("plain").stat().st_mode


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, OSError("input/output error")])
def test_interruption_leaves_nothing(error, folder, capsys, monkeypatch):
    save(*make("softmax-cross-entropy", (90, 5)))
    Path("g.npy").write_text("from before")
    read = samples.Samples.read

    def interrupted(self, start, stop):
        assert len(list(folder.glob(".fastloss-*"))) == 2
        if start > 40:
            raise error
        return read(self, start, stop)

    monkeypatch.setattr(samples.Samples, "read", interrupted)
    arguments = ["--loss", "softmax-cross-entropy", "--grad", "g.npy", "--per-sample", "p.npy"]
    code = cli.main(["evaluate", "s.npy", "t.npy", *arguments])
    assert code == (130 if error is KeyboardInterrupt else 2)
    assert capsys.readouterr().err.count("\n") == 1
    assert sorted(path.name for path in folder.iterdir()) == ["g.npy", "s.npy", "t.npy"]
    assert Path("g.npy").read_text() == "from before"


def sparse(name, shape, order="C"):
    """Make a `.npy` file of float32 zeros that takes no room on the disk."""
    with Path(name).open("wb") as file:
        description = {"descr": "<f4", "fortran_order": order == "F", "shape": shape}
        np.lib.format.write_array_header_1_0(file, description)
        file.truncate(file.tell() + 4 * math.prod(shape))


def start(code, *arguments):
    """Start Python with a piece of code."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environment = os.environ | {"FASTLOSS_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def finish(process):
    """Wait for the end and return exit code, stdout and stderr."""
    shown, errors = process.communicate(timeout=120)
    return process.returncode, shown, errors


@pytest.mark.skipif(sys.platform == "win32", reason="signals end a process there without a word")
@pytest.mark.parametrize(("name", "code", "said"), [("SIGINT", 130, "fastloss: interrupted\n"), ("SIGTERM", 143, "")])
def test_signal_leaves_nothing(name, code, said, folder):
    sparse("s.npy", (4_000_000, 1_000))
    sparse("w.npy", (4_000_000,))
    np.save("t.npy", np.zeros(4_000_000, np.int8))
    # A runner in the background may have told its children to ignore Ctrl-C.
    process = start(
        "import signal, sys; from fastloss.cli import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "signal.signal(signal.SIGTERM, signal.SIG_DFL)\n"
        "sys.exit(main(sys.argv[1:]))",
        *("evaluate", "s.npy", "t.npy", "--loss", "softmax-cross-entropy", "--grad", "g.npy"),
    )
    until = time.monotonic() + 60
    while not any(path.stat().st_size > 1_000 for path in folder.glob(".fastloss-*")):
        assert time.monotonic() < until
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)
    process.send_signal(getattr(signal, name))
    assert finish(process) == (code, "", said)
    assert sorted(path.name for path in folder.iterdir()) == ["s.npy", "t.npy", "w.npy"]


LIMITED = """
import resource, sys
import numpy as np
from fastloss.cli import main
kind, limit, *arguments = sys.argv[1:]
if kind == "AS":  # on top of what Python and NumPy take
    with open("/proc/self/statm") as file:
        limit = int(limit) + int(file.read().split()[0]) * resource.getpagesize()
hard = resource.getrlimit(getattr(resource, "RLIMIT_" + kind))[1]
resource.setrlimit(getattr(resource, "RLIMIT_" + kind), (int(limit), hard))
"""
COMMAND = "sys.exit(main(arguments))"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and needs limits that hold")


@LINUX
def test_constant_memory(folder):
    sparse("s.npy", (1_000_000, 64))
    np.save("t.npy", np.zeros(1_000_000, np.uint8))
    sparse("w.npy", (1_000_000,))
    arguments = ["evaluate", "s.npy", "t.npy", "--loss", "multiclass-hinge", "--json", "--sample-weight", "w.npy"]
    arguments += ["--grad", "g.npy", "--per-sample", "p.npy"]
    limit = 40 << 20
    assert Path("s.npy").stat().st_size > 6 * limit
    code, shown, errors = finish(start(LIMITED + COMMAND, "AS", limit, *arguments))
    assert (code, errors) == (0, "")
    assert json.loads(shown)["rows"] == 1_000_000
    # The limit is one: the file as a whole does not fit.
    code, _, errors = finish(start(LIMITED + "np.load('s.npy', mmap_mode='r')", "AS", limit))
    assert code == 1
    assert "Cannot allocate memory" in errors


RESIDENT = """
import re, sys
from pathlib import Path
from fastloss.cli import main
def peak():
    return int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) << 10
before = peak()
main(sys.argv[1:])
print(peak() - before)
"""


@LINUX
@pytest.mark.parametrize("order", ["C", "F"])
def test_constant_resident_memory(order, folder):
    sparse("s.npy", (2_000_000, 100), order)
    np.save("t.npy", np.zeros(2_000_000, np.uint8))
    arguments = ["evaluate", "s.npy", "t.npy", "--loss", "multiclass-hinge", "--json"]
    code, shown, errors = finish(start(RESIDENT, *arguments))
    assert (code, errors) == (0, "")
    taken = int(shown.splitlines()[-1])
    assert 0 < taken < 100 << 20
    assert Path("s.npy").stat().st_size > 7 * (100 << 20)


@LINUX
def test_disk_that_is_full(folder):
    scores, targets = make("softmax-cross-entropy", (90_000, 5))
    save(scores, targets)
    arguments = ["evaluate", "s.npy", "t.npy", "--loss", "softmax-cross-entropy", "--grad", "g.npy"]
    for limit in (100, 50_000, scores.nbytes):
        code, shown, errors = finish(start(LIMITED + COMMAND, "FSIZE", limit, *arguments))
        assert (code, shown) == (2, "")
        assert errors.startswith("fastloss: ")
        assert errors.endswith("g.npy: cannot write: File too large\n")
        assert sorted(path.name for path in folder.iterdir()) == ["s.npy", "t.npy"]


def test_files_are_read_in_blocks(folder, capsys, monkeypatch):
    save(*make("softmax-cross-entropy", (90, 5)))
    sizes = []
    rows = ArrayReader.rows

    def counted(self, start, stop, row_ndim):
        block = rows(self, start, stop, row_ndim)
        sizes.append(block.nbytes)
        return block

    monkeypatch.setattr(ArrayReader, "rows", counted)
    evaluate(capsys, "--loss", "softmax-cross-entropy")
    assert len(sizes) > 10
    assert max(sizes) <= samples.BLOCK_BYTES
