# SPDX-License-Identifier: BSD-3-Clause
"""Statistics of classifications: as defined, for rows of any length, in any layout, and what is refused."""

import dataclasses
import re
import tracemalloc

import numpy as np
import pytest
from conftest import SHAPES, TINY
from numpy.testing import assert_allclose, assert_array_equal
from test_layouts import LAYOUTS, place

import fastloss as fl
from fastloss import reference

INF, NAN = np.inf, np.nan
REALS = ("loss", "log_sum_exp", "entropy", "margin")
INTEGERS = ("arg_max", "rank")
ARRAYS = (*REALS, *INTEGERS, "hits", "counted")
# In ULP of the result, but of its terms for the log-sum-exp, which may cancel. The entropy is a sum of as many products
# as there are classes, divided by another.
ULP = {"loss": 4, "log_sum_exp": 4, "entropy": 6, "margin": 1}


def samples(shape, dtype, seed=0):
    """Rows from flat to confident, near 0 and far from it, with ties; targets ahead, behind, and first and last."""
    random = np.random.default_rng([seed, *shape])
    rows, classes = shape
    spread = random.choice([0.1, 1.0, 4.0, 12.0, 60.0], size=(rows, 1))
    scores = random.normal(size=shape) * spread + random.choice([0.0, -30.0, 200.0, 1e5], size=(rows, 1))
    tied = np.arange(rows) % 4 == 1
    scores[tied] = np.round(scores[tied])
    scores[np.arange(rows) % 7 == 2] = -1.25  # all equal
    targets = random.integers(0, classes, size=rows)
    targets[::3] = 0
    targets[1::5] = classes - 1
    ahead = np.arange(0, rows, 4)
    scores[ahead, targets[ahead]] += 30
    return scores.astype(dtype), targets


def check(stats, scores, targets, define, assert_within, **options):
    true = define("classification_stats")(scores, targets, **options)
    for name in (*INTEGERS, "hits", "counted"):
        assert_array_equal(getattr(stats, name), getattr(true, name), err_msg=name)
    eps = np.finfo(scores.dtype).eps
    for name in REALS:
        result, exact = getattr(stats, name), getattr(true, name)
        assert result.dtype == scores.dtype
        with np.errstate(invalid="ignore"):
            size = np.abs(exact)
            if name == "log_sum_exp":
                largest = np.abs(scores.astype(np.longdouble).max(axis=options.get("axis", -1)))
                size = largest + np.abs(exact - scores.max(axis=options.get("axis", -1)))
        size = np.where(np.isfinite(size), size, 0)
        # An exponential below the normal range may be 0, and is multiplied with its distance from the largest score.
        tiny = np.finfo(scores.dtype).tiny * (-np.log(np.finfo(scores.dtype).tiny) if name == "entropy" else 1)
        assert_within(result, exact, ULP[name] * eps * size + TINY * tiny, name)


def test_statistics_are_as_defined(shape, dtype, isa, define, assert_within):
    scores, targets = samples(shape, dtype)
    check(fl.classification_stats(scores, targets), scores, targets, define, assert_within)


@pytest.mark.parametrize("position", [0, 15, 16, 63, 64, 1023, 1024, 2047, 2048, 2999])
@pytest.mark.parametrize("target", [0, 63, 64, 1000, 1024, 2999])
def test_long_rows(position, target, dtype, isa, define, assert_within):
    """A maximum that rises at, before and after the end of a block, and ties on both sides of a target."""
    scores = np.round(np.random.default_rng(position).normal(size=(5, 3000)) * 2).astype(dtype)
    scores[:, position] = [3, 30, 60, 300, 1e6]
    targets = np.full(5, target)
    check(
        fl.classification_stats(scores, targets, topk=(1, 9, 500)),
        scores,
        targets,
        define,
        assert_within,
        topk=(1, 9, 500),
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("classes", [3, 64, 65, 150, 1500])
def test_layouts(layout, classes, dtype, isa):
    shape = (4, 35, classes) if classes < 1000 else (2, 5, classes)
    rows = shape[0] * shape[1]
    scores, targets = samples((rows, classes), dtype)
    expected = fl.classification_stats(scores, targets, ignore_index=1)
    given, lives = place(layout, shape, dtype)
    given[...] = scores.reshape(shape)
    before = given.copy()
    stats = fl.classification_stats(given, targets.reshape(shape[:-1]), ignore_index=1)
    assert lives()
    assert_array_equal(given, before)
    for name in ARRAYS:
        result = getattr(stats, name)
        assert result.shape[:2] == shape[:2]
        true = getattr(expected, name).reshape(result.shape)
        # From 65 classes on sums are taken in another order where the numbers of one class are adjacent.
        eps = 0 if result.dtype.kind != "f" else 8 * np.finfo(dtype).eps
        assert_allclose(result, true, rtol=eps, atol=eps * 1e-3, err_msg=name)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_layouts_of_half_precision(layout, half, isa):
    if half == "bfloat16":
        half = pytest.importorskip("ml_dtypes").bfloat16
    for shape in ((4, 35, 3), (4, 35, 64), (4, 35, 65), (2, 5, 1500)):
        scores, targets = samples((shape[0] * shape[1], shape[2]), "float32")
        given, lives = place(layout, shape, half)
        given[...] = np.clip(scores, -60000, 60000).reshape(shape)
        targets = targets.reshape(shape[:-1])
        stats = fl.classification_stats(given, targets, ignore_index=1)
        assert lives()
        expected = fl.classification_stats(given.astype(np.float32, order="C"), targets, ignore_index=1)
        for name in ARRAYS:
            assert getattr(stats, name).dtype == getattr(expected, name).dtype
            assert_allclose(getattr(stats, name), getattr(expected, name), rtol=1e-6, atol=1e-9, err_msg=name)


def test_axes(dtype, isa):
    random = np.random.default_rng(2)
    scores, targets = random.normal(size=(2, 3, 5)).astype(dtype), random.integers(0, 5, size=(2, 3))
    expected = fl.classification_stats(scores, targets)
    for axis in range(-3, 3):
        moved = fl.classification_stats(np.moveaxis(scores, -1, axis), targets, axis=axis)
        for name in ARRAYS:
            assert_array_equal(getattr(moved, name), getattr(expected, name))
    one = fl.classification_stats(scores[1, 2], targets[1, 2])
    for name in ARRAYS:
        assert_array_equal(getattr(one, name), getattr(expected, name)[1, 2])
    assert one.hits.shape == (2,)
    assert one.accuracy == float(one.rank == 0)


@pytest.mark.parametrize("classes", [3, 40, 100, 1500])
def test_where_numbers_run_out(classes, dtype, isa, define, assert_within):
    random = np.random.default_rng(classes)
    last, rows = classes - 1, []
    for special in (INF, -INF, NAN):
        for places in ([0], [1], [last], [0, last], [0, 1, last], slice(None)):
            row = random.normal(size=classes)
            row[places] = special
            rows.append(row)
    rows += [np.where(np.arange(classes) % 2, INF, -INF), np.where(np.arange(classes) % 2, NAN, INF)]
    largest = np.finfo(dtype).max
    rows += [np.where(np.arange(classes) == 1, largest, -largest / 4), np.full(classes, -largest)]
    scores = np.repeat(np.array(rows).astype(dtype), 3, axis=0)
    targets = np.tile([0, 1, last], len(rows))
    with np.errstate(all="raise"):
        stats = fl.classification_stats(scores, targets)
        assert np.isnan(stats.perplexity)
    with np.errstate(all="ignore"):
        check(stats, scores, targets, define, assert_within)
    with np.errstate(all="raise"):
        assert fl.classification_stats(np.array([[0.0, 1e4]]), [0]).perplexity == INF


def test_one_class(dtype, isa):
    stats = fl.classification_stats(np.array([[3.0], [-INF], [NAN]], dtype=dtype), [0, 0, 0])
    assert_array_equal(stats.margin, [INF, NAN, NAN])
    assert_array_equal(stats.rank, [0, 0, -1])
    assert_array_equal(stats.loss, [0, NAN, NAN])


def test_tiny_losses_and_entropies_keep_their_digits(dtype, isa):
    for classes in (2, 10, 100, 2000):
        scores = np.full((3, classes), -40, dtype=dtype)
        scores[:, classes // 2] = 0
        stats = fl.classification_stats(scores, np.full(3, classes // 2))
        eps = np.finfo(dtype).eps
        others = (classes - 1) * np.exp(-40.0)
        assert_allclose(stats.loss, np.log1p(others), rtol=6 * eps)
        assert_allclose(stats.entropy, np.log1p(others) + 40 * others / (1 + others), rtol=8 * eps)


def test_agrees_with_the_loss(dtype, isa):
    for shape in SHAPES:
        scores, targets = samples(shape, dtype, seed=1)
        loss = fl.SoftmaxCrossEntropy(reduction="none")(scores, targets)
        eps = np.finfo(dtype).eps
        assert_allclose(
            fl.classification_stats(scores, targets).loss, loss, rtol=8 * eps, atol=8 * np.finfo(dtype).tiny
        )


@pytest.mark.parametrize("classes", [2, 10, 64, 65, 100, 1000])
def test_what_is_ignored(classes, dtype, isa, define, assert_within):
    scores, targets = samples((70, classes), dtype)
    scores[3] = NAN
    for label in (-100, 1, 10**12):
        y = targets.copy()
        y[[0, 3, 20, 69]] = label
        stats = fl.classification_stats(scores, y, ignore_index=label)
        check(stats, scores, y, define, assert_within, ignore_index=label)
        assert_array_equal(stats.counted, y != label)
        nothing = ~stats.counted
        assert not stats.loss[nothing].any()
        assert not stats.margin[nothing].any()
        assert (stats.rank[nothing] == -1).all()
        assert not stats.hits[nothing].any()
        kept = fl.classification_stats(scores[stats.counted], y[stats.counted])
        assert stats.accuracy == kept.accuracy
        assert stats.topk_accuracy == kept.topk_accuracy
        assert_allclose(stats.perplexity, kept.perplexity)


def test_means():
    random = np.random.default_rng(3)
    scores, targets = random.normal(size=(100, 7)), random.integers(0, 7, size=100)
    stats, true = (module.classification_stats(scores, targets, topk=[1, 3]) for module in (fl, reference))
    assert stats.accuracy == true.accuracy
    assert stats.topk_accuracy == true.topk_accuracy == (stats.accuracy, stats.hits[:, 1].mean())
    assert stats.perplexity == pytest.approx(np.exp(fl.SoftmaxCrossEntropy()(scores, targets)), rel=1e-14)
    assert stats.topk == (1, 3)
    assert fl.classification_stats(scores, targets, topk=(2**70,)).topk_accuracy == (1.0,)
    assert type(stats.accuracy) is type(stats.perplexity) is float


def test_a_mean_of_many_float32_does_not_drift():
    scores = np.zeros((3_000_000, 2), np.float32)
    assert fl.classification_stats(scores, np.zeros(3_000_000, int), topk=()).perplexity == pytest.approx(2, rel=1e-7)


@pytest.mark.parametrize("shape", [(0, 3), (2, 0, 3)])
def test_nothing_counts(shape):
    for scores, targets, label in ((np.zeros(shape), np.zeros(shape[:-1], int), None), (np.zeros((2, 3)), [7, 7], 7)):
        stats = fl.classification_stats(scores, targets, ignore_index=label)
        assert np.isnan([stats.accuracy, *stats.topk_accuracy, stats.perplexity]).all()
        assert stats.hits.shape == (*np.shape(targets), 2)
    assert fl.classification_stats(np.zeros((0, 3)), []).loss.shape == (0,)


@pytest.mark.parametrize("classes", [3, 10, 100, 1500])
def test_dtypes(classes, define, assert_within):
    scores, targets = samples((20, classes), "float32")
    scores = np.clip(scores, -1000, 1000).astype(np.float16)
    wide = fl.classification_stats(scores.astype(np.float32), targets)
    half = fl.classification_stats(scores, targets)
    unaligned = np.zeros(20 * classes * 4 + 1, dtype=np.uint8)[1:].view(np.float32).reshape(20, classes)
    unaligned[...] = scores
    swapped = scores.astype(">f4")
    for stats in (half, fl.classification_stats(unaligned, targets), fl.classification_stats(swapped, targets)):
        for name in ARRAYS:
            assert getattr(stats, name).dtype == getattr(wide, name).dtype
            assert_array_equal(getattr(stats, name), getattr(wide, name))
    whole = np.clip(np.round(scores), -9, 9).astype(np.int8)
    assert fl.classification_stats(whole, targets).loss.dtype == np.float64
    check(fl.classification_stats(whole.tolist(), targets), whole.astype(float), targets, define, assert_within)
    for kind in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "uint64", ">i4", ">i8"):
        y = (targets % 3).astype(kind)
        for given in (y, np.repeat(y, 2)[::2], y.tolist()):
            expected = fl.classification_stats(scores, targets % 3)
            assert_array_equal(fl.classification_stats(scores, given).rank, expected.rank)
    huge = np.where(targets % 2, 2**64 - 100, 0).astype(np.uint64)
    with pytest.raises(ValueError, match=f"got {2**64 - 100} at row"):
        fl.classification_stats(scores, huge, ignore_index=-100)


@pytest.mark.parametrize("shape", [(60_000, 3), (20_011, 10), (301, 1000), (40, 20_000)], ids=str)
def test_same_bits_for_any_number_of_threads(shape, dtype):
    scores, targets = samples(shape, dtype)
    found = set()
    for count in (1, 2, 3, 7):
        with fl.num_threads(count):
            stats = fl.classification_stats(scores, targets)
            found.add(b"".join(getattr(stats, name).tobytes() for name in ARRAYS))
    assert len(found) == 1


@pytest.mark.parametrize("classes", [1, 2, 10, 17, 65, 1500])
def test_same_bits_in_any_batch_at_any_position(classes, dtype, isa):
    scores, targets = samples((70, classes), dtype)
    whole = fl.classification_stats(scores, targets)
    for first, last in ((0, 1), (3, 4), (69, 70), (1, 70), (5, 40)):
        part = fl.classification_stats(scores[first:last], targets[first:last])
        for name in ARRAYS:
            assert_array_equal(getattr(part, name), getattr(whole, name)[first:last])


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_no_copy_of_the_scores(dtype, order):
    scores, targets = np.ones((1024, 1024), dtype=dtype, order=order), np.zeros(1024, dtype=int)
    fl.classification_stats(scores[:2], targets[:2])
    tracemalloc.start()
    fl.classification_stats(scores, targets)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_the_result_is_immutable():
    stats = fl.classification_stats([[0.0, 1.0]], [1])
    with pytest.raises(dataclasses.FrozenInstanceError):
        stats.loss = 0
    assert isinstance(stats, fl.ClassificationStats)


def refused(error, *words):
    return pytest.raises(error, match="".join(f"(?=.*{re.escape(word)})" for word in words))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_refused(dtype):
    z, y = np.zeros((2, 3), dtype=dtype), [0, 1]
    for topk in ((0,), (2, -1)):
        with refused(ValueError, "topk: expected integers that are at least 1, got"):
            fl.classification_stats(z, y, topk=topk)
    for topk in ((1.5,), (True,), 5):
        with refused(TypeError, "topk: expected integers, got"):
            fl.classification_stats(z, y, topk=topk)
    with refused(TypeError, "targets: expected integer class indices, got dtype float64"):
        fl.classification_stats(z, [0.0, 1.0])
    with refused(ValueError, "targets: expected one class index for each row of scores, shape (2,), got shape (2, 3)"):
        fl.classification_stats(z, np.zeros((2, 3), int))
    for given in (z, np.asfortranarray(z), np.zeros((3, 2), dtype)[::-1].T):
        with refused(ValueError, "targets: expected class indices in [0, 3), got 3 at row 1"):
            fl.classification_stats(given, [0, 3])
        with refused(ValueError, "in [0, 3) or -1, which is ignored, got -2 at row 0"):
            fl.classification_stats(given, [-2, -1], ignore_index=-1)
    with refused(ValueError, "scores: expected at least one class"):
        fl.classification_stats(np.zeros((2, 0), dtype), y)
    with refused(np.exceptions.AxisError, "axis 2 is out of bounds"):
        fl.classification_stats(z, y, axis=2)
    with refused(TypeError, "axis: expected an integer, got 0.5"):
        fl.classification_stats(z, y, axis=0.5)
    with refused(TypeError, "ignore_index: expected None or an integer, got '1'"):
        fl.classification_stats(z, y, ignore_index="1")
    with refused(TypeError, "scores: expected real numbers"):
        fl.classification_stats(z.astype(complex), y)
