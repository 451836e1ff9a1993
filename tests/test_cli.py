# SPDX-License-Identifier: BSD-3-Clause
"""The command line as a whole, the demonstration and its data, and what the commands say on a terminal."""

import io
import json
import math
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fastloss
from fastloss import cli
from fastloss.cli import demo
from fastloss.cli.terminal import progress
from fastloss.data import load_digits


def run(*arguments, **options):
    """Run ``python -m fastloss`` as a shell would."""
    command = [sys.executable, "-m", "fastloss", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self):
        """Say so."""
        return True


def on_terminal(monkeypatch):
    """Put a terminal in the place of stderr."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def test_version():
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"fastloss {fastloss.__version__}\n", "")


@pytest.mark.parametrize("arguments", [["--help"], ["demo", "--help"], ["evaluate", "--help"], ["info", "--help"]])
def test_help_is_plain_text(arguments, capsys):
    assert cli.main(arguments) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: fastloss")
    assert shown.isascii()
    assert "\x1b" not in shown


def test_help_lists_every_command(capsys):
    cli.main(["--help"])
    shown = capsys.readouterr().out
    for command in cli.COMMANDS:
        assert re.search(rf"^\s+{command.__name__.rpartition('.')[2]}\s", shown, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "COMMAND"),
        (["train"], "train"),
        (["info", "--yaml"], "--yaml"),
        (["demo", "--epochs", "0"], "--epochs: expected 1 or more, got 0"),
        (["demo", "--seed", "-1"], "--seed: expected 0 or more, got -1"),
        (["demo", "--seed", "one"], "--seed"),
        (["evaluate", "a.npy"], "TARGETS"),
        (["evaluate", "a.npy", "b.npy"], "--loss"),
        (["evaluate", "a.npy", "b.npy", "--loss", "zero-one"], "softmax-cross-entropy"),
        (["demo", "--ep", "3"], "--ep"),
    ],
)
def test_a_mistake_is_one_line(arguments, named, capsys):
    assert cli.main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("fastloss: ")
    assert shown.err.count("\n") == 1
    assert named in shown.err


def test_a_mistake_shows_no_traceback_and_ends_with_2():
    done = run("evaluate", "missing.npy", "missing.npy", "--loss", "multiclass-hinge")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "fastloss: missing.npy: No such file or directory\n"


def test_info(capsys):
    assert cli.main(["info"]) == 0
    shown = capsys.readouterr().out
    fastloss.show_config()
    assert shown == capsys.readouterr().out


def test_info_json():
    done = run("info", "--json")
    assert done.stderr == ""
    assert json.loads(done.stdout) == fastloss.show_config(mode="dicts")


def buffered():
    """Return an environment in which output is lost as late as can be: when Python ends."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


@pytest.mark.skipif(sys.platform == "win32", reason="a closed pipe is another error there")
def test_reader_that_leaves():
    command = [sys.executable, "-m", "fastloss", "info"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=buffered())
    process.stdout.close()
    assert process.wait(60) == 141
    assert process.stderr.read() == ""
    process.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_results_that_cannot_be_printed():
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "fastloss", "info"]
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False, env=buffered()
        )
    assert done.returncode == 2
    assert done.stderr.startswith("fastloss: ")
    assert done.stderr.count("\n") == 1


def test_an_error_elsewhere_spares_stdout(monkeypatch, capfd):
    def unlucky(*_):
        raise OSError("the disk\nis on fire")

    monkeypatch.setattr(demo, "train", unlucky)
    assert cli.main(["demo"]) == 2
    print("still here")
    assert capfd.readouterr() == ("still here\n", "fastloss: the disk is on fire\n")


def test_interrupt(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "train", interrupted)
    assert cli.main(["demo"]) == 130
    assert capsys.readouterr() == ("", "fastloss: interrupted\n")


def test_memory_that_runs_out(monkeypatch, capsys):
    def greedy(*_):
        raise MemoryError

    monkeypatch.setattr(demo, "train", greedy)
    assert cli.main(["demo"]) == 2
    assert capsys.readouterr() == ("", "fastloss: not enough memory\n")


def test_signal_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM)
    cli.main(["info"])
    assert signal.getsignal(signal.SIGTERM) == before


def test_digits():
    images, labels = load_digits()
    assert (images.shape, images.dtype) == ((1797, 8, 8), np.uint8)
    assert (labels.shape, labels.dtype) == ((1797,), np.uint8)
    assert (images.min(), images.max()) == (0, 16)
    assert np.array_equal(np.unique(labels), np.arange(10))


def test_digits_are_those_of_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets")
    images, labels = load_digits()
    theirs = datasets.load_digits()
    assert np.array_equal(images, theirs.images)
    assert np.array_equal(labels, theirs.target)


def test_digits_are_attributed():
    data = Path(sys.modules["fastloss.data"].__file__).parent
    attribution = (data / "DIGITS.md").read_text(encoding="utf-8")
    for fact in ("Alpaydin", "Kaynak", "10.24432/C50P49", "CC BY 4.0"):
        assert fact in attribution
    assert (data / "digits.npz").stat().st_size < 60_000


def test_split_takes_every_digit_once():
    images, labels = load_digits()
    parts = demo.split_digits(seed=3)
    features = np.concatenate([parts.train_features, parts.test_features])
    assert len(parts.test_labels) == demo.TEST_ROWS
    assert np.all(features[:, -1] == 1)
    assert features.dtype == np.float32
    found = sorted((features[:, :-1] * 16).astype(np.uint8).tolist())
    assert found == sorted(images.reshape(-1, 64).tolist())
    assert np.array_equal(np.bincount(np.concatenate([parts.train_labels, parts.test_labels])), np.bincount(labels))
    assert not np.array_equal(parts.train_labels, demo.split_digits(seed=4).train_labels)


def test_demo_learns_with_each_loss():
    done = run("demo", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert result["start_agrees_with_theory"] is True
    assert result["train_rows"] + result["test_rows"] == 1797
    found = {entry["name"]: entry for entry in result["losses"]}
    theory = {"SoftmaxCrossEntropy": math.log(10), "MulticlassHinge": 9.0, "SigmoidCrossEntropy": math.log(2)}
    assert {name: entry["theory"] for name, entry in found.items()} == theory
    for name, entry in found.items():
        assert entry["loss_at_start"] == pytest.approx(theory[name], rel=5e-7)
        assert entry["loss_at_end"] < 0.05 * theory[name]
        assert entry["test_accuracy"] >= 0.95
        assert entry["fastloss_microseconds"] > 0
        assert entry["ratio"] == entry["reference_microseconds"] / entry["fastloss_microseconds"]


def test_demo_table_lines_up(capsys):
    assert cli.main(["demo", "--epochs", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 79 and line.isascii() for line in lines)
    heading = next(index for index, line in enumerate(lines) if line.startswith("loss  "))
    names = {case.name for case in demo.CASES}
    rows = [line for line in lines if line.split(" ")[0] in names]
    assert len(rows) == len(demo.CASES)
    for name in ("found", "theory", "at end", "correct", "fastloss", "NumPy", "ratio"):
        end = lines[heading].index(name) + len(name)
        for row in rows:
            # Right-aligned: a number ends under the heading's last letter, and only there.
            assert row[end - 1] != " "
            assert row[end : end + 1] in ("", " ")
    assert "what theory says" in "\n".join(lines)


def test_demo_depends_on_seed_alone(capsys):
    def trained(seed):
        cli.main(["demo", "--epochs", "3", "--json", "--seed", str(seed)])
        entries = json.loads(capsys.readouterr().out)["losses"]
        return [(entry["loss_at_end"], entry["test_accuracy"]) for entry in entries]

    assert trained(5) == trained(5)
    assert trained(5) != trained(6)


def test_demo_notices_a_wrong_start(monkeypatch, capsys):
    wrong = replace(demo.CASES[0], theory=demo.CASES[0].theory * (1 + 1e-6))
    monkeypatch.setattr(demo, "CASES", (wrong, *demo.CASES[1:]))
    assert cli.main(["demo", "--epochs", "1"]) == 1
    assert f"NOT what theory says: {wrong.name}" in capsys.readouterr().out


def test_demo_plot(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "curves.png"
    assert cli.main(["demo", "--epochs", "2", "--plot", str(picture)]) == 0
    assert capsys.readouterr().err == ""
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert list(tmp_path.iterdir()) == [picture]


def test_demo_plot_without_matplotlib(tmp_path, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "fastloss.cli.demo_plot", raising=False)
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert cli.main(["demo", "--plot", str(tmp_path / "curves.png")]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert "pip install" in shown.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["curves.jpg", "missing/curves.png", "folder.png"])
def test_demo_plot_needs_a_place(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("folder.png").mkdir()
    assert cli.main(["demo", "--plot", name]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert name in shown.err


def test_progress_with_tqdm(monkeypatch):
    pytest.importorskip("tqdm")
    terminal = on_terminal(monkeypatch)
    with progress(10, "training", "epochs") as shown:
        shown.update(10)
    assert "training" in terminal.getvalue()
    assert "/10 [" in terminal.getvalue()
    assert terminal.getvalue().isascii()


def test_progress_in_plain_lines(monkeypatch):
    terminal = on_terminal(monkeypatch)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with progress(3_000, "training", "rows") as shown:
        shown.update(1_000)
        shown.update(2_000)
    assert terminal.getvalue() == "training: 100% (3,000 of 3,000 rows)\n"


def test_plain_lines_come_at_intervals(monkeypatch):
    terminal = on_terminal(monkeypatch)
    clock = iter(range(1_000))
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    with progress(100, "training", "rows") as shown:
        for _ in range(100):
            shown.update(1)
    shares = re.findall(r"training: (\d+)%", terminal.getvalue())
    assert list(map(int, shares)) == list(range(10, 101, 10))


def test_no_progress_where_nobody_watches(capsys):
    with progress(10, "training", "epochs") as shown:
        shown.update(10)
    assert capsys.readouterr() == ("", "")


def test_demo_shows_progress_on_a_terminal(monkeypatch, capsys):
    terminal = on_terminal(monkeypatch)
    assert cli.main(["demo", "--epochs", "2"]) == 0
    for case in demo.CASES:
        assert case.name in terminal.getvalue()
    assert capsys.readouterr().out.startswith("1,797 handwritten digits")
