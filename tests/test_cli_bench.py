# SPDX-License-Identifier: BSD-3-Clause
"""``fastloss bench``: rows that are what they are called, results that are checked, ratios that are ratios."""

import json
import math
import shutil
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fastloss
from fastloss import _core, cli, losses
from fastloss.cli import bench, bench_rivals
from fastloss.cli.bench_rivals import RIVALS, Rival
from fastloss.cli.bench_rows import (
    ROWS,
    Missing,
    Outcome,
    Row,
    add_work,
    copy_work,
    disagreement,
    fastloss_work,
    make_problem,
)

SOFTMAX = fastloss.SoftmaxCrossEntropy()
SMALL = Row(SOFTMAX, "value+grad", (64, 7), must=3.0, aim=2.0)
QUICK = bench.Settings(isa=_core.active_isa(), repeat=1)


def small(row):
    """Return the row with few samples and classes, all else as it was."""
    if len(row.shape) == 1:
        return replace(row, shape=(3000,))
    if len(row.shape) == 2:
        return replace(row, shape=(128, min(row.shape[1], 150)))
    return replace(row, shape=(2, 5, 3, 4))


def kinds():
    """Every row, small, each only once."""
    return list(dict.fromkeys(small(row) for row in ROWS))


def problem_of(row):
    """Make the arrays, or skip what is not here."""
    try:
        return make_problem(row)
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture(autouse=True)
def settings_as_before():
    isa, threads = _core.active_isa(), fastloss.get_num_threads()
    yield
    _core.use_isa(isa)
    fastloss.set_num_threads(threads)


@pytest.fixture
def table(monkeypatch):
    """Put other rows in the place of all."""

    def put(*rows):
        monkeypatch.setattr(bench, "ROWS", rows)

    return put


def report(capsys, *arguments, code=0):
    """Run the command and return what it prints as JSON."""
    assert cli.main(["bench", "--json", "--repeat", "1", *arguments]) == code
    shown = capsys.readouterr()
    assert shown.err == ""
    return json.loads(shown.out)


def test_names_tell_rows_apart():
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 48
    assert all(name.isascii() for name in names)


def test_every_loss_has_a_row():
    measured = {type(row.work).__name__ for row in ROWS}
    assert measured >= {"SoftmaxCrossEntropy", "MulticlassHinge", "SigmoidCrossEntropy"}
    assert measured <= {*losses.__all__, "str"}


def test_bars_are_in_order():
    for row in ROWS:
        if row.aim is not None:
            assert 0 < row.aim < row.must
        if row.yardstick in ("copy", "add"):
            assert row.must is not None


def test_bars_belong_to_an_instruction_set_and_one_thread():
    assert SMALL.bars("avx512", 1) == (3.0, 2.0)
    assert SMALL.bars("avx2", 1) == pytest.approx((1.6 * 3.0, 1.3 * 2.0))
    assert SMALL.bars("baseline", 1) == (None, None)
    assert SMALL.bars("avx512", 2) == (None, None)
    itself = replace(SMALL, yardstick="ordinary", confident=True)
    assert itself.bars("baseline", 2) == (3.0, 2.0)


@pytest.mark.parametrize("row", kinds(), ids=lambda row: row.name)
def test_what_fastloss_does_is_right(row):
    problem = problem_of(row)
    for fresh in (False, True):
        np.copyto(problem.out, problem.scores)  # for what is done in place
        assert disagreement(problem, fastloss_work(problem, fresh=fresh)(1)) is None
    if row.operation == "value+grad" and row.layout != "in place":
        result = fastloss_work(problem)(2)
        assert result[1] is problem.out


@pytest.mark.parametrize("row", kinds(), ids=lambda row: row.name)
def test_a_wrong_number_is_seen(row):
    problem = problem_of(row)
    np.copyto(problem.out, problem.scores)
    right = fastloss_work(problem, fresh=True)(1)
    assert disagreement(problem, right) is None
    wrong_by = 1e-3 if problem.scores.dtype.itemsize > 2 else 0.1  # a number of 16 bits is not as exact as that
    for place in range(len(right)):
        wrong = [np.array(part, dtype=np.float64, order="C") for part in right]
        wrong[place].reshape(-1)[-1] += wrong_by * np.abs(wrong[place]).max()
        assert disagreement(problem, tuple(wrong)) is not None
        wrong[place].reshape(-1)[-1] = np.nan
        assert "nan" in disagreement(problem, tuple(wrong))
    assert "results" in disagreement(problem, (*right, 0.0))


def test_a_wrong_shape_is_seen():
    problem = make_problem(SMALL)
    value, gradient = fastloss_work(problem)(1)
    assert "shape" in disagreement(problem, (value, gradient[1:]))
    assert "shape" in disagreement(problem, (value, gradient[:, 1:]))
    assert "shape" in disagreement(problem, (gradient, gradient))


def test_layouts_are_what_they_are_called():
    def strides(layout, **changes):
        return make_problem(replace(SMALL, shape=(128, 7), layout=layout, **changes)).scores.strides

    assert strides("") == strides("in place") == (28, 4)
    assert strides("strided rows")[1] == 4
    assert strides("strided rows")[0] > 28
    assert strides("Fortran order") == (4, 512)
    assert strides("classes first") == (8, 4, 512)
    for layout in ("strided rows", "Fortran order", "classes first"):
        problem = make_problem(replace(SMALL, shape=(128, 7), layout=layout))
        assert problem.out.strides == problem.scores.strides
        assert_array_equal(problem.scores.reshape(128, 7), make_problem(replace(SMALL, shape=(128, 7))).scores)


def test_confident_scores():
    scores = make_problem(replace(SMALL, shape=(2000, 7), confident=True)).scores
    second, first = np.sort(scores, axis=1)[:, -2:].T
    # Where the largest of the others was raised, the next one is further behind still.
    assert np.all((first - second >= 30) & (first - second < 120))
    binary = make_problem(Row(fastloss.SigmoidCrossEntropy(), "value+grad", (500,), confident=True)).scores
    assert np.all((np.abs(binary) >= 30) & (np.abs(binary) <= 90))
    assert np.unique(np.sign(binary)).tolist() == [-1, 1]


def test_scores_have_exact_differences():
    scores = make_problem(replace(SMALL, shape=(500, 7), confident=True)).scores
    exact = scores[:, 1:].astype(np.float64) - scores[:, :1] + 1
    assert_array_equal(scores[:, 1:] - scores[:, :1] + 1, exact)


def test_yardsticks():
    problem = make_problem(Row(fastloss.SigmoidCrossEntropy(), "value+grad", (50,)))
    copy_work(problem)(1)
    assert_array_equal(problem.out, problem.scores)
    add_work(problem)(1)
    assert_array_equal(problem.out, problem.scores + problem.targets)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"yardstick": "contiguous", "layout": "Fortran order"}, {"layout": ""}),
        ({"yardstick": "contiguous", "axis": 1, "shape": (2, 5, 3, 4)}, {"axis": -1, "shape": (24, 5)}),
        ({"yardstick": "ordinary", "confident": True}, {"confident": False}),
        ({"yardstick": "one thread", "threads": 2}, {"threads": 1}),
        ({"yardstick": "1000 classes"}, {"shape": (16384, 1000)}),
        ({"yardstick": "float32", "dtype": "float16"}, {"dtype": "float32"}),
    ],
)
def test_what_a_row_is_compared_with(changes, expected):
    row = replace(SMALL, **changes)
    assert row.yardstick_row() == replace(row, **expected)


def test_times_are_those_of_the_row():
    outcome = bench.measure(replace(SMALL, shape=(3000, 100)), (), replace(QUICK, isa="baseline", repeat=5))
    assert (outcome.error, outcome.absent, outcome.notes) == (None, None, [])
    assert (outcome.must, outcome.aim, outcome.met) == (None, None, None)
    assert set(outcome.seconds) == {"yardstick", "fastloss", "fastloss new"}
    # Neither less than reading the memory takes, nor more than a slow machine needs.
    assert all(1e-6 < seconds < 1 for seconds in outcome.seconds.values())
    assert outcome.ratios["fastloss"] == outcome.seconds["fastloss"] / outcome.seconds["yardstick"]


def test_a_row_longer_than_its_yardstick_is_compared_by_score(monkeypatch):
    monkeypatch.setattr(bench, "_take_turns", lambda members, _: [setattr(m, "seconds", 1.0) for m in members])
    row = replace(SMALL, yardstick="ordinary", confident=True)
    monkeypatch.setattr(Row, "yardstick_row", lambda self: replace(self, shape=(32, 7)))
    assert bench.measure(row, (), QUICK).ratios == {"fastloss": 0.5}


def test_which_bar_is_met():
    def met(ratio, must=3.0, aim=2.0):
        return Outcome(row=SMALL, must=must, aim=aim, seconds={"yardstick": 2.0, "fastloss": 2.0 * ratio}).met

    assert [met(2.0), met(2.1), met(3.0), met(3.1)] == ["aim", "must", "must", "no"]
    assert met(1.0, aim=None) == "must"
    assert met(1.0, must=None, aim=None) is None
    assert Outcome(row=SMALL, must=3.0).met is None


def test_fastest_rival():
    seconds = {"yardstick": 1.0, "fastloss": 2.0, "fastloss new": 0.5, "slow": 9.0, "quick": 8.0}
    outcome = Outcome(row=SMALL, seconds=seconds)
    assert (outcome.fastest_rival, outcome.times_faster) == ("quick", 4.0)
    assert outcome.rivals == {"slow": 9.0, "quick": 8.0}


@pytest.fixture
def clock(monkeypatch):
    """Return a list with the time, which passes only when somebody adds to it."""
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    return now


def taking(seconds, clock, log):
    """Return somebody whose every call takes so long, and is logged."""

    def work(count):
        clock[0] += seconds * count
        log.append((seconds, count))
        return ()

    return bench._Member(str(seconds), work, _core.active_isa(), 1)


def test_all_take_turns(clock):
    """Whoever is quicker is timed more often, all along."""
    timed = []
    members = [taking(0.1, clock, timed), taking(0.3, clock, timed), taking(5.0, clock, timed)]
    bench._take_turns(members, replace(QUICK, repeat=None, seconds=1.8))
    names = "".join({0.1: "a", 0.3: "b", 5.0: "c"}[seconds] for seconds, _ in timed)
    assert names[:3] == "abc"  # to tell how long it takes
    assert names[3:] == "aaabaaabaaabc" + "aaabaaabaaabc"
    assert [member.seconds for member in members] == pytest.approx([0.1, 0.3, 5.0])


def test_short_calls_are_timed_together_and_warm(clock):
    timed = []
    member = taking(1e-5, clock, timed)
    bench._take_turns([member], replace(QUICK, repeat=3))
    calls = [count for _, count in timed]
    assert calls == [1, 1, 100] + [1, 100] * 3  # the first may be slow, and is not done twice
    assert member.seconds == pytest.approx(1e-5)


def test_the_fastest_call_counts(clock):
    lengths = iter([0.5, 0.4, 0.2, 0.3])

    def work(count):
        clock[0] += next(lengths)
        return ()

    member = bench._Member("uneven", work, _core.active_isa(), 1)
    bench._take_turns([member], replace(QUICK, repeat=3))
    assert member.seconds == pytest.approx(0.2)


def test_what_is_restored_before_each_call_is_timed_call_by_call(clock):
    timed = []
    member = taking(1e-5, clock, timed)

    def restore():
        clock[0] += 7
        timed.append("restore")

    member.before = restore
    bench._take_turns([member], replace(QUICK, repeat=4))
    assert timed == ["restore", (1e-5, 1)] * 6  # two to tell how long it takes
    assert member.seconds == pytest.approx(1e-5)


@pytest.mark.parametrize("rival", RIVALS, ids=lambda rival: rival.name)
def test_rivals_are_right(rival):
    """What can be had of each library is what the reference says."""
    if rival.versions() is None:
        pytest.skip(f"{rival.name} is not installed")
    rows = {
        (row.work, row.operation, row.dtype, row.layout, row.axis): row
        for row in kinds()
        if row.rivals and not row.threads
    }
    if rival.name == "compile":
        if shutil.which("c++") is None:
            pytest.skip("needs a C++ compiler")
        rows = {(): SMALL}  # each takes the compiler seconds
    done = 0
    for row in rows.values():
        try:
            problem = make_problem(row)
        except Missing:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as the command does
            call = rival.prepare(problem, 1)
            if call:
                assert disagreement(problem, call(), rival=True) is None, row.name
                done += 1
    assert done >= min(2, len(rows))


def test_a_rival_that_is_not_installed():
    assert Rival("nobody", (("no_such_module", "no-such-package"),), bench_rivals._numpy).versions() is None
    assert "numpy" in RIVALS[0].versions()


def test_what_is_not_installed_is_said(table, monkeypatch, capsys):
    nobody = Rival("nobody", (("no_such_module", "no-such-package"),), bench_rivals._numpy)
    monkeypatch.setattr(bench, "RIVALS", (RIVALS[0], nobody))
    table(SMALL)
    assert cli.main(["bench", "--repeat", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"rivals   numpy {np.__version__}" in lines
    assert "not installed: nobody" in lines
    found = report(capsys)
    assert found["versions"] == {"numpy": f"numpy {np.__version__}", "nobody": None}
    assert list(found["rows"][0]["rivals"]) == ["numpy"]


@pytest.mark.parametrize("threads", [1, 2])
def test_summary_counts_rows(table, capsys, threads):
    table(replace(SMALL, yardstick="ordinary", must=1e9, aim=1e-9, confident=True), SMALL)
    cli.main(["bench", "--repeat", "1", "--rivals", "numpy", "--isa", "baseline", "--threads", str(threads)])
    lines = capsys.readouterr().out.splitlines()
    # The second has no bars for this instruction set.
    assert lines[-3:-1] == ["must    met in 1 of 1 rows", "aim     met in 0 of 1 rows"]
    assert lines[-1].startswith("gain    3 or more in ")
    assert lines[-1].endswith(" of 2 rows")


def test_rivals_that_fail_are_noted(table, monkeypatch, capsys):
    def broken(problem, threads):
        raise RuntimeError("out\nof order")

    def wrong(problem, threads):
        return lambda: (0.0, problem.out)

    def nothing(problem, threads):
        return None

    def right(problem, threads):
        return bench_rivals._numpy(problem, threads)

    numpy = (("numpy", "numpy"),)
    rivals = [Rival(f.__name__, numpy, f) for f in (broken, wrong, nothing, right)]
    monkeypatch.setattr(bench, "RIVALS", tuple(rivals))
    table(SMALL)
    assert cli.main(["bench", "--repeat", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    notes = lines[lines.index("Notes") + 1 :]
    assert notes[0] == f"{SMALL.name}: broken: RuntimeError: out of order"
    assert notes[1].startswith(f"{SMALL.name}: wrong: wrong: value: expected ")
    found = report(capsys)["rows"][0]
    assert list(found["rivals"]) == ["right"]
    assert found["fastest_rival"] == "right"
    assert found["times_faster"] == pytest.approx(found["rivals"]["right"] / found["ratio"])


def test_a_wrong_result_is_an_error_and_no_time(table, monkeypatch, capsys):
    def wrong(self, scores, targets, sample_weight=None, *, out=None):
        out = np.zeros_like(scores) if out is None else out
        out[...] = 0
        return SOFTMAX(scores, targets), out

    monkeypatch.setattr(fastloss.SoftmaxCrossEntropy, "value_and_grad", wrong)
    table(SMALL, replace(SMALL, operation="value"))
    assert cli.main(["bench", "--rivals", "none", "--repeat", "1"]) == 1
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if line.startswith(SMALL.name)]
    assert "ERROR wrong: gradient of sample 0: expected" in line
    assert lines[-1] == "ERRORS  in 1 of 2 rows"
    bad, good = report(capsys, "--rivals", "none", code=1)["rows"]
    assert bad["seconds"] == {}
    assert (bad["ratio"], bad["met"]) == (None, None)
    assert (good["error"], good["seconds"]["fastloss"] > 0) == (None, True)


def test_an_exception_is_an_error(table, monkeypatch, capsys):
    def broken(*_, **__):
        raise ValueError("no such luck")

    monkeypatch.setattr(fastloss.SoftmaxCrossEntropy, "value_and_grad", broken)
    table(SMALL)
    (row,) = report(capsys, "--rivals", "none", code=1)["rows"]
    assert row["error"] == "ValueError: no such luck"


def test_rows_that_are_not_here(table, monkeypatch, capsys):
    monkeypatch.setattr(_core, "isas", lambda *, built=False: ("baseline",))
    table(replace(SMALL, isa="avx2"), replace(SMALL, threads=2**20, yardstick="one thread"))
    assert cli.main(["bench", "--repeat", "1", "--rivals", "none"]) == 0
    shown = capsys.readouterr().out
    assert "not here: this machine or build has no avx2" in shown
    assert "not here: needs 1048576 processors" in shown


def test_json_tells_all(table, capsys):
    table(SMALL)
    found = report(capsys, "--rivals", "numpy", "--threads", "1")
    assert found["config"] == fastloss.show_config(mode="dicts") | {"threads": 1}
    assert found["settings"] == {"isa": _core.active_isa(), "threads": 1, "seconds": 0.4, "repeat": 1}
    assert found["versions"] == {"numpy": f"numpy {np.__version__}"}
    (row,) = found["rows"]
    assert row["name"] == SMALL.name
    options = {"class_weight": None, "ignore_index": None, "logit_cap": None, "reduction": "mean"}
    options |= {"label_smoothing": 0.0, "focal_gamma": 0.0, "z_loss": 0.0, "temperature": 1.0}
    assert row["work"] == {"loss": "SoftmaxCrossEntropy", **options}
    assert row["shape"] == [64, 7]
    assert (row["must"], row["aim"]) == SMALL.bars(_core.active_isa(), 1)
    assert row["ratio"] == row["seconds"]["fastloss"] / row["seconds"]["yardstick"]
    assert row["ratio_new"] == row["seconds"]["fastloss new"] / row["seconds"]["yardstick"]
    assert all(math.isfinite(seconds) and seconds > 0 for seconds in row["seconds"].values())


def test_table_lines_up(table, capsys):
    table(*kinds()[:6], replace(SMALL, yardstick="ordinary", confident=True), replace(SMALL, isa="baseline"))
    assert cli.main(["bench", "--repeat", "1", "--rivals", "numpy"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= bench.WIDTH and line.isascii() and line == line.rstrip() for line in lines)
    heading = next(line for line in lines if "out=" in line and "gain" in line)
    rows = [line for line in lines if line.startswith("softmax") and len(line) == len(heading)]
    assert len(rows) == len(bench.ROWS)
    for name in ("out=", "new", "must", "aim", "name", "time", "gain"):
        end = heading.index(name) + len(name)
        for row in rows:
            # Right-aligned: a number ends under the heading's last letter, and only there.
            assert row[end - 1] != " "
            assert row[end : end + 1] in ("", " ")
    assert any(line.startswith("--- times fastloss on ordinary scores ---") for line in lines)
    assert any(line.startswith("--- times np.copyto(out, scores), with baseline ---") for line in lines)
    assert any(line.startswith("Rivals, in the same units") and line.endswith("  numpy") for line in lines)


def test_rows_are_chosen_by_name():
    def names(patterns, isa=None):
        return [row.name for row in bench.select(patterns, isa)]

    assert names(None) == [row.name for row in ROWS]
    assert names("sigmoid*16000000") == ["sigmoid value+grad 16000000"]
    assert names("LOGSUMEXP") == [name for name in names(None) if "logsumexp" in name]
    both = names("32x10, 2 threads")
    assert {"softmax value+grad 32x10", "softmax value+grad 16384x1000 2 threads"} <= set(both)
    assert names("*value+grad 1024x1000") == ["softmax value+grad 1024x1000"]
    assert not any("avx2" in name for name in names(None, "baseline"))


def test_list(capsys):
    assert cli.main(["bench", "--list"]) == 0
    assert capsys.readouterr().out.splitlines() == [row.name for row in ROWS]
    assert cli.main(["bench", "--list", "--rows", "sigmoid*16000000"]) == 0
    assert capsys.readouterr().out == "sigmoid value+grad 16000000\n"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--rows", "zero-one"], "--rows zero-one"),
        (["--rows", ","], "--rows ,"),
        (["--rivals", "numpy,nobody"], "nobody"),
        (["--isa", "mmx"], "mmx"),
        (["--threads", "0"], "--threads: expected 1 or more, got 0"),
        (["--repeat", "0"], "--repeat: expected 1 or more, got 0"),
        (["--seconds", "0"], "--seconds: expected more than 0, got 0"),
        (["--seconds", "nan"], "--seconds: expected more than 0, got nan"),
        (["--seconds", "1", "--repeat", "1"], "--repeat"),
        (["--plot", "ratios.jpg"], "--plot ratios.jpg"),
    ],
)
def test_a_mistake_is_one_line(arguments, named, capsys):
    assert cli.main(["bench", *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("fastloss: ")
    assert shown.err.count("\n") == 1
    assert named in shown.err


def test_settings_are_put_back(table, capsys):
    isa, threads = _core.active_isa(), fastloss.get_num_threads()
    table(SMALL)
    found = report(capsys, "--rivals", "none", "--isa", "baseline", "--threads", str(threads + 1))
    assert found["settings"]["isa"] == "baseline"
    assert found["settings"]["threads"] == threads + 1
    assert (_core.active_isa(), fastloss.get_num_threads()) == (isa, threads)


def test_each_takes_part_with_its_own_settings(table, monkeypatch, capsys):
    seen = set()

    def watched(problem, **options):
        work = fastloss_work(problem, **options)

        def watch(count):
            seen.add((problem.row.threads, _core.active_isa(), fastloss.get_num_threads()))
            return work(count)

        return watch

    monkeypatch.setattr(bench, "fastloss_work", watched)
    monkeypatch.setattr("fastloss.cli.bench_rows._processors", lambda: 3)
    table(replace(SMALL, threads=3, isa="baseline", yardstick="one thread"))
    report(capsys, "--rivals", "none")
    assert seen == {(3, "baseline", 3), (1, "baseline", 1)}


def test_plot(table, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    table(SMALL, replace(SMALL, yardstick="ordinary", confident=True), replace(SMALL, isa="no such"))
    picture = tmp_path / "ratios.png"
    report(capsys, "--rivals", "numpy", "--plot", str(picture))
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert list(tmp_path.iterdir()) == [picture]


def test_plot_without_matplotlib(table, tmp_path, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    table(SMALL)
    assert cli.main(["bench", "--plot", str(tmp_path / "ratios.png")]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert "pip install" in shown.err
    assert not list(tmp_path.iterdir())


def test_nothing_of_others_is_imported_before_it_is_needed():
    packages = {module for rival in RIVALS for module, _ in rival.packages} - {"numpy"} | {"matplotlib"}
    code = f"import sys, fastloss.cli; print({packages!r} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "set()\n"
