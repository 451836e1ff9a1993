# SPDX-License-Identifier: BSD-3-Clause
"""Arrays of other packages, seen where they lie: whatever has `__array__` or DLPack, in memory that the CPU reads."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import numpy.typing as npt

from fastloss._core import bfloat16_to_integers

Array = npt.NDArray[Any]

# By DLPack's numbers; memory of the first is the CPU's.
HOST_DEVICES = {1, 3, 11, 13}
DEVICES = {2: "CUDA", 4: "OpenCL", 7: "Vulkan", 8: "Metal", 9: "VPI", 10: "ROCm", 14: "oneAPI", 15: "WebGPU"}


def is_bfloat16(array: Array) -> bool:
    """Whether numbers are bfloat16, a dtype that NumPy knows nothing of but its size."""
    return array.dtype.name == "bfloat16"


def as_array(name: str, value: Any) -> Array:
    """Return an argument as a NumPy array, without a copy where it is an array; errors name the argument."""
    if np.ma.is_masked(value):
        raise ValueError(
            f"{name}: expected an array without masked numbers, got {np.sum(np.ma.getmask(value))} of them; "
            "leave out what does not count by a sample_weight of 0"
        )
    if isinstance(value, np.ndarray) or not hasattr(value, "__dlpack_device__"):
        return np.asarray(value)
    try:
        kind, number = value.__dlpack_device__()
        if int(kind) in HOST_DEVICES:
            return _on_host(value)
    except (BufferError, ImportError, RuntimeError, TypeError, ValueError) as error:
        given = type(value).__name__
        raise TypeError(f"{name}: expected an array that NumPy can read, got {given}: {error}") from error
    device = DEVICES.get(int(kind), f"DLPack type {int(kind)}")
    raise TypeError(f"{name}: expected an array in the memory of the CPU, got one on {device} device {number}")


def _on_host(value: Any) -> Array:
    if getattr(value, "requires_grad", False):  # PyTorch gives no other access to the numbers of a parameter
        value = value.detach()
    try:
        return np.asarray(value) if hasattr(value, "__array__") else np.from_dlpack(value)
    except (BufferError, RuntimeError, TypeError):
        capsule = value.__dlpack__()
        if not bfloat16_to_integers(capsule):
            raise
    return np.from_dlpack(_Exported(capsule)).view(importlib.import_module("ml_dtypes").bfloat16)


class _Exported:
    """What NumPy takes a capsule from."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self, **options: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0
