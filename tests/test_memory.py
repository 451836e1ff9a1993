# SPDX-License-Identifier: BSD-3-Clause
"""No call takes memory in proportion to its arrays: at most 1 MiB for each thread beyond what it returns.

Measured twice: what Python and NumPy allocate, which they tell everywhere; and the pages of a whole process, where
Linux tells them, for what compiled code could allocate behind Python's back.
"""

import json
import os
import subprocess
import sys
import tracemalloc
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pytest
from domains import element_targets

import fastloss as fl
from fastloss import _core

LIMIT = 1 << 20

# Of float32 each array takes 2 MiB or 1 MiB, so that a copy is seen, as is one number of 8 bytes for each short row.
SHAPES = {"long rows": (512, 1024), "short rows": (174762, 3), "one row": (1, 262144)}

CASES = [(dtype, shape) for dtype in ("float16", "bfloat16", "float32", "float64") for shape in SHAPES]


def classes_first(array):
    """As an image has them: a plane of pixels for each class."""
    pixels = array.reshape(2 - len(array) % 2, -1, array.shape[1])
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(pixels, -1, 0)), 0, -1)


def strided_rows(array):
    return np.pad(array, ((0, 0), (0, 24)))[:, :-24]


def strided_classes(array):
    """Classes at a distance where there is one row, too; neither order is contiguous."""
    return np.asfortranarray(np.pad(array, ((0, 8), (0, 0))))[:-8]


LAYOUTS = {
    "C order": np.ascontiguousarray,
    "strided rows": strided_rows,
    "Fortran order": np.asfortranarray,
    "strided classes": strided_classes,
    "classes first": classes_first,
}


def half_or(name):
    """Return a dtype by name."""
    return np.dtype(pytest.importorskip("ml_dtypes").bfloat16 if name == "bfloat16" else name)


@lru_cache(maxsize=1)
def arrays(shape, layout, dtype):
    """Return scores, class indices, probabilities, and two arrays for results."""
    dtype = half_or(dtype)
    random = np.random.default_rng(0)
    numbers = (random.random(shape, np.float32).astype(dtype) for _ in range(2))
    scores, probabilities, out, hess_out = map(
        LAYOUTS[layout], (*numbers, np.zeros(shape, dtype), np.ones(shape, dtype))
    )
    return scores, random.integers(shape[1], size=scores.shape[:-1]), probabilities, out, hess_out


def calls(loss, shape, layout, dtype):
    """Return what the three methods do, as functions."""
    scores, indices, probabilities, out, hess_out = arrays(shape, layout, dtype)
    targets = indices if loss.family == "rowwise" else element_targets(loss, probabilities)
    return {
        "value": lambda: loss(scores, targets),
        "value_and_grad": lambda: loss.value_and_grad(scores, targets, out=out),
        "value_grad_hess": lambda: loss.value_grad_hess(scores, targets, out=out, hess_out=hess_out),
    }


def traced(function):
    """Return the most that Python and NumPy held during a call, beyond what they held before and what is returned."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        result = function()
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    value = result[0] if isinstance(result, tuple) else result
    # All other arrays are there before.
    return peak - (value.nbytes if isinstance(value, np.ndarray) and value.base is None else 0)


def fill(name, scores, out):
    getattr(fl, name)(scores, out=out)


def too_much(extra, threads=1):
    """Return which calls took more than they may, in KiB."""
    return {call: f"{taken >> 10} KiB" for call, taken in extra.items() if taken >= threads * LIMIT}


def test_an_array_would_be_seen():
    assert traced(lambda: np.ones(LIMIT, np.uint8).sum()) >= LIMIT


@pytest.mark.parametrize("case", CASES, ids=" ".join)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_losses_make_no_arrays(layout, case, loss):
    dtype, shape = case
    with fl.num_threads(1):
        extra = {name: traced(call) for name, call in calls(loss, SHAPES[shape], layout, dtype).items()}
    assert too_much(extra) == {}


@pytest.mark.parametrize("case", CASES, ids=" ".join)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_functions_make_no_arrays(layout, case):
    dtype, shape = case
    scores, indices, _, out, _ = arrays(SHAPES[shape], layout, dtype)
    sums = np.empty(indices.shape, half_or(dtype))
    with fl.num_threads(1):
        extra = {
            name: traced(partial(fill, name, scores, sums if name == "logsumexp" else out))
            for name in _core.functions()
        }
    assert too_much(extra) == {}


# The least of some tries, and the most where memory is known to be taken: the kernel's account of a process may lag
# behind, by some pages for each processor. An array comes from the C library; Python's own objects may get pages that a
# former one has left.
RESIDENT = """
import json, re, sys
from pathlib import Path
import numpy as np
import fastloss as fl
from fastloss import *
sys.path.insert(0, sys.argv[1])
from test_memory import calls

def pages(name):
    return int(re.search(name + r":\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) << 10

def resident(function):
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what there is now
    before = pages("VmRSS")
    function()
    return pages("VmHWM") - before

layout, dtype, threads, *losses = sys.argv[2:]
fl.set_num_threads(int(threads))
extra = {}
for loss in losses:
    for name, call in calls(eval(loss), (2048, 2048), layout, dtype).items():
        call()  # starts the threads
        extra[loss + " " + name] = min(resident(call) for _ in range(3))
seen = max(resident(lambda: np.ones(8 << 20, np.uint8)) for _ in range(3))
print(json.dumps([extra, seen]))
"""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="needs the page counts of Linux")
@pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="the sanitizer keeps freed memory aside")
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("layout", ["C order", "strided rows", "Fortran order"])
def test_pages_of_the_process(layout, dtype, threads):
    losses = [
        fl.SoftmaxCrossEntropy(),
        fl.SigmoidCrossEntropy(),
        fl.MulticlassHinge(form="weston-watkins"),
        fl.MulticlassHinge(form="crammer-singer"),
    ]
    arguments = [str(Path(__file__).parent), layout, dtype, str(threads), *map(repr, losses)]
    done = subprocess.run(
        [sys.executable, "-c", RESIDENT, *arguments],
        # What is freed goes back to the system at once, and is counted when it is taken again.
        env=os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    extra, seen = json.loads(done.stdout)
    assert seen > 7 << 20
    assert too_much(extra, threads) == {}
