# SPDX-License-Identifier: BSD-3-Clause
"""The same bits for any number of threads, and a pool that survives whatever a process does to it."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from domains import element_targets, into_domain
from numpy.testing import assert_array_equal

import fastloss as fl

# Large enough for the pool, with rows short, long and longer than a block.
LARGE = [(60_000, 3), (20_011, 10), (301, 1000), (40, 20_000)]


@pytest.fixture(autouse=True)
def threads_as_before():
    before = fl.get_num_threads()
    yield
    fl.set_num_threads(before)


def samples(loss, dtype, shape):
    random = np.random.default_rng(list(shape))
    scores = random.normal(scale=5, size=shape).astype(dtype)
    if loss.family == "rowwise":
        targets = random.integers(0, shape[1], shape[0])
    else:
        scores, targets = into_domain(loss, scores), element_targets(loss, random.random(shape, dtype=dtype))
    return scores, targets, random.uniform(0.5, 2, shape[0])


def bits(results):
    return [np.asarray(result).tobytes() for result in results]


@pytest.mark.parametrize("large", LARGE, ids=str)
def test_same_bits_for_any_number_of_threads(loss, dtype, large):
    scores, targets, sample_weight = samples(loss, dtype, large)
    out, hess_out = np.empty_like(scores), np.empty_like(scores)
    expected = None
    for count in (1, 2, 3, 7):
        with fl.num_threads(count):
            value, _, _ = loss.value_grad_hess(scores, targets, sample_weight, out=out, hess_out=hess_out)
        found = bits((value, out, hess_out))
        expected = expected or found
        assert found == expected


@pytest.mark.parametrize("name", ["logsumexp", "softmax", "log_softmax", "sigmoid", "log_sigmoid", "softplus"])
def test_same_bits_of_functions(name, dtype):
    for shape in LARGE:
        scores = np.random.default_rng(0).normal(scale=5, size=shape).astype(dtype)
        found = set()
        for count in (1, 2, 3, 7):
            with fl.num_threads(count):
                found.add(getattr(fl, name)(scores).tobytes())
        assert len(found) == 1


@pytest.mark.classes(1, 2, 3, 5, 10, 16, 17, 33, 100, 1000, 1500)
def test_same_bits_in_any_batch_at_any_position(loss, dtype, isa, classes):
    """Neighbours, position and length of the batch leave no trace in a row."""
    loss = loss.replace(reduction="none")
    rows = 70 if classes < 1000 else 9
    scores, targets, _ = samples(loss, dtype, (rows, classes))
    scores[::2] += np.random.default_rng(0).choice([-300, -60, 60, 300], size=(len(scores[::2]), 1)).astype(dtype)
    scores = into_domain(loss, scores)
    whole = loss.value_grad_hess(scores, targets)
    for first, last in ((0, 1), (1, 2), (3, 4), (rows - 1, rows), (1, rows), (2, 7), (5, min(rows, 40)), (0, rows - 1)):
        part = loss.value_grad_hess(scores[first:last], targets[first:last])
        for a, b in zip(part, whole, strict=True):
            assert_array_equal(a, b[first:last])
    order = np.random.default_rng(1).permutation(rows)
    for a, b in zip(loss.value_grad_hess(scores[order], targets[order]), whole, strict=True):
        assert_array_equal(a, b[order])


def test_a_sum_is_the_same_bits_every_time(loss):
    scores, targets, _ = samples(loss, "float32", (20_011, 10))
    fl.set_num_threads(3)
    values = {np.asarray(loss(scores, targets)).tobytes() for _ in range(10)}
    assert len(values) == 1


def test_concurrent_callers(dtype):
    """Many Python threads at once: some get the pool, some run alone, all get the right bits."""
    problems = []
    for loss in (fl.SoftmaxCrossEntropy(), fl.MulticlassHinge(), fl.SigmoidCrossEntropy()):
        for shape in ((20_011, 10), (301, 1000), (32, 10)):
            arguments = samples(loss, dtype, shape)
            problems.append((loss, arguments, bits(loss.value_and_grad(*arguments))))
    fl.set_num_threads(4)

    def work(start):
        return all(
            bits(loss.value_and_grad(*arguments)) == expected
            for loss, arguments, expected in problems[start:] + problems[:start]
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(9), timeout=120))


@pytest.fixture
def no_switch_by_time():
    """A thread of Python gives the lock away by itself alone: nothing that runs is interrupted after 5 ms."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    yield
    sys.setswitchinterval(before)


def ran_beside(call):
    """Whether another Python thread ever ran while `call` did, tried until it has, or a hundred times."""
    inside, watching, finished = False, threading.Event(), False
    seen = []

    def watch():
        while not finished:
            seen.append(inside)
            watching.set()
            time.sleep(0.0005)

    other = threading.Thread(target=watch)
    other.start()
    watching.wait()
    try:
        for _ in range(100):
            inside = True
            call()
            inside = False
            if any(seen):
                break
    finally:
        finished = True
        other.join()
    return any(seen)


def test_the_gil_is_released(no_switch_by_time):
    """Another Python thread runs while one long call does, which it cannot beside a loop that keeps the lock."""
    loss = fl.SoftmaxCrossEntropy()
    scores = np.zeros((1, 30_000_000), dtype=np.float32)
    targets = np.zeros(1, dtype=int)
    assert ran_beside(lambda: loss(scores, targets))
    if getattr(sys, "_is_gil_enabled", lambda: True)():
        numbers = range(200_000)
        assert not ran_beside(lambda: sum(numbers))


def run(code, timeout=60, **environment):
    result = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


WORK = """
import os, sys, threading
import numpy as np
import fastloss as fl

loss = fl.SoftmaxCrossEntropy()
scores = np.random.default_rng(0).normal(size=(20_011, 10)).astype(np.float32)
targets = np.zeros(20_011, dtype=int)
fl.set_num_threads(3)
expected = loss(scores, targets)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_fork_while_the_pool_is_busy():
    """Children start clean: they compute, on threads of their own, and end.

    Each thread has views of its own: without a global lock Python guards every array by a lock, and the child inherits
    that of a shared array as it was, perhaps taken by a thread that it does not have.
    """
    output = run(
        WORK
        + """
stop = threading.Event()
def busy(scores, targets):
    while not stop.is_set():
        assert loss(scores, targets) == expected
threads = [threading.Thread(target=busy, args=(scores[:], targets[:])) for _ in range(3)]
for thread in threads:
    thread.start()
codes = []
for _ in range(20):
    child = os.fork()
    if child == 0:
        good = all(loss(scores, targets) == expected for _ in range(3))
        os._exit(0 if good else 1)
    codes.append(os.waitpid(child, 0)[1])
stop.set()
for thread in threads:
    thread.join()
assert loss(scores, targets) == expected
print(codes.count(0), len(codes))
"""
    )
    assert output.split() == ["20", "20"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_fork_of_a_fork():
    output = run(
        WORK
        + """
child = os.fork()
if child == 0:
    good = loss(scores, targets) == expected
    grandchild = os.fork()
    if grandchild == 0:
        os._exit(0 if loss(scores, targets) == expected else 1)
    os._exit(os.waitpid(grandchild, 0)[1] or (0 if good else 1))
print(os.waitpid(child, 0)[1])
"""
    )
    assert output.split() == ["0"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_multiprocessing_with_fork():
    output = run(
        WORK
        + """
import multiprocessing
def work(_):
    return loss(scores, targets) == expected
with multiprocessing.get_context("fork").Pool(3) as pool:
    print(all(pool.map(work, range(9))))
"""
    )
    assert output.split() == ["True"]


def test_exit_while_the_pool_is_busy():
    """A daemon thread inside a call must not keep a process from ending, nor crash it."""
    run(
        WORK
        + """
def busy():
    while True:
        loss(scores, targets)
for _ in range(3):
    threading.Thread(target=busy, daemon=True).start()
import time
time.sleep(0.2)
"""
    )


def test_no_thread_before_it_is_needed():
    if not sys.platform.startswith("linux"):
        pytest.skip("counts threads in /proc")
    count = "len(os.listdir('/proc/self/task'))"
    before, small, large = run(
        f"""
import os
import numpy as np
import fastloss as fl
fl.set_num_threads(3)
print({count})
fl.SoftmaxCrossEntropy()(np.zeros((32, 10), np.float32), np.zeros(32, int))
print({count})
fl.SoftmaxCrossEntropy()(np.zeros((100_000, 10), np.float32), np.zeros(100_000, int))
print({count})
""",
        OPENBLAS_NUM_THREADS="1",
        OMP_NUM_THREADS="1",
    ).split()
    assert before == small
    assert int(large) == int(before) + 2


def test_signals_reach_the_main_thread():
    """Ctrl-C while the pool exists: KeyboardInterrupt in the caller, as ever."""
    if sys.platform == "win32":
        pytest.skip("no os.kill of this kind")
    output = run(
        WORK
        + """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background may ignore it
try:
    threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    while True:
        loss(scores, targets)
except KeyboardInterrupt:
    print("interrupted")
"""
    )
    assert output.split() == ["interrupted"]
