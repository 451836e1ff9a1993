# SPDX-License-Identifier: BSD-3-Clause
"""Losses as objects, reductions, and the settings of the package."""

import copy
import dataclasses
import inspect
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

import fastloss as fl
from fastloss import _core


def options_of(loss):
    return {field.name: getattr(loss, field.name) for field in dataclasses.fields(loss) if field.init}


def test_fields_are_the_options(loss):
    """Tools that look into dataclasses see the options and nothing else."""
    assert dataclasses.asdict(loss) == options_of(loss)
    assert [field.name for field in dataclasses.fields(loss)] == list(inspect.signature(type(loss)).parameters)


def test_options_of_a_loss_come_before_those_of_all():
    """In its signature and its repr."""
    assert repr(fl.SoftmaxCrossEntropy()) == (
        "SoftmaxCrossEntropy(axis=-1, class_weight=None, ignore_index=None, label_smoothing=0.0, focal_gamma=0.0, "
        "z_loss=0.0, temperature=1.0, logit_cap=None, reduction='mean')"
    )
    assert repr(fl.MulticlassHinge()) == (
        "MulticlassHinge(form='weston-watkins', margin=1.0, power=1, axis=-1, class_weight=None, ignore_index=None, "
        "reduction='mean')"
    )
    assert repr(fl.SigmoidCrossEntropy()) == (
        "SigmoidCrossEntropy(pos_weight=None, label_smoothing=0.0, focal_gamma=0.0, focal_alpha=None, "
        "ignore_index=None, reduction='mean')"
    )


def test_readable_repr_that_is_also_code(loss):
    assert eval(repr(loss), {type(loss).__name__: type(loss)}) == loss
    for name, value in options_of(loss).items():
        assert f"{name}={value!r}" in repr(loss)


def test_equality_and_hash(loss):
    same = type(loss)(**options_of(loss))
    assert same == loss
    assert hash(same) == hash(loss)
    assert {loss: 1}[same] == 1
    other = loss.replace(reduction="sum" if loss.reduction != "sum" else "mean")
    assert other != loss
    assert loss != "loss"


def test_losses_of_different_classes_differ():
    assert fl.SoftmaxCrossEntropy() != fl.SigmoidCrossEntropy()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(loss, protocol):
    again = pickle.loads(pickle.dumps(loss, protocol))
    assert again == loss
    assert repr(again) == repr(loss)
    assert _evaluates_like(again, loss)


def test_copies(loss):
    for again in (copy.copy(loss), copy.deepcopy(loss), loss.replace()):
        assert again == loss
        assert _evaluates_like(again, loss)


def _evaluates_like(a, b):
    scores = np.array([[0.5, -1.0, 2.0], [3.0, 1.0, 1.0]])
    targets = np.array([0, 2]) if a.family == "rowwise" else np.array([[0.0, 1, 1]] * 2)
    if not np.isnan(a.score_range[0]):
        scores = np.exp(-np.abs(scores))
    return bool(np.all(a(scores, targets) == b(scores, targets)))


def test_replace_changes_what_is_computed(loss):
    for reduction in ("mean", "sum", "none", "batch_mean"):
        changed = loss.replace(reduction=reduction)
        assert changed.reduction == reduction
        assert type(changed) is type(loss)
        assert _evaluates_like(changed, type(loss)(**{**options_of(loss), "reduction": reduction}))
    with pytest.raises(TypeError, match="sharpness"):
        loss.replace(sharpness=2)
    with pytest.raises(ValueError, match="reduction"):
        loss.replace(reduction="average")


@pytest.mark.skipif(sys.version_info < (3, 13), reason="copy.replace came with Python 3.13")
def test_copy_replace(loss):
    assert copy.replace(loss, reduction="sum") == loss.replace(reduction="sum")


def test_dunder_replace(loss):
    assert loss.__replace__(reduction="sum") == loss.replace(reduction="sum")


def test_frozen(loss):
    with pytest.raises(dataclasses.FrozenInstanceError):
        loss.reduction = "sum"
    with pytest.raises((AttributeError, TypeError)):
        loss.temperature = 2.0


def test_options_are_keywords(loss):
    with pytest.raises(TypeError):
        type(loss)("mean")


def test_every_option_is_checked(loss):
    also_right = {"class_weight": {(1,)}, "margin": {(1,)}, "ignore_index": {-1}}
    also_right |= {"focal_alpha": {None}, "pos_weight": {None, (1,)}, "log_input": {True}}
    for name, right in options_of(loss).items():
        for wrong in {"no such value", None, -1, (1,), True} - {right} - also_right.get(name, set()):
            with pytest.raises((ValueError, TypeError), match=name):
                type(loss)(**{name: wrong})


@pytest.mark.parametrize("reduction", ["average", "Mean", "", None, 1])
def test_unknown_reductions(loss, reduction):
    with pytest.raises(ValueError, match=r"reduction.*mean.*sum.*none.*batch_mean"):
        type(loss)(reduction=reduction)


@pytest.mark.parametrize("margin", [-1.0, -1e-300, np.nan, np.inf, -np.inf])
def test_margins_out_of_range(margin):
    with pytest.raises(ValueError, match=r"margin.*finite"):
        fl.MulticlassHinge(margin=margin)


@pytest.mark.parametrize("margin", [0, 2, np.float32(0.5), np.int64(3)])
def test_margins_of_any_number_type(margin):
    loss = fl.MulticlassHinge(margin=margin)
    assert loss == fl.MulticlassHinge(margin=float(margin))
    assert loss(np.zeros((1, 3)), [0]) == 2 * float(margin)


@pytest.mark.parametrize("axis", [0, -1, 2, -3, np.int8(1), np.uint64(1), np.array(1)])
def test_axes_of_any_integer_type(row_loss, axis):
    """Kept as a plain number, which is what they are shown, compared and stored as."""
    loss = row_loss.replace(axis=axis)
    assert type(loss.axis) is int
    assert loss == row_loss.replace(axis=int(axis))
    assert hash(loss) == hash(row_loss.replace(axis=int(axis)))
    assert pickle.loads(pickle.dumps(loss)) == loss
    assert f"axis={int(axis)}," in repr(loss)


@pytest.mark.parametrize("axis", [True, False, np.True_, 1.0, "1", None, (1,), np.array([0, 1])])
def test_axes_that_are_no_integers(row_loss, axis):
    with pytest.raises(TypeError, match=r"axis.*integer"):
        row_loss.replace(axis=axis)


@pytest.mark.parametrize(("name", "value"), [("form", "weston_watkins"), ("form", 1), ("power", 3), ("power", 0)])
def test_hinges_that_do_not_exist(name, value):
    with pytest.raises(ValueError, match=name):
        fl.MulticlassHinge(**{name: value})


def test_defaults():
    assert fl.SoftmaxCrossEntropy() == fl.SoftmaxCrossEntropy(
        axis=-1, class_weight=None, ignore_index=None, reduction="mean"
    )
    assert fl.MulticlassHinge() == fl.MulticlassHinge(
        form="weston-watkins", margin=1.0, power=1, axis=-1, class_weight=None, ignore_index=None, reduction="mean"
    )
    assert fl.SigmoidCrossEntropy() == fl.SigmoidCrossEntropy(reduction="mean")


def test_losses_are_losses(loss):
    assert isinstance(loss, fl.Loss)
    assert getattr(fl, type(loss).__name__) is type(loss)
    assert loss.kernel in _core.losses()


def test_signatures_are_the_same_for_all(loss):
    assert list(inspect.signature(loss).parameters) == ["scores", "targets", "sample_weight"]
    assert list(inspect.signature(loss.value_and_grad).parameters) == ["scores", "targets", "sample_weight", "out"]
    parameters = inspect.signature(loss.value_grad_hess).parameters
    assert list(parameters) == ["scores", "targets", "sample_weight", "out", "hess_out"]
    for name in ("out", "hess_out"):
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY


def test_every_public_name_exists_and_is_documented():
    for name in fl.__all__:
        public = getattr(fl, name)
        if callable(public):
            assert inspect.getdoc(public)


def test_threads():
    before = fl.get_num_threads()
    assert before >= 1
    try:
        fl.set_num_threads(3)
        assert fl.get_num_threads() == 3
        with fl.num_threads(2):
            assert fl.get_num_threads() == 2
            with fl.num_threads(5):
                assert fl.get_num_threads() == 5
            assert fl.get_num_threads() == 2
        assert fl.get_num_threads() == 3
        with pytest.raises(RuntimeError, match="inside"), fl.num_threads(1):
            raise RuntimeError("inside")
        assert fl.get_num_threads() == 3
        assert fl.show_config(mode="dicts")["threads"] == 3
    finally:
        fl.set_num_threads(before)


@pytest.mark.parametrize("count", [0, -1])
def test_too_few_threads(count):
    before = fl.get_num_threads()
    with pytest.raises(ValueError, match=rf"got {count}"):
        fl.set_num_threads(count)
    with pytest.raises(ValueError, match=rf"got {count}"), fl.num_threads(count):
        pass
    assert fl.get_num_threads() == before


@pytest.mark.parametrize("count", [1.5, "2", None])
def test_threads_of_no_number(count):
    with pytest.raises(TypeError):
        fl.set_num_threads(count)


def test_configuration_as_a_dictionary():
    config = fl.show_config(mode="dicts")
    assert set(config) == {"version", "compiler", "instruction_sets", "threads", "numpy", "python"}
    assert set(config["instruction_sets"]) == {"built", "found", "used"}
    assert config["version"] == fl.__version__
    assert config["numpy"] == np.__version__
    assert config["python"] == ".".join(map(str, sys.version_info[:3])) or config["python"] in sys.version
    assert list(config["instruction_sets"]["found"]) == list(_core.isas())
    assert set(config["instruction_sets"]["found"]) <= set(config["instruction_sets"]["built"])
    assert config["instruction_sets"]["used"] == _core.active_isa()


def test_configuration_as_text(capsys):
    assert fl.show_config() is None
    text = capsys.readouterr().out
    assert fl.__version__ in text
    assert _core.active_isa() in text
    with pytest.raises(ValueError, match=r"mode.*'json'"):
        fl.show_config(mode="json")


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def test_instruction_set_from_the_environment():
    for name in _core.isas():
        result = run("from fastloss import _core; print(_core.active_isa())", FASTLOSS_ISA=name)
        assert result.stdout.split() == [name], result.stderr
    result = run("import fastloss", FASTLOSS_ISA="abacus")
    assert result.returncode != 0
    last = result.stderr.strip().splitlines()[-1]
    assert "FASTLOSS_ISA" in last
    assert "abacus" in last
    assert _core.isas()[0] in last


def test_threads_from_the_environment():
    result = run("import fastloss; print(fastloss.get_num_threads())", FASTLOSS_NUM_THREADS="3")
    assert result.stdout.split() == ["3"], result.stderr
    for wrong in ("0", "many"):
        result = run("import fastloss", FASTLOSS_NUM_THREADS=wrong)
        assert result.returncode != 0
        last = result.stderr.strip().splitlines()[-1]
        assert "FASTLOSS_NUM_THREADS" in last
        assert wrong in last


def test_unknown_instruction_set():
    before = _core.active_isa()
    with pytest.raises(ValueError, match="abacus"):
        _core.use_isa("abacus")
    assert _core.active_isa() == before


def test_import_brings_in_nothing_but_numpy():
    """No SciPy, no reference, no command line."""
    code = "import sys, numpy; a = set(sys.modules); import fastloss; print(*sorted(set(sys.modules) - a))"
    loaded = run(code).stdout.split()
    packages = {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names)
    assert {name for name in packages if "cython" not in name} <= {"fastloss", "numpy"}
    assert "fastloss.reference" not in loaded
    assert "fastloss.cli" not in loaded
