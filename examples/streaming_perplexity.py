# SPDX-License-Identifier: BSD-3-Clause
"""Perplexity of scores that may be larger than memory: a memory-mapped file, a block of rows at a time.

Run it with two files, ``python examples/streaming_perplexity.py scores.npy tokens.npy``, or without: it then
makes a small pair of its own. ``python -m fastloss evaluate`` is the complete form of this.
"""

import math
import sys
import tempfile
from pathlib import Path

import numpy as np

import fastloss as fl

ROWS = 256


def perplexity(scores_path: Path, tokens_path: Path) -> float:
    """Return exp of the mean cross-entropy of scores (tokens, vocabulary) in a `.npy` file."""
    scores = np.load(scores_path, mmap_mode="r", allow_pickle=False)
    tokens = np.load(tokens_path, mmap_mode="r", allow_pickle=False)
    # Sums of blocks add up; means would have to be weighted by the size of each block.
    loss = fl.SoftmaxCrossEntropy(reduction="sum")
    sums = [loss(scores[start : start + ROWS], tokens[start : start + ROWS]) for start in range(0, len(tokens), ROWS)]
    return math.exp(math.fsum(sums) / len(tokens))


def make_example(folder: Path) -> tuple[Path, Path]:
    """Write random scores of 2,000 tokens, ahead by 4 at the right one, in half precision."""
    random = np.random.default_rng(0)
    scores = random.standard_normal((2_000, 5_000), dtype=np.float32).astype(np.float16)
    tokens = random.integers(0, 5_000, size=2_000)
    scores[np.arange(2_000), tokens] += 4
    scores_path, tokens_path = folder / "scores.npy", folder / "tokens.npy"
    np.save(scores_path, scores)
    np.save(tokens_path, tokens)
    return scores_path, tokens_path


def main() -> None:
    """Print the perplexity of the files on the command line, or of an example."""
    if len(sys.argv) == 3:
        print(f"perplexity {perplexity(Path(sys.argv[1]), Path(sys.argv[2])):.4f}")
        return
    with tempfile.TemporaryDirectory() as folder:
        print(f"perplexity {perplexity(*make_example(Path(folder))):.4f} of a vocabulary of 5,000")


if __name__ == "__main__":
    main()
