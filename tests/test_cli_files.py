# SPDX-License-Identifier: BSD-3-Clause
"""Files of ``fastloss evaluate``: damaged ones are explained, large ones fit, results are complete or absent."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from evaluate_command import evaluate, make, refused, save

import fastloss
from fastloss import cli
from fastloss.cli import samples

# Threads take address space of their own. The tests change directory, where a relative path leads elsewhere.
PATHS = [str(Path(path).absolute()) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
ENVIRONMENT = os.environ | {"FASTLOSS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(PATHS)}


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


class Bomb:
    """Unpickling this leaves a file behind."""

    def __reduce__(self):
        """Make a file, once unpickled."""
        return Path.touch, (Path("exploded"),)


def test_objects_are_never_unpickled(folder, capsys):
    array = np.empty((9, 5), object)
    array[:] = Bomb()
    np.save("s.npy", array, allow_pickle=True)
    np.save("t.npy", np.zeros(9, int))
    assert "never unpickled" in refused(capsys, "--loss", "softmax-cross-entropy")
    np.save("t.npy", array[:, 0], allow_pickle=True)
    np.save("s.npy", np.zeros((9, 5)))
    assert "never unpickled" in refused(capsys, "--loss", "softmax-cross-entropy")


def header(text, version=b"\x01\x00"):
    """Return the start of a `.npy` file with this description."""
    length = len(text).to_bytes(2 if version == b"\x01\x00" else 4, "little")
    return b"\x93NUMPY" + version + length + text.encode()


DAMAGED = {
    "empty": b"",
    "text": b"1 2 3\n4 5 6\n",
    "pickle": b"\x80\x05\x95",
    "magic only": b"\x93NUMPY",
    "no header": b"\x93NUMPY\x01\x00",
    "short header": b"\x93NUMPY\x01\x00\xff\x00{",
    "version 9": header("{}", b"\x09\x00"),
    "no dictionary": header("12"),
    "open bracket": header("{'descr': '<f4', 'fortran_order': False, 'shape': (((("),
    "call": header("{'descr': '<f4', 'fortran_order': False, 'shape': (print(),)}"),
    "missing key": header("{'descr': '<f4', 'shape': (9, 5)}"),
    "bad dtype": header("{'descr': 'f99', 'fortran_order': False, 'shape': (9, 5)}"),
    "negative shape": header("{'descr': '<f4', 'fortran_order': False, 'shape': (-9, -5)}"),
    "no data": header("{'descr': '<f4', 'fortran_order': False, 'shape': (9, 5)}"),
    "huge": header("{'descr': '<f4', 'fortran_order': False, 'shape': (9, " + "9" * 40 + ")}"),
    "long header": header(" " * 60_000),
    "line break": header("{'descr': 'f\n4', 'fortran_order': False, 'shape': (9, 5)}"),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damaged_file(content, folder, capsys):
    np.save("t.npy", np.zeros(9, int))
    Path("s.npy").write_bytes(content)
    assert "s.npy: " in refused(capsys, "--loss", "softmax-cross-entropy")


def test_file_that_was_cut_short(folder, capsys):
    save(*make("softmax-cross-entropy", (90, 5)))
    with Path("s.npy").open("r+b") as file:
        file.truncate(1_000)
    assert "s.npy: cut short" in refused(capsys, "--loss", "softmax-cross-entropy")


def test_header_of_version_2(folder, capsys):
    scores, targets = make("softmax-cross-entropy", (90, 5))
    save(scores, targets)
    with Path("s.npy").open("wb") as file:
        np.lib.format.write_array(file, scores, version=(2, 0))
    found = evaluate(capsys, "--loss", "softmax-cross-entropy")["mean_loss"]
    assert found == pytest.approx(fastloss.SoftmaxCrossEntropy()(scores, targets), rel=1e-14)


def test_file_that_is_no_file(folder, capsys):
    scores, targets = make("softmax-cross-entropy", (9, 5))
    save(scores, targets)
    loss = ["--loss", "softmax-cross-entropy"]
    np.savez("a.npz", scores)
    assert ".npz archive" in refused(capsys, *loss, files=("a.npz", "t.npy"))
    assert "missing.npy: No such file" in refused(capsys, *loss, files=("s.npy", "missing.npy"))
    assert "w.npy: No such file" in refused(capsys, *loss, "--sample-weight", "w.npy")
    Path("folder").mkdir()
    assert "folder: not a regular file" in refused(capsys, *loss, files=("folder", "t.npy"))
    assert "null" in refused(capsys, *loss, files=("a\0b.npy", "t.npy"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_are_refused_instead_of_waited_for(folder, capsys):
    save(*make("softmax-cross-entropy", (9, 5)))
    os.mkfifo("pipe")
    loss = ["--loss", "softmax-cross-entropy"]
    assert "pipe: not a regular file" in refused(capsys, *loss, files=("pipe", "t.npy"))
    assert "pipe: exists and is not a regular file" in refused(capsys, *loss, "--grad", "pipe")


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="everybody may read everything")
def test_file_that_may_not_be_read(folder, capsys):
    save(*make("softmax-cross-entropy", (9, 5)))
    Path("s.npy").chmod(0)
    assert "s.npy: Permission denied" in refused(capsys, "--loss", "softmax-cross-entropy")


@pytest.mark.parametrize("output", ["--grad", "--per-sample"])
@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("s.npy", "is an input"),
        ("./folder/../t.npy", "is an input"),
        ("w.npy", "is an input"),
        ("link.npy", "is an input"),
        ("hard.npy", "is an input"),
        ("folder", "not a regular file"),
        ("missing/g.npy", "directory does not exist"),
        ("s.npy/g.npy", "s.npy/g.npy: "),
        ("x" * 300, "cannot write"),
        ("loop.npy", "loop.npy: cannot write"),
    ],
)
def test_output_that_is_refused(output, name, named, folder, capsys):
    scores, targets = make("softmax-cross-entropy", (90, 5))
    save(scores, targets)
    np.save("w.npy", np.ones(90))
    Path("folder").mkdir()
    Path("link.npy").symlink_to("s.npy")
    Path("hard.npy").hardlink_to("t.npy")
    Path("loop.npy").symlink_to("loop.npy")
    arguments = ["--loss", "softmax-cross-entropy", "--sample-weight", "w.npy", output, name]
    assert named in refused(capsys, *arguments)
    assert np.array_equal(np.load("s.npy"), scores)
    assert np.array_equal(np.load("t.npy"), targets)


def test_outputs_need_a_file_each(folder, capsys):
    save(*make("softmax-cross-entropy", (9, 5)))
    Path("folder").mkdir()
    arguments = ["--loss", "softmax-cross-entropy", "--grad", "o.npy", "--per-sample", "folder/../o.npy"]
    assert "file of its own" in refused(capsys, *arguments)


def test_output_replaces_what_was_there(folder, capsys):
    scores, targets = make("softmax-cross-entropy", (90, 5))
    save(scores, targets)
    Path("old.npy").write_text("something else")
    Path("old.npy").chmod(0o600)
    Path("link.npy").symlink_to("old.npy")
    evaluate(capsys, "--loss", "softmax-cross-entropy", "--grad", "link.npy", "--per-sample", "new.npy")
    assert Path("link.npy").is_symlink()
    assert np.load("old.npy").shape == scores.shape
    if sys.platform != "win32":
        assert Path("old.npy").stat().st_mode & 0o777 == 0o600
        Path("plain").touch()
        assert Path("new.npy").stat().st_mode == Path("plain").stat().st_mode


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, OSError("input/output error")])
def test_interruption_leaves_nothing(error, folder, capsys, monkeypatch):
    save(*make("softmax-cross-entropy", (90, 5)))
    Path("g.npy").write_text("from before")
    read = samples.Samples.read

    def interrupted(self, start, stop):
        assert len(list(folder.glob(".fastloss-*"))) == 2
        if start > 40:
            raise error
        return read(self, start, stop)

    monkeypatch.setattr(samples.Samples, "read", interrupted)
    arguments = ["--loss", "softmax-cross-entropy", "--grad", "g.npy", "--per-sample", "p.npy"]
    code = cli.main(["evaluate", "s.npy", "t.npy", *arguments])
    assert code == (130 if error is KeyboardInterrupt else 2)
    assert capsys.readouterr().err.count("\n") == 1
    assert sorted(path.name for path in folder.iterdir()) == ["g.npy", "s.npy", "t.npy"]
    assert Path("g.npy").read_text() == "from before"


def sparse(name, shape, order="C"):
    """Make a `.npy` file of float32 zeros that takes no room on the disk."""
    with Path(name).open("wb") as file:
        description = {"descr": "<f4", "fortran_order": order == "F", "shape": shape}
        np.lib.format.write_array_header_1_0(file, description)
        file.truncate(file.tell() + 4 * math.prod(shape))


def start(code, *arguments):
    """Start Python with a piece of code."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)


def finish(process):
    """Wait for the end and return exit code, stdout and stderr."""
    shown, errors = process.communicate(timeout=120)
    return process.returncode, shown, errors


@pytest.mark.skipif(sys.platform == "win32", reason="signals end a process there without a word")
@pytest.mark.parametrize(("name", "code", "said"), [("SIGINT", 130, "fastloss: interrupted\n"), ("SIGTERM", 143, "")])
def test_signal_leaves_nothing(name, code, said, folder):
    sparse("s.npy", (4_000_000, 1_000))
    sparse("w.npy", (4_000_000,))
    np.save("t.npy", np.zeros(4_000_000, np.int8))
    # A runner in the background may have told its children to ignore Ctrl-C.
    process = start(
        "import signal, sys; from fastloss.cli import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "signal.signal(signal.SIGTERM, signal.SIG_DFL)\n"
        "sys.exit(main(sys.argv[1:]))",
        *("evaluate", "s.npy", "t.npy", "--loss", "softmax-cross-entropy", "--grad", "g.npy"),
    )
    until = time.monotonic() + 60
    while not any(path.stat().st_size > 1_000 for path in folder.glob(".fastloss-*")):
        assert time.monotonic() < until
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)
    process.send_signal(getattr(signal, name))
    assert finish(process) == (code, "", said)
    assert sorted(path.name for path in folder.iterdir()) == ["s.npy", "t.npy", "w.npy"]


LIMITED = """
import resource, sys
import numpy as np
from fastloss.cli import main
kind, limit, *arguments = sys.argv[1:]
if kind == "AS":  # on top of what Python and NumPy take
    with open("/proc/self/statm") as file:
        limit = int(limit) + int(file.read().split()[0]) * resource.getpagesize()
hard = resource.getrlimit(getattr(resource, "RLIMIT_" + kind))[1]
resource.setrlimit(getattr(resource, "RLIMIT_" + kind), (int(limit), hard))
"""
COMMAND = "sys.exit(main(arguments))"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and needs limits that hold")


@LINUX
def test_constant_memory(folder):
    sparse("s.npy", (1_000_000, 64))
    np.save("t.npy", np.zeros(1_000_000, np.uint8))
    sparse("w.npy", (1_000_000,))
    arguments = ["evaluate", "s.npy", "t.npy", "--loss", "multiclass-hinge", "--json", "--sample-weight", "w.npy"]
    arguments += ["--grad", "g.npy", "--per-sample", "p.npy"]
    limit = 40 << 20
    assert Path("s.npy").stat().st_size > 6 * limit
    code, shown, errors = finish(start(LIMITED + COMMAND, "AS", limit, *arguments))
    assert (code, errors) == (0, "")
    assert json.loads(shown)["rows"] == 1_000_000
    # The limit is one: the file as a whole does not fit.
    code, _, errors = finish(start(LIMITED + "np.load('s.npy', mmap_mode='r')", "AS", limit))
    assert code == 1
    assert "Cannot allocate memory" in errors


RESIDENT = """
import re, sys
from pathlib import Path
from fastloss.cli import main
def peak():
    return int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) << 10
before = peak()
main(sys.argv[1:])
print(peak() - before)
"""


@LINUX
@pytest.mark.parametrize("order", ["C", "F"])
def test_constant_resident_memory(order, folder):
    sparse("s.npy", (1_000_000, 100), order)
    np.save("t.npy", np.zeros(1_000_000, np.uint8))
    arguments = ["evaluate", "s.npy", "t.npy", "--loss", "multiclass-hinge", "--json"]
    code, shown, errors = finish(start(RESIDENT, *arguments))
    assert (code, errors) == (0, "")
    taken = int(shown.splitlines()[-1])
    assert 0 < taken < 100 << 20
    assert Path("s.npy").stat().st_size > 3 * (100 << 20)


@LINUX
def test_disk_that_is_full(folder):
    scores, targets = make("softmax-cross-entropy", (90_000, 5))
    save(scores, targets)
    arguments = ["evaluate", "s.npy", "t.npy", "--loss", "softmax-cross-entropy", "--grad", "g.npy"]
    for limit in (100, 50_000, scores.nbytes):
        code, shown, errors = finish(start(LIMITED + COMMAND, "FSIZE", limit, *arguments))
        assert (code, shown) == (2, "")
        assert errors.startswith("fastloss: ")
        assert errors.endswith("g.npy: cannot write: File too large\n")
        assert sorted(path.name for path in folder.iterdir()) == ["s.npy", "t.npy"]
