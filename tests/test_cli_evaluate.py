# SPDX-License-Identifier: BSD-3-Clause
"""``fastloss evaluate``: the same numbers as one call on arrays, and mistakes named as in the whole file."""

import math

import numpy as np
import pytest
from evaluate_command import evaluate, make, refused, save

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


def near(value, name, dtype="float32"):
    """The same mean or sum, however the rows are cut into blocks."""
    # Row by row a kernel adds in double. Elementwise, it takes one logarithm of the product of a few samples,
    # in the precision of the scores, and a cut elsewhere makes other products.
    in_double = loss_classes()[name].family == "rowwise" or np.dtype(dtype).kind == "i" or dtype == "float64"
    return pytest.approx(value, rel=1e-14 if in_double else float(np.finfo(np.float32).eps))


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


@pytest.mark.parametrize("name", LOSSES)
def test_batch_mean(name, folder, capsys):
    scores, targets = make(name, (90, 5))
    save(scores, targets)
    weight = np.random.default_rng(1).choice([0.0, 0.5, 2.0], 90)
    np.save("w.npy", weight)
    value, gradient = make_loss(name, ["reduction=batch_mean"]).value_and_grad(scores, targets, weight)
    arguments = ["--loss", name, "--option", "reduction=batch_mean", "--sample-weight", "w.npy"]
    assert evaluate(capsys, *arguments)["mean_loss"] == near(value, name)
    assert evaluate(capsys, *arguments, "--grad", "g.npy")["mean_loss"] == near(value, name)
    np.testing.assert_allclose(np.load("g.npy"), gradient, rtol=1e-6)


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
    assert result["options"] == {
        "form": "crammer-singer",
        "margin": 0.5,
        "power": 2,
        "axis": -1,
        "class_weight": None,
        "ignore_index": None,
        "reduction": "mean",
    }


@pytest.mark.parametrize("name", ["MulticlassHinge", "multiclass_hinge", "multiclass-hinge"])
def test_names_of_a_loss(name, folder, capsys):
    save(*make("multiclass-hinge", (9, 5)))
    assert evaluate(capsys, "--loss", name)["loss"] == "multiclass-hinge"


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
        ("axis=1", "last axis"),
        ("axis=1.5", "axis: expected an integer"),
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
    scores[:, 1] = np.nan  # predicts nothing, although it is not greater than 0
    save(scores, targets)
    assert evaluate(capsys, "--loss", "sigmoid-cross-entropy")["accuracy"] == 0.25


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
    assert lines["loss"] == repr(fastloss.SoftmaxCrossEntropy())
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
    if loss_classes()[name].target_kind in {"number", "count"}:
        assert result["accuracy"] is None  # predictions of numbers are not right or wrong
    else:
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
