# SPDX-License-Identifier: BSD-3-Clause
"""A gradient that takes the place of the scores: a second large array is never made."""

import tracemalloc

import numpy as np

import fastloss as fl


def main() -> None:
    """Compare the memory of a gradient of its own with that of one written over the scores."""
    random = np.random.default_rng(0)
    scores = random.standard_normal((2_000, 1_000), dtype=np.float32)
    labels = random.integers(0, 1_000, size=2_000)
    loss = fl.SoftmaxCrossEntropy()

    tracemalloc.start()
    value, gradient = loss.value_and_grad(scores, labels)
    own = tracemalloc.get_traced_memory()[1]

    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    same_value, same_array = loss.value_and_grad(scores, labels, out=scores)
    in_place = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()

    assert same_array is scores
    assert same_value == value
    assert np.array_equal(scores, gradient)
    print(f"loss {value:.4f}")
    print(f"new memory: {own / 2**20:.2f} MiB with a new array, {in_place / 2**20:.2f} MiB in place")


if __name__ == "__main__":
    main()
