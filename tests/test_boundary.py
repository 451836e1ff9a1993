# SPDX-License-Identifier: BSD-3-Clause
"""Everything that is refused, with a message that names the argument, and odd input that is not."""

import re

import numpy as np
import pytest
from domains import element_targets, into_domain
from numpy.testing import assert_allclose, assert_array_equal

import fastloss as fl

SHAPES = [(1, 1), (6, 5), (9, 40), (2, 1500)]


def refused(error, *words):
    """Expect an error whose message has all these words, in any order."""
    return pytest.raises(error, match="(?s)" + "".join(f"(?=.*{re.escape(word)})" for word in words))


@pytest.fixture
def given(loss, make_samples):
    scores, targets, _ = make_samples(loss, "float64", (6, 5))
    return scores, targets


@pytest.mark.parametrize(
    "scores",
    [
        np.zeros((6, 5), dtype=object),
        np.full((6, 5), "1"),
        np.zeros((6, 5), dtype=complex),
        np.zeros((6, 5), dtype=np.longdouble),
        np.zeros((6, 5), dtype="m8[s]"),
        np.full((6, 5), b"1"),
    ],
    ids=lambda scores: str(scores.dtype),
)
def test_scores_of_no_use(loss, given, scores):
    if scores.dtype == np.longdouble and np.dtype(np.longdouble) == np.dtype(np.float64):
        pytest.skip("long double is double here")
    for method in (loss, loss.value_and_grad, loss.value_grad_hess):
        with refused(TypeError, "scores", str(scores.dtype)):
            method(scores, given[1])


def test_scores_without_a_class_axis(row_loss):
    with refused(ValueError, "scores", "axis"):
        row_loss(np.float64(1.0), 0)


@pytest.mark.parametrize("targets", [[0.0, 1.0, 0.0], [True, False, True], ["0", "1", "0"], [0j, 1j, 0j], [None] * 3])
def test_class_indices_of_no_use(row_loss, targets):
    with refused(TypeError, "targets", str(np.asarray(targets).dtype), "integer"):
        row_loss(np.zeros((3, 4)), targets)


@pytest.mark.parametrize("targets", [["0", "1", "0"], [0j, 1j, 0j], [None] * 3])
def test_probabilities_of_no_use(element_loss, targets):
    with refused(TypeError, "targets", str(np.asarray(targets).dtype)):
        element_loss(np.zeros(3), targets)


@pytest.mark.parametrize("shape", [(), (5,), (6, 1), (1, 6), (6, 5), (7,)])
def test_class_indices_of_another_shape(row_loss, shape):
    with refused(ValueError, "targets", "(6,)", str(shape)):
        row_loss(np.zeros((6, 5)), np.zeros(shape, dtype=int))


@pytest.mark.parametrize("shape", [(), (6,), (6, 1), (1, 5), (5, 6), (1, 6, 5), (30,)])
def test_probabilities_are_not_broadcast(element_loss, shape):
    with refused(ValueError, "targets", "(6, 5)", str(shape)):
        element_loss(np.zeros((6, 5)), np.zeros(shape))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint32", "int64", "uint64", ">i4"])
@pytest.mark.parametrize("bad", [5, -1, 100, "most", "least"])
@pytest.mark.parametrize("row", [0, 3, 5])
def test_label_outside(row_loss, row, bad, dtype, make_samples):
    limits = np.iinfo(dtype)
    label = {"most": limits.max, "least": limits.min}.get(bad, bad)
    if not limits.min <= label <= limits.max or 0 <= label < 5:
        label = limits.max
    scores, targets, _ = make_samples(row_loss, "float32", (6, 5))
    targets = targets.astype(dtype)
    targets[row] = label
    out, hess_out = np.full((6, 5), 7, dtype=np.float32), np.full((6, 5), 7, dtype=np.float32)
    before = scores.copy()
    for call in (
        lambda: row_loss(scores, targets),
        lambda: row_loss.value_and_grad(scores, targets, out=out),
        lambda: row_loss.value_grad_hess(scores, targets, out=out, hess_out=hess_out),
        lambda: row_loss.value_and_grad(scores, targets, out=scores),
    ):
        with refused(ValueError, "targets", f"row {row}", str(label), "[0, 5)"):
            call()
    assert (out == 7).all()
    assert (hess_out == 7).all()
    assert_array_equal(scores, before)


def test_first_bad_label_is_named(row_loss):
    """By its place in the flattened targets; of a long batch too, which several threads may have looked at."""
    targets = np.zeros((300, 100), dtype=int)
    targets[123, 45], targets[200, 0] = 10, -1
    for count in (1, 2):
        with fl.num_threads(count), refused(ValueError, "targets", "row 12345", "10"):
            row_loss(np.zeros((300, 100, 10), dtype=np.float32), targets)


def test_bad_label_of_a_row_that_does_not_count_is_still_an_error(row_loss):
    with refused(ValueError, "targets", "row 1", "9"):
        row_loss(np.zeros((2, 3)), [0, 9], [1.0, 0.0])


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("bad", [-0.25, 1.5, 1 + 2.0**-10, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("size", [30, 1000, 300_000])
def test_probability_outside(element_loss, size, bad, dtype):
    if element_loss.target_kind != "probability":
        pytest.skip("about probabilities")
    scores, targets = np.zeros((2, size // 2), dtype=dtype), np.full((2, size // 2), 0.5, dtype=dtype)
    out, hess_out = np.full_like(scores, 7), np.full_like(scores, 7)
    for position in (0, size // 2, size - 1):
        targets.flat[position] = bad
        for call in (
            lambda: element_loss(scores, targets),
            lambda: element_loss.value_grad_hess(scores, targets, out=out, hess_out=hess_out),
            lambda: element_loss.value_and_grad(scores, targets, out=scores),
        ):
            where = np.unravel_index(position, scores.shape)
            with refused(ValueError, "targets", f"({where[0]}, {where[1]})", str(bad)[:4], "[0, 1]"):
                call()
        targets.flat[position] = 0.5
    assert not scores.any()
    if size < 30_000:  # in one piece: a large separate output may have been written before the bad target was reached
        assert (out == 7).all()
        assert (hess_out == 7).all()


@pytest.mark.parametrize("bad", [2, -1])
def test_integer_probability_outside(element_loss, bad):
    if element_loss.target_kind != "probability":
        pytest.skip("about probabilities")
    with refused(ValueError, "targets", "position 1", str(bad), "[0, 1]"):
        element_loss(np.zeros(3), [0, bad, 1])


OUTSIDE = [
    *((fl.Hinge(), bad, "-1, 0 or 1") for bad in (-2.0, 0.5, 1 + 2.0**-10, -0.25, np.nan, np.inf, -np.inf)),
    *((fl.Poisson(log_input=logarithms), bad, "[0, inf)") for bad in (-1.0, -np.inf) for logarithms in (True, False)),
]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("size", [30, 1000, 300_000])
@pytest.mark.parametrize(("limited", "bad", "expected"), OUTSIDE, ids=str)
def test_sign_or_count_outside(limited, bad, expected, size, dtype, isa):
    scores, targets = np.ones((2, size // 2), dtype=dtype), np.zeros((2, size // 2), dtype=dtype)
    out = np.full_like(scores, 7)
    for position in (0, size // 2, size - 1):
        targets.flat[position] = bad
        where = np.unravel_index(position, scores.shape)
        for call in (
            lambda: limited(scores, targets),
            lambda: limited(scores, targets, 0.5),
            lambda: limited(scores, targets, 0.0),
            lambda: limited.value_and_grad(scores, targets, out=out),
            lambda: limited.value_and_grad(scores, targets, out=scores),
        ):
            with refused(ValueError, "targets", f"({where[0]}, {where[1]})", str(bad)[:4], expected):
                call()
        targets.flat[position] = 1
    assert (scores == 1).all()
    assert (out == 7).all() or size > 30_000


@pytest.mark.parametrize("kind", ["bool", "int8", "uint8", "int64", "uint64", "float16", "float32", ">f8"])
def test_signs_of_any_dtype(kind, dtype):
    scores = np.array([0.5, -0.5, 2.0, -2.0], dtype=dtype)
    expected = fl.Hinge(reduction="none").value_and_grad(scores, np.array([1, -1, 1, -1], dtype=dtype))
    zeros = np.array([1, 0, 1, 0]).astype(kind)
    found = [fl.Hinge(reduction="none").value_and_grad(scores, zeros)]
    if np.dtype(kind).kind in "if":
        found.append(fl.Hinge(reduction="none").value_and_grad(scores, np.array([1, -1, 1, -1]).astype(kind)))
    for value, gradient in found:
        assert_array_equal(value, expected[0])
        assert_array_equal(gradient, expected[1])


DOMAINS = [
    *((fl.BinaryCrossEntropy(), bad, "[0, 1]") for bad in (-0.25, 1 + 2.0**-10, np.inf, -np.inf)),
    *((fl.Poisson(log_input=False), bad, "[0, inf)") for bad in (-0.25, -np.inf)),
]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("size", [30, 1000, 300_000])
@pytest.mark.parametrize(("limited", "bad", "expected"), DOMAINS, ids=str)
def test_score_outside_the_domain(limited, bad, expected, size, dtype, isa):
    """Nothing is written, in place or elsewhere, by a call of any size."""
    scores, targets = np.full((2, size // 2), 0.5, dtype=dtype), np.ones((2, size // 2), dtype=dtype)
    out, hess_out = np.full_like(scores, 7), np.full_like(scores, 7)
    for position in (0, size // 2, size - 1):
        scores.flat[position] = bad
        before = scores.copy()
        where = np.unravel_index(position, scores.shape)
        for call in (
            lambda: limited(scores, targets),
            lambda: limited(scores, targets, 0.5),
            lambda: limited.value_grad_hess(scores, targets, out=out, hess_out=hess_out),
            lambda: limited.value_and_grad(scores, targets, out=scores),
        ):
            with refused(ValueError, "scores", f"({where[0]}, {where[1]})", str(bad)[:5], expected):
                call()
        assert_array_equal(scores, before)
        # A sample that does not count may hold anything.
        weight = np.ones(scores.shape)
        weight.flat[position] = 0
        value, gradient = limited.value_and_grad(scores, targets, weight)
        assert np.isfinite(value)
        assert gradient.flat[position] == 0
        scores.flat[position] = 0.5
    assert (out == 7).all()
    assert (hess_out == 7).all()


@pytest.mark.parametrize("limited", [fl.BinaryCrossEntropy(), fl.Poisson(log_input=False)], ids=str)
def test_scores_at_the_end_of_the_domain(limited, dtype, isa):
    """Minus zero is zero, and NaN is no error."""
    value, gradient = limited.replace(reduction="none").value_and_grad(
        np.array([-0.0, 0.0, np.nan, 1.0], dtype=dtype), np.array([1, 1, 1, 1], dtype=dtype)
    )
    assert_array_equal(value, [np.inf, np.inf, np.nan, limited.replace(reduction="none")(1.0, 1.0)])
    assert_array_equal(gradient[:3], [-np.inf, -np.inf, np.nan])


@pytest.mark.parametrize("shape", [(5,), (6, 2), (1,), (1, 6), (6, 1, 1), (0,), (7,)])
def test_weights_of_another_shape(loss, given, shape):
    with refused(ValueError, "sample_weight", str(shape)):
        loss(*given, np.ones(shape))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite(loss, given, bad):
    scores, targets = given
    before = scores.copy()
    for dtype in ("float32", "float64", "float16"):
        sample_weight = np.ones(6, dtype=dtype)
        sample_weight[4] = bad
        with refused(ValueError, "sample_weight", "finite"):
            loss.value_and_grad(scores, targets, sample_weight, out=scores)
    with refused(ValueError, "sample_weight", "finite"):
        loss(scores, targets, bad)
    assert_array_equal(scores, before)


def test_infinite_weights_that_cancel(loss, given):
    with refused(ValueError, "sample_weight", "finite"):
        loss(*given, np.array([np.inf, -np.inf, 1, 1, 1, 1]))


@pytest.mark.parametrize("sample_weight", [["1"] * 6, [1j] * 6, [None] * 6, "1"])
def test_weights_of_no_use(loss, given, sample_weight):
    with refused(TypeError, "sample_weight"):
        loss(*given, sample_weight)


@pytest.mark.parametrize("name", ["out", "hess_out"])
def test_outputs_that_cannot_be_written(loss, given, name):
    scores, targets = given

    def call(output):
        return loss.value_grad_hess(scores, targets, **{name: output})

    for shape in ((5, 6), (6,), (6, 6), (7, 5), (1, 6, 5), ()):
        with refused(ValueError, name, "(6, 5)", str(shape)):
            call(np.empty(shape))
    for dtype in ("float32", "float16", "int64", "complex128", "object"):
        with refused(TypeError, name, "float64", dtype):
            call(np.empty((6, 5), dtype=dtype))
    with refused(TypeError, name, "list"):
        call(np.empty((6, 5)).tolist())
    with refused(TypeError, name, "bytearray"):
        call(bytearray(240))
    read_only = np.empty((6, 5))
    read_only.flags.writeable = False
    with refused(ValueError, name, "read-only"):
        call(read_only)


def test_float32_scores_do_not_write_float64(loss, make_samples):
    scores, targets, _ = make_samples(loss, "float32", (6, 5))
    with refused(TypeError, "out", "float32", "float64"):
        loss.value_and_grad(scores, targets, out=np.empty((6, 5)))


def test_outputs_that_overlap(loss, given):
    scores, targets = given
    buffer = np.empty((7, 5))
    for out, hess_out in ((buffer[:6], buffer[1:]), (buffer[:6], buffer[:6]), (scores, scores)):
        with refused(ValueError, "hess_out", "shares no memory with"):
            loss.value_grad_hess(scores, targets, out=out, hess_out=hess_out)


def test_interleaved_outputs_do_not_overlap(loss, given):
    """Memory that two views share the range of, but no element."""
    scores, targets = given
    expected = loss.value_grad_hess(scores, targets)
    for both in (np.empty((6, 10)), np.empty((12, 5))):
        out, hess_out = (both[:, :5], both[:, 5:]) if both.shape[1] == 10 else (both[::2], both[1::2])
        _, gradient, hessian = loss.value_grad_hess(scores, targets, out=out, hess_out=hess_out)
        assert_array_equal(gradient, expected[1])
        assert_array_equal(hessian, expected[2])


def test_output_that_partly_overlaps_the_scores(loss, dtype, make_samples):
    """Shifted by a row or by an element, or the same memory in another order: no copy is made in secret."""
    scores, targets, _ = make_samples(loss, dtype, (12, 12))
    buffer = np.zeros(156, dtype=dtype)
    for first, second in ((0, 12), (12, 0), (0, 1), (1, 0)):
        z, out = (buffer[start : start + 144].reshape(12, 12) for start in (first, second))
        z[...] = scores
        with refused(ValueError, "out", "shares no memory with scores"):
            loss.value_and_grad(z, targets, out=out)
        assert_array_equal(z, scores)
    for turned in (np.transpose, np.flipud, np.fliplr):
        with refused(ValueError, "out", "shares no memory with scores"):
            loss.value_and_grad(z, targets, out=turned(z))
        assert_array_equal(z, scores)


def test_outputs_over_other_inputs(loss, make_samples):
    scores, targets, _ = make_samples(loss, "float64", (6, 6))
    before = scores.copy()
    weights = np.ones((6, 6))
    with refused(ValueError, "out", "shares no memory with sample_weight"):
        loss.value_and_grad(scores, targets, weights[:, 0], out=weights)
    with refused(ValueError, "hess_out", "shares no memory with scores"):
        loss.value_grad_hess(scores, targets, hess_out=scores)
    if loss.family == "elementwise":
        with refused(ValueError, "out", "shares no memory with targets"):
            loss.value_and_grad(scores, targets, out=targets)
    assert_array_equal(scores, before)
    assert (weights == 1).all()


def layouts(array):
    """The same numbers, stored in every way NumPy knows."""
    read_only = array.copy()
    read_only.flags.writeable = False
    odd = np.zeros(array.nbytes + 1, dtype=np.uint8)[1:].view(array.dtype).reshape(array.shape)
    odd[...] = array
    wide = np.zeros((*array.shape[:-1], 3 * array.shape[-1]), dtype=array.dtype)[..., 1::3]
    wide[...] = array
    record = np.zeros(array.shape, dtype=[("a", "i1"), ("b", array.dtype)])
    record["b"] = array
    reverse = (slice(None, None, -1),) * array.ndim
    return {
        "read-only": read_only,
        "Fortran": array.copy(order="F"),
        "every third": wide,
        "backwards": array[reverse].copy()[reverse],
        "rows backwards": array[::-1].copy()[::-1],
        "byte-swapped": array.astype(array.dtype.newbyteorder()),
        "unaligned": odd,
        "field of a record": record["b"],
        "memoryview": memoryview(array),
        "subclass": array.copy().view(np.recarray),
    }


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_input_in_any_layout(loss, dtype, shape, make_case, assert_exact):
    scores, targets, sample_weight, truth = make_case(loss, dtype, shape, weighted=True)
    changed = [(view, targets, sample_weight) for view in layouts(scores).values()]
    changed += [(scores, view, sample_weight) for view in layouts(targets).values()]
    changed += [(scores, targets, view) for view in layouts(sample_weight).values()]
    changed += [(scores, targets.tolist(), sample_weight.tolist())]
    if dtype == "float64":
        changed += [(scores.tolist(), targets, sample_weight)]
    for arguments in changed:
        value, gradient, hessian = loss.value_grad_hess(*arguments)
        assert gradient.dtype == hessian.dtype == dtype
        assert_exact(loss, scores, targets, value=value, gradient=gradient, hessian=hessian, truth=truth)
        assert_array_equal(loss(*arguments), value)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_output_in_any_layout(loss, dtype, shape, make_case, assert_exact):
    scores, targets, sample_weight, truth = make_case(loss, dtype, shape, weighted=True)
    first, second = layouts(np.zeros(shape, dtype=dtype)), layouts(np.zeros(shape, dtype=dtype))
    for name in first.keys() - {"read-only", "memoryview"}:
        out, hess_out = first[name], second[name]
        value, gradient, hessian = loss.value_grad_hess(scores, targets, sample_weight, out=out, hess_out=hess_out)
        assert gradient is out
        assert hessian is hess_out
        assert_exact(loss, scores, targets, value=value, gradient=gradient, hessian=hessian, truth=truth)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradient_over_scores_in_any_layout(loss, dtype, shape, make_case, assert_exact):
    scores, targets, sample_weight, truth = make_case(loss, dtype, shape, weighted=True)
    found = layouts(scores)
    for name in found.keys() - {"read-only", "memoryview"}:
        z = found[name]
        value, gradient = loss.value_and_grad(z, targets, sample_weight, out=z)
        assert gradient is z
        assert_exact(loss, scores, targets, value=value, gradient=gradient, truth=truth)


@pytest.mark.parametrize("shape", [(200_001, 2), (7, 30_000), (11, 13, 17, 29)], ids=str)
def test_large_input_in_another_layout(loss, shape):
    """Converted block by block, it gives what the whole gives."""
    random = np.random.default_rng(0)
    scores = random.normal(scale=4, size=shape).astype(np.float32)
    samples = shape[:-1] if loss.family == "rowwise" else shape
    targets = random.integers(0, shape[-1], samples) if loss.family == "rowwise" else random.random(samples)
    targets = targets.astype(np.int64 if loss.family == "rowwise" else np.float32)
    if loss.family == "elementwise":
        scores, targets = into_domain(loss, scores), element_targets(loss, targets)
    sample_weight = random.uniform(0.5, 2, size=shape[:1])
    expected = loss.value_grad_hess(scores, targets, sample_weight)
    for z, t in (
        (scores.astype(">f4"), targets),
        (scores.copy(order="F"), targets.copy(order="F")),
        (scores[::-1].copy()[::-1], targets[::-1].copy()[::-1]),
    ):
        value, gradient, hessian = loss.value_grad_hess(z, t, sample_weight)
        assert_allclose(value, expected[0], rtol=4 * np.finfo(np.float32).eps)
        assert_allclose(gradient, expected[1], rtol=4 * np.finfo(np.float32).eps)
        assert_allclose(hessian, expected[2], rtol=4 * np.finfo(np.float32).eps)
        _, same = loss.value_and_grad(z, t, sample_weight, out=z)
        assert same is z
        assert_array_equal(same, gradient)


def test_bad_label_is_found_by_its_place_in_any_layout(row_loss):
    targets = np.zeros((400, 300), dtype=int)
    targets[123, 45], targets[3, 299], targets[399, 0] = 10, -5, 99
    scores = np.zeros((400, 300, 10), dtype=np.float32)
    for t in (targets.copy(order="F"), targets[::-1].copy()[::-1], targets.astype(">i8"), targets.tolist()):
        with refused(ValueError, "targets", f"row {3 * 300 + 299}", "-5"):
            row_loss(scores, t)


def test_one_sample_of_lists_and_numbers(row_loss):
    scores = [0.5, -1.0, 2.0]
    expected = row_loss.value_and_grad(np.array([scores]), np.array([1]))
    for target in (1, np.int8(1), np.array(1), np.uint64(1)):
        value, gradient = row_loss.value_and_grad(scores, target)
        assert np.shape(value) == ()
        assert value == expected[0]
        assert_array_equal(gradient, expected[1][0])


def test_another_view_of_the_scores_is_the_scores(loss, given):
    scores, targets = given
    expected = loss.value_and_grad(scores, targets)[1]
    out = scores[...]
    assert loss.value_and_grad(scores, targets, out=out)[1] is out
    assert_array_equal(scores, expected)


def test_gradient_over_read_only_scores(loss, given):
    scores, targets = given
    scores.flags.writeable = False
    with refused(ValueError, "out", "read-only"):
        loss.value_and_grad(scores, targets, out=scores)


def test_broadcast_scores(loss, make_samples):
    """One row, repeated without memory of its own."""
    scores, targets, _ = make_samples(loss, "float32", (6, 5))
    repeated = np.broadcast_to(scores[0], (6, 5))
    for actual, true in zip(
        loss.value_grad_hess(repeated, targets), loss.value_grad_hess(repeated.copy(), targets), strict=True
    ):
        assert_array_equal(actual, true)


def test_inputs_are_left_alone(loss, dtype, make_samples):
    arguments = make_samples(loss, dtype, (6, 5))
    before = [argument.copy() for argument in arguments]
    loss(*arguments)
    loss.value_and_grad(*arguments)
    loss.value_grad_hess(*arguments)
    for argument, true in zip(arguments, before, strict=True):
        assert_array_equal(argument, true)


def test_missing_and_unknown_arguments(loss, given):
    with pytest.raises(TypeError):
        loss(given[0])
    with pytest.raises(TypeError):
        loss.value_and_grad(*given, None, np.empty((6, 5)))
    with pytest.raises(TypeError):
        loss.value_and_grad(*given, hess_out=np.empty((6, 5)))


def test_ragged_scores(loss):
    with pytest.raises(ValueError, match="inhomogeneous"):
        loss([[0.0, 1.0], [0.0]], [0, 0])


@pytest.mark.parametrize("size", [1e308, 1e-310])
def test_weights_without_a_sum(loss, make_samples, size):
    """Each is finite, but what a mean would divide by is not a normal number."""
    scores, targets, _ = make_samples(loss, "float64", (4, 5))
    with refused(ValueError, "sample_weight", "sum"):
        loss.value_and_grad(scores, targets, np.full(4, size))


def test_output_that_overlaps_itself(loss, make_samples):
    scores, targets, _ = make_samples(loss, "float32", (6, 5))
    folded = np.lib.stride_tricks.as_strided(np.zeros(5, dtype=np.float32), (6, 5), (0, 4))
    with refused(ValueError, "out", "share"):
        loss.value_and_grad(scores, targets, out=folded)


def test_memory_mapped_arrays_are_read_and_written_in_place(loss, make_samples, tmp_path):
    scores, targets, _ = make_samples(loss, "float32", (40, 7))
    mapped = np.memmap(tmp_path / "scores", dtype=np.float32, mode="w+", shape=scores.shape)
    mapped[...] = scores
    expected = loss.value_and_grad(scores, targets)
    value, gradient = loss.value_and_grad(mapped, targets, out=mapped)
    assert gradient is mapped
    assert_array_equal(value, expected[0])
    assert_array_equal(mapped, expected[1])
