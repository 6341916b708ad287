"""Derivatives of the loss of networks against automatic differentiation."""

import numpy as np
import pytest
from hessian_nets import network, relative, samples

import meanfree as mf

torch = pytest.importorskip("torch")
functional = torch.nn.functional

TORCH = {
    "linear": lambda h: h,
    "relu": torch.relu,
    "leaky_relu": lambda h: functional.leaky_relu(h, 0.01),
    "hard_tanh": functional.hardtanh,
    "tanh": torch.tanh,
    "erf": torch.erf,
    "sigmoid": torch.sigmoid,
    "gelu": functional.gelu,
    "gelu_tanh": lambda h: functional.gelu(h, approximate="tanh"),
    "silu": functional.silu,
    "elu": functional.elu,
    "selu": functional.selu,
    "softplus": functional.softplus,
    "sin": torch.sin,
    "arctan": torch.arctan,
}
DEEP = [(3, 2), (4, 3, 2), (5, 4, 3, 4), (3, 4, 2, 3, 2), (2, 3, 1, 3, 2, 3)]
CASES = [(sizes, "tanh", objective) for sizes in DEEP for objective in ("mse", "cross_entropy")]
CASES += [((4, 3, 5, 3), name, "mse") for name in TORCH]
CASES += [((4, 3, 5, 3), name, "cross_entropy") for name in ("relu", "gelu", "softplus", "sin")]


def outputs(net, x, w):
    first, h = 0, torch.from_numpy(x)
    for layer, matrix in enumerate(net.weights):
        middle = first + matrix.size
        after = middle + matrix.shape[0]
        h = h if layer == 0 else TORCH[net.activation.name](h)
        h = functional.linear(h, w[first:middle].reshape(matrix.shape), w[middle:after])
        first = after
    return h


def loss(net, z, y):
    if net.objective == "mse":
        return 0.5 * ((z - torch.from_numpy(y)) ** 2).sum(1).mean()
    return functional.cross_entropy(z, torch.from_numpy(y))


def reverse_twice(function):
    return lambda w: torch.autograd.functional.hessian(function, w)


def slope(function, w):
    return torch.autograd.functional.jacobian(function, w).numpy()


def compare(sizes, activation, objective, second_derivatives):
    net = network(sizes, activation, objective)
    x, y = samples(net, 23)
    w = torch.from_numpy(net.parameters)

    def function(v):
        return loss(net, outputs(net, x, v), y)

    hessian = second_derivatives(function)(w).numpy()
    assert net.value(x, y) == pytest.approx(function(w).item(), rel=1e-14)
    assert relative(net.gradient(x, y), slope(function, w)) < 1e-13
    found = net.hessian(x, y)
    assert relative(found, hessian) < 1e-13
    np.testing.assert_array_equal(found, found.T)
    vectors = np.random.default_rng(2).standard_normal((3, w.numel()))
    assert relative(net.hvp(x, y, vectors), vectors @ hessian) < 1e-13


@pytest.mark.parametrize(("sizes", "activation", "objective"), CASES)
def test_derivatives_are_those_of_torch(sizes, activation, objective):
    compare(sizes, activation, objective, reverse_twice)


@pytest.mark.slow  # torch takes seconds to load its forward differentiation
@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize(("sizes", "activation", "objective"), CASES)
def test_hessians_are_those_of_forward_over_reverse(sizes, activation, objective):
    compare(sizes, activation, objective, torch.func.hessian)


@pytest.mark.parametrize(
    ("activation", "objective"),
    [("tanh", "mse"), ("silu", "cross_entropy"), ("relu", "cross_entropy")],
)
def test_gauss_newton_is_the_curvature_of_the_loss_between_jacobians(activation, objective):
    net = network((4, 3, 5, 3), activation, objective)
    x, y = samples(net, 11)
    w = torch.from_numpy(net.parameters)
    jacobian = slope(lambda v: outputs(net, x, v), w)
    z = outputs(net, x, w).numpy()
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    curvature = [np.eye(3)] * 11 if objective == "mse" else [np.diag(q) - np.outer(q, q) for q in p]
    expected = np.einsum("sap,sab,sbq->pq", jacobian, np.array(curvature), jacobian) / 11
    found = net.hessian(x, y, kind="gauss_newton")
    assert relative(found, expected) < 1e-13
    vectors = np.random.default_rng(2).standard_normal((3, w.numel()))
    product = net.hvp(x, y, vectors, kind="gauss_newton")
    assert relative(product, vectors @ expected) < 1e-13


def test_probabilities_as_targets_are_those_of_torch():
    net = network((3, 4, 3), "tanh", "cross_entropy")
    x, _ = samples(net, 9)
    y = np.random.default_rng(3).dirichlet(np.ones(3), 9)

    def function(v):
        return functional.cross_entropy(outputs(net, x, v), torch.from_numpy(y))

    w = torch.from_numpy(net.parameters)
    assert net.value(x, y) == pytest.approx(function(w).item(), rel=1e-14)
    assert relative(net.hessian(x, y), reverse_twice(function)(w).numpy()) < 1e-13


def test_a_function_of_the_user_may_be_the_activation():
    own = mf.Activation(np.sin, np.cos, lambda h: -np.sin(h), name="own")
    net, named = network((3, 4, 2), own), network((3, 4, 2), "sin")
    x, y = samples(net, 50)
    assert relative(net.hessian(x, y), named.hessian(x, y)) < 1e-13
