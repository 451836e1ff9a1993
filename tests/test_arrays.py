# SPDX-License-Identifier: BSD-3-Clause
"""Arrays of other packages: read where they lie, or refused by the name of the argument and of the device."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fastloss as fl
from fastloss import reference
from fastloss.arrays import as_array


class Exported:
    """What has nothing but DLPack."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class Elsewhere:
    """An array on a device, which would be copied if it were asked."""

    def __init__(self, kind, number=0):
        self.device = kind, number

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, **options):
        raise AssertionError("asked for its memory")

    def __array__(self, *arguments, **options):
        raise AssertionError("asked for a copy")


@pytest.mark.parametrize(("kind", "device"), [(2, "CUDA"), (8, "Metal"), (10, "ROCm"), (99, "DLPack type 99")])
def test_arrays_on_a_device_are_refused(kind, device, loss, make_samples):
    scores, targets, weights = make_samples(loss, "float32", (6, 5))
    there = Elsewhere(kind, 1)
    for name, arguments in {
        "scores": (there, targets),
        "targets": (scores, there),
        "sample_weight": (scores, targets, there),
    }.items():
        with pytest.raises(TypeError, match=f"^{name}: expected .* memory of the CPU, got one on {device} device 1$"):
            loss.value_and_grad(*arguments)
    with pytest.raises(TypeError, match=f"^scores: .* {device} device 1$"):
        fl.softmax(there)
    assert np.isfinite(loss(scores, targets, weights)).all()


def test_dlpack_alone(loss, make_samples):
    arrays = make_samples(loss, "float32", (6, 5))
    for actual, expected in zip(
        loss.value_grad_hess(*map(Exported, arrays)), loss.value_grad_hess(*arrays), strict=True
    ):
        assert_array_equal(actual, expected)
    assert np.shares_memory(as_array("scores", Exported(arrays[0])), arrays[0])


def test_what_numpy_cannot_read_is_refused():
    class Broken(Exported):
        def __dlpack__(self, **options):
            raise BufferError("not today")

    with pytest.raises(TypeError, match=r"^scores: expected an array that NumPy can read, got Broken: not today$"):
        fl.softmax(Broken(np.zeros(3)))


def test_masked_numbers_are_refused_where_there_are_any(loss, make_samples):
    scores, targets, weights = make_samples(loss, "float64", (6, 5))
    value = loss(scores, targets, weights)
    assert_array_equal(loss(*map(np.ma.masked_array, (scores, targets, weights))), value)
    for position, name in enumerate(("scores", "targets", "sample_weight")):
        arguments = [scores, targets, weights]
        arguments[position] = np.ma.masked_array(arguments[position])
        arguments[position][0] = np.ma.masked
        with pytest.raises(ValueError, match=f"^{name}: expected an array without masked numbers, got [15] of them"):
            loss(*arguments)
        with pytest.raises(ValueError, match="must not have masked numbers"):
            getattr(reference, type(loss).__name__)()(*arguments)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("requires_grad", [False, True])
def test_tensors(dtype, requires_grad, loss, make_samples):
    torch = pytest.importorskip("torch")
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    scores, targets, weights = (torch.from_numpy(array) for array in make_samples(loss, "float32", (6, 5)))
    scores = scores.to(getattr(torch, dtype)).requires_grad_(requires_grad)
    seen = as_array("scores", scores)
    assert seen.dtype.name == dtype
    assert seen.ctypes.data == scores.data_ptr()
    expected = loss.value_grad_hess(np.array(seen), targets.numpy(), weights.numpy())
    for actual, true in zip(loss.value_grad_hess(scores, targets, weights), expected, strict=True):
        assert_array_equal(actual, true)


def test_tensors_in_a_layout_of_their_own(row_loss, make_samples):
    torch = pytest.importorskip("torch")
    pytest.importorskip("ml_dtypes")
    scores, targets, _ = make_samples(row_loss, "float32", (6, 5))
    tensor = torch.from_numpy(scores).bfloat16()[::2, 1:].T.contiguous().T
    assert_array_equal(
        row_loss.value_and_grad(tensor, targets[::2] // 2)[1],
        row_loss.value_and_grad(np.array(as_array("scores", tensor)), targets[::2] // 2)[1],
    )


def test_tensors_without_numbers_here():
    torch = pytest.importorskip("torch")
    for tensor in (torch.zeros(3, 4, device="meta"), torch.zeros(3, 4).to_sparse()):
        with pytest.raises(TypeError, match=r"^scores: expected an array that NumPy can read, got Tensor"):
            fl.softmax(tensor)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_jax(dtype, loss, make_samples):
    jnp = pytest.importorskip("jax.numpy")
    scores, targets, _ = make_samples(loss, "float32", (6, 5))
    array = jnp.asarray(scores).astype(dtype)
    value, gradient = loss.value_and_grad(array, jnp.asarray(targets))
    assert gradient.dtype == array.dtype
    expected = loss.value_and_grad(np.array(array), targets)
    assert_array_equal(value, expected[0])
    assert_array_equal(gradient, expected[1])
