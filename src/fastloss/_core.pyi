# SPDX-License-Identifier: BSD-3-Clause
from typing import Any

from typing_extensions import disjoint_base

version: str
compiler: str

def losses() -> tuple[str, ...]: ...
def functions() -> tuple[str, ...]: ...
def isas(*, built: bool = False) -> tuple[str, ...]: ...
def active_isa() -> str: ...
def use_isa(name: str) -> None: ...
def use_threads(count: int) -> None: ...
def thread_count() -> int: ...
def bfloat16_to_integers(capsule: object) -> bool: ...
def sum_weights(weights: object) -> float: ...

class OutOfRange(Exception): ...

@disjoint_base
class Kernel:
    def __init__(
        self,
        name: str,
        reduction: str = "sum",
        options: tuple[float, ...] = (),
        low: float = ...,
        high: float = ...,
        score_high: float = ...,
        class_weight: tuple[float, ...] | None = None,
        ignore_index: int | None = None,
        of_distributions: str | None = None,
        of_labels: bool = True,
        margins: tuple[Any, ...] | None = None,
    ) -> None: ...
    def sum_weights(self, targets: object, weight: object, classes: int) -> tuple[float, float]: ...
    def direct(
        self,
        scores: object,
        targets: object,
        weight: object,
        out: object,
        hess_out: object,
        order: int,
        divisor: float | None = None,
    ) -> Any: ...
    def map(self, scores: object, out: object) -> Any: ...

def map_elements(kernel: Kernel, x: object, out: object, derivative_out: object, order: int) -> Any: ...
