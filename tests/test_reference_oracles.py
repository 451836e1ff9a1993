# SPDX-License-Identifier: BSD-3-Clause
"""The definitions say what PyTorch, SciPy, scikit-learn, ONNX and optax say, and where they do not, what differs.

The heavy ones are skipped, visibly, where they are not installed; `pip install ".[oracles]"` brings them.
"""

import json
import subprocess
import sys
import warnings

import numpy as np
import onnx_cases
import pytest
import scipy.special
import scipy.stats
from catalogue import make
from numpy.testing import assert_allclose

from fastloss import reference
from fastloss.reference import (
    BinaryCrossEntropy,
    GaussianNLL,
    Hinge,
    Huber,
    KLDivergence,
    MulticlassHinge,
    NegativeLogLikelihood,
    Poisson,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy,
)

WEIGHT = (0.5, 2.0, 1.5, 1.25)


def oracle(name):
    """Import a module that need not be there; what it warns of while it loads is not our concern."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"{name} is not installed: pip install '.[oracles]'")


def close(actual, expected, rtol=1e-12):
    assert_allclose(actual, expected, rtol=rtol, atol=1e-14)


def rows(seed=1, shape=(7, 4)):
    random = np.random.default_rng(seed)
    y = random.integers(0, shape[-1], size=shape[:-1])
    return random.normal(scale=1.5, size=shape), y, random.uniform(size=shape)


class Torch:
    """PyTorch's functional interface, on arrays of float64, with derivatives by its own means."""

    def __init__(self):
        self.torch = oracle("torch")
        self.functional = self.torch.nn.functional

    def tensor(self, array):
        return self.torch.tensor(np.asarray(array))

    def check(self, loss, scores, targets, theirs, *, second=True):
        """Assert that value, gradient and the diagonal of the Hessian are those of a function of a tensor."""
        z = self.tensor(scores).requires_grad_()
        value = theirs(z)
        (gradient,) = self.torch.autograd.grad(value.sum(), z)
        actual = loss.value_grad_hess(scores, targets)
        close(actual[0], value.detach().numpy())
        close(actual[1], gradient.numpy())
        if second:
            full = self.torch.autograd.functional.hessian(lambda x: theirs(x).sum(), z.detach())
            close(actual[2].ravel(), full.reshape(z.numel(), z.numel()).diagonal().numpy())


@pytest.fixture(scope="module")
def torch():
    return Torch()


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_cross_entropy_of_pytorch(torch, weight, smoothing, reduction):
    """Classes are on axis 1. An index that is ignored may be a class or not."""
    z, y, _ = rows(2, (3, 2, 4))
    scores = np.moveaxis(z, -1, 1)
    for ignore_index in (-100, 2):
        y[0, 1], y[2, 0], y[1, 1] = ignore_index, 2, 0
        loss = SoftmaxCrossEntropy(
            axis=1, class_weight=weight, label_smoothing=smoothing, ignore_index=ignore_index, reduction=reduction
        )
        torch.check(
            loss,
            scores,
            y,
            lambda x, ignore_index=ignore_index: torch.functional.cross_entropy(
                x,
                torch.tensor(y),
                weight=None if weight is None else torch.tensor(weight),
                label_smoothing=smoothing,
                ignore_index=ignore_index,
                reduction=reduction,
            ),
        )


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_of_pytorch_for_probabilities(torch, smoothing):
    """Its mean divides by the number of samples, whatever the class weights: here that is "batch_mean".

    pytorch/pytorch#61309: one-hot targets give another mean than their indices. Here they give the same. Smoothing adds
    the same to targets whatever their sum there, and a share of their sum here; so they are compared where it is 1.
    """
    z, y, t = rows(3)
    t /= t.sum(axis=-1, keepdims=True) if smoothing else 1
    for targets in (t, np.eye(4)[y]):
        for ours, theirs in {"batch_mean": "mean", "sum": "sum", "none": "none"}.items():
            torch.check(
                SoftmaxCrossEntropy(class_weight=WEIGHT, label_smoothing=smoothing, reduction=ours),
                z,
                targets,
                lambda x, targets=targets, theirs=theirs: torch.functional.cross_entropy(
                    x,
                    torch.tensor(targets),
                    weight=torch.tensor(WEIGHT),
                    label_smoothing=smoothing,
                    reduction=theirs,
                ),
            )


def test_smoothing_beside_a_class_of_weight_0_in_pytorch(torch):
    """There the sample adds the part that smoothing gives to the other classes; here it does not count at all."""
    z, y, _ = rows(4)
    weight = (0.0, 1.0, 1.0, 1.0)
    y[:3] = 0
    theirs = torch.functional.cross_entropy(
        torch.tensor(z), torch.tensor(y), weight=torch.tensor(weight), label_smoothing=0.2, reduction="none"
    ).numpy()
    ours = SoftmaxCrossEntropy(class_weight=weight, label_smoothing=0.2, reduction="none")(z, y)
    assert (theirs[y == 0] > 0).all()
    assert not ours[y == 0].any()
    close(ours[y != 0], theirs[y != 0])


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("margin", [1.0, 0.3])
def test_multi_margin_loss_of_pytorch(torch, power, margin):
    """It divides by the number of classes, and its mean by the number of samples, whatever their weights."""
    z, y = make(MulticlassHinge(margin=margin), 5)
    z, y = z.reshape(-1, 4), y.reshape(-1)
    for weight in (None, WEIGHT):
        for ours, theirs in {"batch_mean": "mean", "sum": "sum", "none": "none"}.items():
            torch.check(
                MulticlassHinge(margin=margin, power=power, class_weight=weight, reduction=ours),
                z,
                y,
                lambda x, weight=weight, theirs=theirs: (
                    4
                    * torch.functional.multi_margin_loss(
                        x,
                        torch.tensor(y),
                        p=power,
                        margin=margin,
                        weight=None if weight is None else torch.tensor(weight),
                        reduction=theirs,
                    )
                ),
                second=False,
            )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_nll_loss_of_pytorch(torch, reduction):
    z, y, _ = rows(6)
    y[2] = -100
    log_p = reference.log_softmax(z)
    for weight in (None, WEIGHT):
        torch.check(
            NegativeLogLikelihood(class_weight=weight, ignore_index=-100, reduction=reduction),
            log_p,
            y,
            lambda x, weight=weight: torch.functional.nll_loss(
                x, torch.tensor(y), weight=None if weight is None else torch.tensor(weight), reduction=reduction
            ),
        )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_binary_cross_entropies_of_pytorch(torch, reduction):
    """From probabilities it clips logarithms at -100, and so an impossible observation costs 100; here +inf.

    Its second derivative from probabilities has an epsilon of 1e-12 in it.
    """
    z, _, t = rows(7)
    logits, functional = torch.functional.binary_cross_entropy_with_logits, torch.functional
    for pos_weight in (None, WEIGHT, 3.0):
        torch.check(
            SigmoidCrossEntropy(pos_weight=pos_weight, reduction=reduction),
            z,
            t,
            lambda x, pos_weight=pos_weight: logits(
                x,
                torch.tensor(t),
                pos_weight=None if pos_weight is None else torch.tensor(pos_weight),
                reduction=reduction,
            ),
        )
    p = reference.sigmoid(z)
    ours = BinaryCrossEntropy(reduction=reduction)
    theirs = functional.binary_cross_entropy
    torch.check(ours, p, t, lambda x: theirs(x, torch.tensor(t), reduction=reduction), second=False)
    signs = np.where(t > 0.5, 1.0, -1.0)
    soft = SigmoidCrossEntropy(reduction=reduction)
    theirs = functional.soft_margin_loss
    torch.check(soft, z, t > 0.5, lambda x: theirs(x, torch.tensor(signs), reduction=reduction))
    assert functional.binary_cross_entropy(torch.tensor([0.0]), torch.tensor([1.0])) == 100
    assert BinaryCrossEntropy()([0.0], [1.0]) == np.inf


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_regression_losses_of_pytorch(torch, reduction):
    """The Gaussian one clips the variance at `eps`; smooth L1 is Huber's loss divided by delta."""
    z, t = make(reference.Huber(), 8)
    functional, target = torch.functional, torch.tensor(t)
    variance = np.random.default_rng(9).uniform(0.5, 2, size=z.shape)
    count = np.abs(np.round(t))
    options = {"reduction": reduction}
    for loss, scores, targets, theirs in (
        (reference.SquaredError, z, t, lambda x: functional.mse_loss(x, target, **options)),
        (reference.AbsoluteError, z, t, lambda x: functional.l1_loss(x, target, **options)),
        (Huber, z, t, lambda x: functional.huber_loss(x, target, **options)),
        (lambda **o: Huber(delta=0.3, **o), z, t, lambda x: functional.huber_loss(x, target, delta=0.3, **options)),
        (
            lambda **o: Huber(delta=0.3, **o),
            z,
            t,
            lambda x: 0.3 * functional.smooth_l1_loss(x, target, beta=0.3, **options),
        ),
        (Poisson, z, count, lambda x: functional.poisson_nll_loss(x, torch.tensor(count), **options)),
        (
            lambda **o: Poisson(log_input=False, **o),
            np.exp(z),
            count,
            lambda x: functional.poisson_nll_loss(x, torch.tensor(count), log_input=False, eps=0, **options),
        ),
        (
            GaussianNLL,
            z,
            (t, variance),
            lambda x: functional.gaussian_nll_loss(x, target, torch.tensor(variance), **options),
        ),
    ):
        torch.check(loss(**options), scores, targets, theirs)


def test_kl_div_of_pytorch(torch):
    """It wants log-probabilities, and its mean divides by the number of elements (pytorch/pytorch#6622)."""
    z, _, t = rows(10)
    t[0, 1] = 0
    kl = lambda x, how: torch.functional.kl_div(x.log_softmax(-1), torch.tensor(t), reduction=how)  # noqa: E731
    torch.check(KLDivergence(), z, t, lambda x: kl(x, "batchmean"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of just that
        torch.check(KLDivergence(), z, t, lambda x: 4 * kl(x, "mean"))
    torch.check(KLDivergence(reduction="sum"), z, t, lambda x: kl(x, "sum"))
    torch.check(KLDivergence(reduction="none"), z, t, lambda x: kl(x, "none").sum(-1))


def test_options_without_a_name_in_pytorch(torch):
    """Focal exponent, z-loss, temperature and cap, written in tensors; what is tested are their derivatives."""
    z, y, t = rows(11)
    index, log_softmax = torch.tensor(y)[:, None], torch.functional.log_softmax
    pick = lambda x: x.gather(1, index)[:, 0]  # noqa: E731
    none = {"reduction": "none"}
    focal = lambda x: -((1 - pick(log_softmax(x, -1)).exp()) ** 2.5) * pick(log_softmax(x, -1))  # noqa: E731
    torch.check(SoftmaxCrossEntropy(focal_gamma=2.5, **none), z, y, focal)
    plain = lambda x: -pick(log_softmax(x, -1))  # noqa: E731
    penalty = lambda x: plain(x) + 0.3 * x.logsumexp(-1) ** 2  # noqa: E731
    torch.check(SoftmaxCrossEntropy(z_loss=0.3, **none), z, y, penalty)
    torch.check(
        SoftmaxCrossEntropy(temperature=0.7, logit_cap=2, **none), z, y, lambda x: plain(2 * (x / 2).tanh() / 0.7)
    )
    target = torch.tensor(t)

    def sigmoid_focal(x):
        p, ce = x.sigmoid(), torch.functional.binary_cross_entropy_with_logits(x, target, reduction="none")
        return (0.25 * target + 0.75 * (1 - target)) * (target * (1 - p) + (1 - target) * p) ** 1.5 * ce

    torch.check(SigmoidCrossEntropy(focal_gamma=1.5, focal_alpha=0.25, **none), z, t, sigmoid_focal)


def test_activations_of_pytorch(torch):
    x = np.linspace(-4, 4, 33)
    functional = torch.functional
    for ours, theirs in (
        (reference.Sigmoid(), functional.sigmoid),
        (reference.Sigmoid(low=-2, high=3), lambda v: -2 + 5 * functional.sigmoid(v)),
        (reference.Tanh(), functional.tanh),
        (reference.ReLU(), functional.relu),
        (reference.LeakyReLU(slope=0.2), lambda v: functional.leaky_relu(v, 0.2)),
        (reference.ELU(alpha=0.7), lambda v: functional.elu(v, 0.7)),
    ):
        tensor = torch.tensor(x).requires_grad_()
        value = theirs(tensor)
        (derivative,) = torch.torch.autograd.grad(value.sum(), tensor)
        close(ours(x), value.detach().numpy())
        close(ours.value_and_derivative(x)[1], derivative.numpy())


# SciPy


def test_special_functions_of_scipy():
    z, _, t = rows(12)
    p = scipy.special.softmax(z, axis=-1)
    none = {"reduction": "none"}
    close(KLDivergence(**none)(z, t), scipy.special.rel_entr(t, p).sum(axis=-1))
    # Theirs adds p - t, so that no element is negative; the sums agree where t adds to 1.
    normal = t / t.sum(axis=-1, keepdims=True)
    close(KLDivergence(**none)(z, normal), scipy.special.kl_div(normal, p).sum(axis=-1))
    close(BinaryCrossEntropy(**none)(p, t), -scipy.special.xlogy(t, p) - scipy.special.xlog1py(1 - t, -p))
    close(Poisson(log_input=False, **none)(p, t), p - scipy.special.xlogy(t, p))
    for delta in (0.3, 1.0):
        close(Huber(delta=delta, **none)(z, t), scipy.special.huber(delta, z - t))
    close(SigmoidCrossEntropy(**none)(z, t), -t * scipy.special.log_expit(z) - (1 - t) * scipy.special.log_expit(-z))


def test_distributions_of_scipy():
    """Without the terms that the prediction does not change."""
    z, _, v = rows(13)
    t = np.round(5 * v)
    constant = scipy.special.gammaln(t + 1)
    close(Poisson(reduction="none")(z, t), -scipy.stats.poisson.logpmf(t, np.exp(z)) - constant)
    gaussian = -scipy.stats.norm.logpdf(t, z, np.sqrt(v)) - np.log(2 * np.pi) / 2
    close(GaussianNLL(reduction="none")(z, (t, v)), gaussian)


# scikit-learn


def test_losses_of_scikit_learn():
    """Its squared and Poisson losses are halves of deviances: the first is half of ours, the second ours."""
    sklearn_loss = oracle("sklearn._loss")
    z, t = make(reference.Huber(delta=0.7), 14)
    z, t = z.ravel(), t.ravel()
    w = np.random.default_rng(15).uniform(0.5, 2, size=z.shape)
    huber = sklearn_loss.HuberLoss(quantile=0.9, delta=0.7)
    for ours, theirs, targets, factor in (
        (reference.SquaredError, sklearn_loss.HalfSquaredError(), t, 0.5),
        (reference.AbsoluteError, sklearn_loss.AbsoluteError(), t, 1),
        (lambda **o: reference.Quantile(quantile=0.8, **o), sklearn_loss.PinballLoss(quantile=0.8), t, 1),
        (lambda **o: Huber(delta=0.7, **o), huber, t, 1),
        (Poisson, sklearn_loss.HalfPoissonLoss(), np.abs(np.round(t)), 1),
    ):
        value, gradient = ours(reduction="none").value_and_grad(z, targets, w)
        their_value, their_gradient = theirs.loss_gradient(y_true=targets, raw_prediction=z, sample_weight=w)
        close(factor * value, their_value)
        close(factor * gradient, their_gradient)
    hessian = Poisson(reduction="none").value_grad_hess(z, np.ones_like(z), w)[2]
    close(hessian, sklearn_loss.HalfPoissonLoss().gradient_hessian(np.ones_like(z), z, w)[1])


def test_metrics_of_scikit_learn():
    metrics = oracle("sklearn.metrics")
    z, y, _ = rows(16, (40, 6))
    w = np.random.default_rng(17).uniform(0.5, 2, size=40)
    positive = y > 2
    one = z[:, 0]
    close(Hinge()(one, positive, w), metrics.hinge_loss(positive, one, sample_weight=w))
    close(
        reference.Quantile(quantile=0.2)(one, z[:, 1], w),
        metrics.mean_pinball_loss(z[:, 1], one, sample_weight=w, alpha=0.2),
    )
    p = reference.sigmoid(one)
    close(BinaryCrossEntropy()(p, positive, w), metrics.log_loss(positive, p, sample_weight=w))
    probabilities = reference.softmax(z)
    inputs = NegativeLogLikelihood(inputs="probabilities")
    close(inputs(probabilities, y, w), metrics.log_loss(y, probabilities, sample_weight=w, labels=range(6)))

    stats = reference.classification_stats(z, y, topk=(1, 2, 5))
    assert stats.accuracy == metrics.accuracy_score(y, z.argmax(axis=1))
    expected = [metrics.top_k_accuracy_score(y, z, k=k, labels=range(6)) for k in (1, 2, 5)]
    close(stats.topk_accuracy, expected)
    close(stats.perplexity, np.exp(metrics.log_loss(y, probabilities, labels=range(6))))
    close(stats.entropy, scipy.stats.entropy(probabilities, axis=1))


def test_elastic_net_of_scikit_learn():
    """Where it has converged, its gradient and that of the penalty add up to 0, but for parameters that are 0."""
    linear_model = oracle("sklearn.linear_model")
    random = np.random.default_rng(18)
    inputs = random.normal(size=(50, 8))
    targets = inputs @ [3, -2, 0, 0, 1, 0, 0, 0.5] + random.normal(size=50)
    model = linear_model.ElasticNet(alpha=0.4, l1_ratio=0.3, fit_intercept=False, tol=1e-12, max_iter=100_000)
    w = model.fit(inputs, targets).coef_
    gradient = inputs.T @ (inputs @ w - targets) / 50
    value, penalty = reference.ElasticNet(strength=0.4, l1_ratio=0.3).value_and_grad(w)
    close(value, 0.4 * (0.3 * np.abs(w).sum() + 0.35 * (w @ w)))
    assert 3 <= (w != 0).sum() < 8
    assert_allclose((gradient + penalty)[w != 0], 0, atol=1e-6)


# ONNX


def test_node_tests_of_onnx():
    """SoftmaxCrossEntropyLoss and NegativeLogLikelihoodLoss: any number of axes, the classes on axis 1."""
    kinds = {"SoftmaxCrossEntropyLoss": SoftmaxCrossEntropy, "NegativeLogLikelihoodLoss": NegativeLogLikelihood}
    ran = dict.fromkeys(kinds, 0)
    for case in onnx_cases.load():
        for (scores, labels, *class_weight), (expected, *log_probability) in case.data:
            loss = kinds[case.op](
                axis=1,
                class_weight=class_weight[0] if class_weight else None,
                ignore_index=case.options.get("ignore_index"),
                reduction=case.options["reduction"].decode(),
            )
            assert_allclose(loss(scores, labels), expected, rtol=1e-6, err_msg=case.name)
            if log_probability:
                assert_allclose(reference.log_softmax(scores, axis=1), log_probability[0], rtol=1e-6)
            ran[case.op] += 1
    assert min(ran.values()) > 10


# optax

OPTAX = """
import json, sys
import numpy as np
import jax
jax.config.update("jax_enable_x64", True)
from optax import losses
a = {name: np.array(value) for name, value in json.load(sys.stdin).items()}
z, t, y, hard = a["z"], a["t"], a["y"], a["t"] > 0.5
results = {
    "sigmoid_focal_loss": losses.sigmoid_focal_loss(z, t, alpha=0.25, gamma=2.0),
    "sigmoid_focal_loss hard": losses.sigmoid_focal_loss(z, hard.astype(float), gamma=0.7),
    "sigmoid_focal_loss gradient": jax.grad(lambda x: losses.sigmoid_focal_loss(x, t, alpha=0.25, gamma=2.0).sum())(z),
    "huber_loss": losses.huber_loss(z, t, delta=0.3),
    "log_cosh": losses.log_cosh(z, t),
    "hinge_loss": losses.hinge_loss(z, np.where(hard, 1.0, -1.0)),
    "perceptron_loss": losses.perceptron_loss(z, np.where(hard, 1.0, -1.0)),
    "multiclass_hinge_loss": losses.multiclass_hinge_loss(z, y),
    "multiclass_perceptron_loss": losses.multiclass_perceptron_loss(z, y),
    "softmax_cross_entropy": losses.softmax_cross_entropy(z, t),
    "kl_divergence": losses.kl_divergence(jax.nn.log_softmax(z), t),
    "smooth_labels": losses.softmax_cross_entropy(z, losses.smooth_labels(np.eye(4)[y], 0.2)),
}
json.dump({name: np.asarray(value).tolist() for name, value in results.items()}, sys.stdout)
"""


def test_losses_of_optax():
    """In a process of its own, for JAX starts threads, and tests that fork are not far."""
    z, y, t = rows(19)
    arguments = json.dumps({"z": z.tolist(), "y": y.tolist(), "t": t.tolist()})
    command = [sys.executable, "-W", "ignore", "-c", OPTAX]
    result = subprocess.run(command, input=arguments, capture_output=True, text=True, check=False)
    if "ModuleNotFoundError" in result.stderr:
        pytest.skip("optax is not installed: pip install optax")
    assert result.returncode == 0, result.stderr
    theirs = {name: np.array(value) for name, value in json.loads(result.stdout).items()}
    none, hard = {"reduction": "none"}, t > 0.5
    focal = SigmoidCrossEntropy(focal_gamma=2, focal_alpha=0.25, **none)
    crammer = MulticlassHinge(form="crammer-singer", **none)
    ours = {
        "sigmoid_focal_loss": focal(z, t),
        "sigmoid_focal_loss hard": SigmoidCrossEntropy(focal_gamma=0.7, **none)(z, hard),
        "sigmoid_focal_loss gradient": focal.value_and_grad(z, t)[1],
        "huber_loss": Huber(delta=0.3, **none)(z, t),
        "log_cosh": reference.LogCosh(**none)(z, t),
        "hinge_loss": Hinge(**none)(z, hard),
        "perceptron_loss": Hinge(margin=0, **none)(z, hard),
        "multiclass_hinge_loss": crammer(z, y),
        "multiclass_perceptron_loss": crammer.replace(margin=0)(z, y),
        "softmax_cross_entropy": SoftmaxCrossEntropy(**none)(z, t),
        "kl_divergence": KLDivergence(**none)(z, t),
        "smooth_labels": SoftmaxCrossEntropy(label_smoothing=0.2, **none)(z, y),
    }
    assert set(ours) == set(theirs)
    for name, value in ours.items():
        assert_allclose(value, theirs[name], rtol=1e-12, atol=1e-14, err_msg=name)
