# SPDX-License-Identifier: BSD-3-Clause
"""fastloss says what others say: SciPy, scikit-learn, PyTorch and the node tests of ONNX.

The heavy ones are skipped, visibly, where they are not installed; `pip install ".[oracles]"` brings them.
"""

import warnings

import numpy as np
import onnx_cases
import pytest
import scipy.optimize
import scipy.special
from numpy.testing import assert_allclose

import fastloss as fl


def oracle(name):
    """Import a module that need not be there; what it warns of while it loads is not our concern."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"{name} is not installed: pip install '.[oracles]'")


def problem(dtype, rows=60, classes=12):
    random = np.random.default_rng(7)
    scores = random.normal(scale=3, size=(rows, classes)).astype(dtype)
    return scores, random.integers(0, classes, rows), random.uniform(0.5, 2, rows)


def close(actual, expected, dtype, ulp=32):
    """Both sides round; differences of probabilities and targets are as exact as the probabilities are."""
    eps = np.finfo(dtype).eps
    assert_allclose(np.asarray(actual, dtype=np.float64), np.asarray(expected), rtol=ulp * eps, atol=ulp * eps / 4)


# SciPy


def test_softmax_cross_entropy_is_scipys_logsumexp(dtype):
    scores, targets, sample_weight = problem(dtype)
    wide = scores.astype(np.float64)
    each = scipy.special.logsumexp(wide, axis=1) - wide[np.arange(60), targets]
    close(fl.SoftmaxCrossEntropy(reduction="none")(scores, targets), each, dtype)
    close(fl.SoftmaxCrossEntropy()(scores, targets, sample_weight), np.average(each, weights=sample_weight), dtype)
    gradient = scipy.special.softmax(wide, axis=1)
    gradient[np.arange(60), targets] -= 1
    close(fl.SoftmaxCrossEntropy(reduction="sum").value_and_grad(scores, targets)[1], gradient, dtype)


def test_sigmoid_cross_entropy_is_scipys_expit(dtype):
    scores, _, _ = problem(dtype)
    targets = np.random.default_rng(8).random(scores.shape, dtype=dtype)
    wide, t = scores.astype(np.float64), targets.astype(np.float64)
    each = -t * scipy.special.log_expit(wide) - (1 - t) * scipy.special.log_expit(-wide)
    value, gradient, hessian = fl.SigmoidCrossEntropy(reduction="none").value_grad_hess(scores, targets)
    close(value, each, dtype)
    close(gradient, scipy.special.expit(wide) - t, dtype)
    close(hessian, scipy.special.expit(wide) * scipy.special.expit(-wide), dtype)


def test_statistics_are_scipys(dtype):
    scores, targets, _ = problem(dtype)
    wide = scores.astype(np.float64)
    stats = fl.classification_stats(scores, targets)
    close(stats.log_sum_exp, scipy.special.logsumexp(wide, axis=1), dtype)
    close(stats.entropy, scipy.special.entr(scipy.special.softmax(wide, axis=1)).sum(axis=1), dtype)
    np.testing.assert_array_equal(stats.arg_max, scores.argmax(axis=1))


def test_activations_are_scipys(dtype):
    x, _, _ = problem(dtype)
    wide = x.astype(np.float64)
    p, q = scipy.special.expit(wide), scipy.special.expit(-wide)
    for activation, value, derivative in (
        (fl.Sigmoid(), p, p * q),
        (fl.Sigmoid(low=-2.0, high=3.0), 5 * p - 2, 5 * p * q),
        (fl.Tanh(), np.tanh(wide), 1 - np.tanh(wide) ** 2),
        (fl.ELU(alpha=0.5), np.where(wide > 0, wide, 0.5 * scipy.special.expm1(wide)), None),
    ):
        results = activation.value_and_derivative(x)
        close(results[0], value, dtype)
        if derivative is not None:
            close(results[1], derivative, dtype)


@pytest.mark.parametrize(
    "smooth", [fl.SoftmaxCrossEntropy(), fl.MulticlassHinge(power=2), fl.SigmoidCrossEntropy()], ids=repr
)
def test_scipy_finds_the_same_gradient(smooth):
    scores, targets, _ = problem("float64", rows=4, classes=5)
    targets = targets % 5 if smooth.family == "rowwise" else np.eye(5)[targets % 5]
    error = scipy.optimize.check_grad(
        lambda z: smooth(z.reshape(4, 5), targets),
        lambda z: smooth.value_and_grad(z.reshape(4, 5), targets)[1].ravel(),
        scores.ravel(),
    )
    assert error < 1e-5


# scikit-learn


def test_softmax_cross_entropy_is_scikit_learns(dtype):
    sklearn_loss = oracle("sklearn._loss")
    scores, targets, sample_weight = problem(dtype)
    theirs = sklearn_loss.HalfMultinomialLoss(n_classes=12)
    arguments = {
        "y_true": targets.astype(dtype),
        "raw_prediction": scores,
        "sample_weight": sample_weight.astype(dtype),
    }
    value, gradient = theirs.loss_gradient(**arguments)
    weights = sample_weight.astype(dtype)
    ours, our_gradient = fl.SoftmaxCrossEntropy(reduction="none").value_and_grad(scores, targets, weights)
    close(ours, value, dtype)
    close(our_gradient, gradient, dtype)
    _, hessian = theirs.gradient_hessian(**arguments)
    close(fl.SoftmaxCrossEntropy(reduction="sum").value_grad_hess(scores, targets, weights)[2], hessian, dtype)


def test_sigmoid_cross_entropy_is_scikit_learns(dtype):
    sklearn_loss = oracle("sklearn._loss")
    scores, _, _ = problem(dtype)
    z = np.ascontiguousarray(scores[:, 0])
    t = np.random.default_rng(9).random(len(z), dtype=dtype)
    theirs = sklearn_loss.HalfBinomialLoss()
    value, gradient, hessian = fl.SigmoidCrossEntropy(reduction="none").value_grad_hess(z, t)
    close(value, theirs.loss(y_true=t, raw_prediction=z), dtype)
    their_gradient, their_hessian = theirs.gradient_hessian(y_true=t, raw_prediction=z)
    close(gradient, their_gradient, dtype)
    close(hessian, their_hessian, dtype)


def test_metrics_of_scikit_learn():
    metrics = oracle("sklearn.metrics")
    scores, targets, sample_weight = problem("float64")
    labels = np.arange(12)
    expected = metrics.log_loss(
        targets, scipy.special.softmax(scores, axis=1), sample_weight=sample_weight, labels=labels
    )
    close(fl.SoftmaxCrossEntropy()(scores, targets, sample_weight), expected, "float64")
    expected = metrics.hinge_loss(targets, scores, sample_weight=sample_weight, labels=labels)
    close(fl.MulticlassHinge(form="crammer-singer")(scores, targets, sample_weight), expected, "float64")


# PyTorch


def test_cross_entropy_of_pytorch(dtype):
    torch = oracle("torch")
    scores, targets, _ = problem(dtype)
    for reduction in ("mean", "sum", "none"):
        z = torch.tensor(scores, requires_grad=True)
        expected = torch.nn.functional.cross_entropy(z, torch.tensor(targets), reduction=reduction)
        expected.sum().backward()
        value, gradient = fl.SoftmaxCrossEntropy(reduction=reduction).value_and_grad(scores, targets)
        close(value, expected.detach().numpy(), dtype)
        close(gradient, z.grad.numpy(), dtype)


def test_second_derivatives_of_pytorch():
    torch = oracle("torch")
    scores, targets, _ = problem("float64", rows=3, classes=5)
    targets = targets % 5
    hard = torch.tensor(np.eye(5)[targets])
    functional = torch.nn.functional
    cases = [
        (
            fl.SoftmaxCrossEntropy(reduction="sum"),
            targets,
            lambda z: functional.cross_entropy(z, torch.tensor(targets), reduction="sum"),
        ),
        (
            fl.SigmoidCrossEntropy(reduction="sum"),
            hard.numpy(),
            lambda z: functional.binary_cross_entropy_with_logits(z, hard, reduction="sum"),
        ),
    ]
    for loss, t, theirs in cases:
        full = torch.autograd.functional.hessian(theirs, torch.tensor(scores)).reshape(15, 15)
        hessian = loss.value_grad_hess(scores, t)[2]
        close(hessian.ravel(), full.diagonal().numpy(), "float64")


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("margin", [1.0, 0.3])
def test_multi_margin_loss_of_pytorch(dtype, power, margin):
    """Which divides by the number of classes."""
    torch = oracle("torch")
    scores, targets, _ = problem(dtype)
    for reduction in ("mean", "sum", "none"):
        z = torch.tensor(scores, requires_grad=True)
        expected = 12 * torch.nn.functional.multi_margin_loss(
            z, torch.tensor(targets), p=power, margin=margin, reduction=reduction
        )
        expected.sum().backward()
        loss = fl.MulticlassHinge(power=power, margin=margin, reduction=reduction)
        value, gradient = loss.value_and_grad(scores, targets)
        # Violations near 0 are as exact as the scores, which reach 12.
        eps = np.finfo(dtype).eps
        assert_allclose(value, expected.detach().numpy(), rtol=32 * eps, atol=64 * eps)
        assert_allclose(gradient, z.grad.numpy(), rtol=32 * eps, atol=64 * eps)


def test_binary_cross_entropy_of_pytorch(dtype):
    torch = oracle("torch")
    scores, _, _ = problem(dtype)
    targets = np.random.default_rng(10).random(scores.shape, dtype=dtype)
    for reduction in ("mean", "sum", "none"):
        z = torch.tensor(scores, requires_grad=True)
        expected = torch.nn.functional.binary_cross_entropy_with_logits(z, torch.tensor(targets), reduction=reduction)
        expected.sum().backward()
        value, gradient = fl.SigmoidCrossEntropy(reduction=reduction).value_and_grad(scores, targets)
        close(value, expected.detach().numpy(), dtype)
        close(gradient, z.grad.numpy(), dtype)


def test_training_steps_of_pytorch(dtype):
    """Ten steps of gradient descent on a linear classifier end at the same weights."""
    torch = oracle("torch")
    random = np.random.default_rng(11)
    inputs, targets = random.normal(size=(40, 6)).astype(dtype), random.integers(0, 4, 40)
    weights = np.zeros((6, 4), dtype=dtype)
    theirs = torch.zeros((6, 4), dtype=getattr(torch, dtype), requires_grad=True)
    loss = fl.SoftmaxCrossEntropy()
    for _ in range(10):
        weights -= 0.5 * inputs.T @ loss.value_and_grad(inputs @ weights, targets)[1]
        value = torch.nn.functional.cross_entropy(torch.tensor(inputs) @ theirs, torch.tensor(targets))
        (gradient,) = torch.autograd.grad(value, theirs)
        theirs = (theirs - 0.5 * gradient).detach().requires_grad_()
    # Rounding grows from step to step.
    close(weights, theirs.detach().numpy(), dtype, ulp=256)


@pytest.mark.parametrize(
    ("activation", "name", "options"),
    [
        (fl.Sigmoid(), "sigmoid", ()),
        (fl.Tanh(), "tanh", ()),
        (fl.ReLU(), "relu", ()),
        (fl.LeakyReLU(slope=0.25), "leaky_relu", (0.25,)),
        (fl.ELU(alpha=0.75), "elu", (0.75,)),
    ],
    ids=repr,
)
def test_activations_of_pytorch(activation, name, options, dtype):
    torch = oracle("torch")
    x, _, _ = problem(dtype)
    x[0, :3] = 0.0, -0.0, np.inf
    theirs = torch.tensor(x, requires_grad=True)
    expected = getattr(torch.nn.functional, name)(theirs, *options)
    expected.sum().backward()
    value, derivative = activation.value_and_derivative(x)
    close(value, expected.detach().numpy(), dtype)
    close(derivative, theirs.grad.numpy(), dtype)


def test_penalties_of_pytorch(dtype):
    torch = oracle("torch")
    w, _, _ = problem(dtype)
    w[0, :3] = 0.0
    for penalty, theirs in (
        (fl.L2(strength=0.5), lambda z: 0.25 * (z**2).sum()),
        (fl.L1(strength=0.5), lambda z: 0.5 * z.abs().sum()),
        (fl.ElasticNet(strength=0.5, l1_ratio=0.25), lambda z: 0.125 * z.abs().sum() + 0.1875 * (z**2).sum()),
    ):
        z = torch.tensor(w.astype(np.float64), requires_grad=True)
        expected = theirs(z)
        expected.backward()
        value, gradient = penalty.value_and_grad(w)
        close(value, expected.item(), "float64")
        close(gradient, z.grad.numpy(), dtype)


def test_statistics_of_scikit_learn(dtype):
    metrics = oracle("sklearn.metrics")
    scores, targets, _ = problem(dtype)
    stats = fl.classification_stats(scores, targets, topk=(1, 2, 5))
    for k, share in zip(stats.topk, stats.topk_accuracy, strict=True):
        assert share == metrics.top_k_accuracy_score(targets, scores, k=k, labels=np.arange(12))
    assert stats.accuracy == metrics.accuracy_score(targets, stats.arg_max)
    expected = metrics.log_loss(targets, scipy.special.softmax(scores.astype(float), axis=1), labels=np.arange(12))
    close(stats.perplexity, np.exp(expected), dtype)


def test_statistics_of_pytorch(dtype):
    torch = oracle("torch")
    scores, targets, _ = problem(dtype)
    stats = fl.classification_stats(scores, targets, topk=(3,))
    z = torch.tensor(scores)
    close(stats.loss, torch.nn.functional.cross_entropy(z, torch.tensor(targets), reduction="none").numpy(), dtype)
    close(stats.entropy, torch.distributions.Categorical(logits=z).entropy().numpy(), dtype)
    found = torch.topk(z, 3).indices.numpy()
    np.testing.assert_array_equal(stats.hits[:, 0], (found == targets[:, None]).any(axis=1))


def test_elastic_net_of_scikit_learn():
    """At its solution the gradient of half the mean squared error and that of the penalty cancel."""
    linear_model = oracle("sklearn.linear_model")
    random = np.random.default_rng(12)
    x = random.normal(size=(60, 5))
    y = x @ random.normal(size=5) + random.normal(size=60)
    model = linear_model.ElasticNet(alpha=0.05, l1_ratio=0.3, fit_intercept=False, tol=1e-12, max_iter=100_000)
    w = model.fit(x, y).coef_
    assert w.all()
    gradient = x.T @ (x @ w - y) / 60
    fl.ElasticNet(strength=0.05, l1_ratio=0.3).value_and_grad(w, add_to=gradient)
    assert_allclose(gradient, 0, atol=1e-9)


# ONNX


def test_node_tests_of_onnx():
    """SoftmaxCrossEntropyLoss: classes on axis 1; weights of classes and ignored labels become weights of samples."""
    cases = [case for case in onnx_cases.load() if case.op == "SoftmaxCrossEntropyLoss"]
    ran = 0
    for case in cases:
        for (scores, labels, *class_weight), (expected, *log_probability) in case.data:
            counted = labels != case.options.get("ignore_index")
            targets = np.where(counted, labels, 0)
            sample_weight = (class_weight[0] if class_weight else np.ones(scores.shape[1]))[targets] * counted
            loss = fl.SoftmaxCrossEntropy(reduction=case.options["reduction"].decode())
            moved = np.moveaxis(scores, 1, -1)
            assert_allclose(loss(moved, targets, sample_weight), expected, rtol=1e-6, err_msg=case.name)
            if log_probability:
                assert_allclose(fl.log_softmax(scores, axis=1), log_probability[0], rtol=1e-6, err_msg=case.name)
            ran += 1
    assert ran > 0


def test_elementwise_losses_of_pytorch(dtype):
    torch = oracle("torch")
    scores, _, _ = problem(dtype)
    random = np.random.default_rng(10)
    numbers = random.normal(scale=3, size=scores.shape).astype(dtype)
    counts = random.poisson(2, size=scores.shape).astype(dtype)
    fractions = random.random(scores.shape, dtype=dtype)
    functional = torch.nn.functional
    cases = [
        (fl.SquaredError, functional.mse_loss, scores, numbers),
        (fl.AbsoluteError, functional.l1_loss, scores, numbers),
        (lambda **options: fl.Huber(delta=0.5, **options), _with(functional.huber_loss, delta=0.5), scores, numbers),
        (fl.Poisson, functional.poisson_nll_loss, scores, counts),
        (
            lambda **options: fl.Poisson(log_input=False, **options),
            _with(functional.poisson_nll_loss, log_input=False, eps=0),
            np.exp(scores / 4),
            counts,
        ),
        (fl.BinaryCrossEntropy, functional.binary_cross_entropy, (fractions + 1) / 3, numbers > 0),
    ]
    for loss, function, predictions, targets in cases:
        for reduction in ("mean", "sum", "none"):
            z = torch.tensor(predictions, requires_grad=True)
            expected = function(z, torch.tensor(targets.astype(dtype)), reduction=reduction)
            expected.sum().backward()
            value, gradient = loss(reduction=reduction).value_and_grad(predictions, targets)
            # A Poisson loss is a difference of terms, which are larger than it.
            close(value, expected.detach().numpy(), dtype, ulp=2048)
            close(gradient, z.grad.numpy(), dtype, ulp=256)


def test_gaussian_nll_of_pytorch(dtype):
    torch = oracle("torch")
    z, _, _ = problem(dtype)
    random = np.random.default_rng(11)
    t, v = random.normal(size=z.shape).astype(dtype), random.uniform(0.1, 5, size=(len(z), 1)).astype(dtype)
    for reduction in ("mean", "sum", "none"):
        scores = torch.tensor(z, requires_grad=True)
        expected = torch.nn.functional.gaussian_nll_loss(scores, torch.tensor(t), torch.tensor(v), reduction=reduction)
        expected.sum().backward()
        value, gradient = fl.GaussianNLL(reduction=reduction).value_and_grad(z, (t, v))
        # (log v + d^2 / v) / 2 may cancel
        assert_allclose(value, expected.detach().numpy(), rtol=64 * np.finfo(dtype).eps, atol=64 * np.finfo(dtype).eps)
        close(gradient, scores.grad.numpy(), dtype)


@pytest.mark.parametrize("pos_weight", [0.25, 4.0, "each"])
def test_positive_weights_of_pytorch(dtype, pos_weight):
    torch = oracle("torch")
    z, _, _ = problem(dtype)
    t = np.random.default_rng(12).choice([0.0, 1.0, 0.3], size=z.shape).astype(dtype)
    weights = np.linspace(0.5, 3, z.shape[1]).astype(dtype) if pos_weight == "each" else dtype_of(pos_weight, dtype)
    for reduction in ("mean", "sum", "none"):
        scores = torch.tensor(z, requires_grad=True)
        function = torch.nn.functional.binary_cross_entropy_with_logits
        expected = function(scores, torch.tensor(t), pos_weight=torch.tensor(weights), reduction=reduction)
        expected.sum().backward()
        value, gradient = fl.SigmoidCrossEntropy(pos_weight=weights, reduction=reduction).value_and_grad(z, t)
        close(value, expected.detach().numpy(), dtype, ulp=256)
        assert_allclose(gradient, scores.grad.numpy(), rtol=0, atol=64 * np.finfo(dtype).eps)


def dtype_of(number, dtype):
    return np.asarray(number, dtype)


def _with(function, **options):
    return lambda *arguments, **more: function(*arguments, **options, **more)


def test_quantile_and_hinge_of_scikit_learn():
    metrics = oracle("sklearn.metrics")
    scores, _, sample_weight = problem("float64", classes=1)
    scores, targets = scores[:, 0], np.random.default_rng(3).normal(scale=3, size=60)
    for quantile in (0.1, 0.5, 0.75):
        expected = metrics.mean_pinball_loss(targets, scores, alpha=quantile, sample_weight=sample_weight)
        close(fl.Quantile(quantile=quantile)(scores, targets, sample_weight), expected, "float64")
    signs = np.where(targets > 0, 1, -1)
    expected = metrics.hinge_loss(signs, scores, sample_weight=sample_weight)
    for given in (signs, signs > 0):
        close(fl.Hinge()(scores, given, sample_weight), expected, "float64")


def test_huber_of_scipy(dtype):
    scores, _, _ = problem(dtype)
    targets = np.random.default_rng(3).normal(size=scores.shape).astype(dtype)
    expected = scipy.special.huber(0.75, scores.astype(float) - targets)
    close(fl.Huber(delta=0.75, reduction="none")(scores, targets), expected, dtype)
