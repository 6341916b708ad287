"""What MLP says of arguments that it cannot use."""

import re

import numpy as np
import pytest
from hessian_nets import network, samples

from meanfree import _memory
from meanfree.hessian import MLP
from meanfree.landscape import Problem

NET = network((3, 4, 2))
CLASSES = network((3, 4, 2), "tanh", "cross_entropy")
X, Y = samples(NET, 6)
LABELS = samples(CLASSES, 6)[1]

CASES = {
    "weights must be one matrix or more, got none": lambda: MLP([]),
    "weights[1] must have shape (n >= 1, 4), got (2, 3)": lambda: MLP(
        [np.ones((4, 3)), np.ones((2, 3))]
    ),
    "weights[0] must have shape (n >= 1, n_0 >= 1), got (3,)": lambda: MLP([np.ones(3)]),
    "biases must be as many as weights, 1, got 2": lambda: MLP(
        [np.ones((4, 3))], [np.ones(4), np.ones(4)]
    ),
    "biases[0] must have shape (4,), got (3,)": lambda: MLP([np.ones((4, 3))], [np.ones(3)]),
    "weights[0] must be finite, got nan at index (0, 1)": lambda: MLP([[[1.0, np.nan]]]),
    "objective must be one of mse, cross_entropy; got 'mes' (did you mean 'mse'?)": lambda: MLP(
        [[[1.0]]], None, "tanh", "mes"
    ),
    "x must have shape (n_samples >= 1, 3), got (6, 2)": lambda: NET.value(X[:, :2], Y),
    "x must have shape (n_samples >= 1, 3), got (0, 3)": lambda: NET.value(X[:0], Y[:0]),
    "y must have shape (6, 2), got (6,)": lambda: NET.gradient(X, Y[:, 0]),
    "y must have shape (6, 2), got (5, 2)": lambda: NET.hessian(X, Y[:5]),
    "y must have shape labels (6,) or (6, 2), got (6, 3)": lambda: CLASSES.value(
        X, np.ones((6, 3))
    ),
    "labels y must be in [0, 1], got 2 at index 5": lambda: CLASSES.value(X, [0, 1, 0, 1, 0, 2]),
    "labels y must be in [0, 1], got -1 at index 1": lambda: CLASSES.value(X, [0, -1, 0, 1, 0, 0]),
    "y must have rows that sum to 1, got the sum": lambda: CLASSES.value(X, np.full((6, 2), 0.6)),
    "y must be in [0, 1], got -0.5": lambda: CLASSES.value(X, np.tile([-0.5, 1.5], (6, 1))),
    "v must have shape (..., 26), got (25,)": lambda: NET.hvp(X, Y, np.ones(25)),
    "w must have shape (26,), got (27,)": lambda: NET.with_parameters(np.ones(27)),
    "w must have shape (..., 26), got ()": lambda: NET.problem(X, Y).value(1.0),
    "w and v must have shapes that broadcast": lambda: NET.problem(X, Y).hvp(
        np.ones((2, 26)), np.ones((3, 26))
    ),
    "kind must be one of full, gauss_newton": lambda: NET.hessian(X, Y, kind="fisher"),
    "which must be one of largest, smallest, magnitude": lambda: NET.extreme_eigenvalues(
        X, Y, 1, which="both"
    ),
    "k must be an integer in [1, 26], got 27": lambda: NET.extreme_eigenvalues(X, Y, 27),
    "max_steps must be an integer >= 5, got 4": lambda: NET.extreme_eigenvalues(
        X, Y, 5, max_steps=4
    ),
    "n_steps must be an integer in [1, 26], got 27": lambda: NET.spectral_density(X, Y, n_steps=27),
    "n_probes must be an integer in [2, 1048576], got 1": lambda: NET.spectral_density(
        X, Y, n_probes=1
    ),
    "the loss must be finite, got inf: the outputs of the network overflow": lambda: (
        NET.with_parameters(np.full(26, 1e160)).value(X, Y)
    ),
}


@pytest.mark.parametrize("message", CASES)
def test_errors_name_the_argument_and_its_range(message):
    with pytest.raises(ValueError, match=re.escape(message)):
        CASES[message]()


def test_labels_must_be_integers():
    message = "labels y must be integers in [0, 1], got dtype float64"
    with pytest.raises(TypeError, match=re.escape(message)):
        CLASSES.value(X, LABELS.astype(float))


def test_weights_must_be_a_sequence():
    for name, make in (
        ("weights", lambda: MLP(None)),
        ("biases", lambda: MLP([np.ones((4, 3))], 3)),
    ):
        with pytest.raises(TypeError, match=rf"^{name} must be a sequence of arrays, got "):
            make()


def test_networks_and_problems_keep_what_they_were_given():
    weights, (x, y) = [w.copy() for w in NET.weights], (X.copy(), Y.copy())
    biases, flat = [b.copy() for b in NET.biases], NET.parameters
    nets = MLP(weights, biases), NET.with_parameters(flat)
    problem = nets[0].problem(x, y)
    for array in (*weights, *biases, x, y, flat):
        array[...] = 0.5
    for net in nets:
        assert net.value(X, Y) == NET.value(X, Y)
    assert problem.value(problem.start) == NET.value(X, Y)


def test_overflow_is_said_wherever_the_loss_is_needed():
    for net, y in ((NET, Y), (CLASSES, LABELS)):
        huge = MLP([net.weights[0], np.full((2, 4), 1e308)], None, "linear", net.objective)
        for method in (huge.value, huge.gradient, huge.hessian):
            with pytest.raises(ValueError, match="the loss must be finite"):
                method(100.0 * X, y)


def test_a_problem_is_inf_or_nan_where_the_loss_overflows():
    problem = NET.problem(X, Y)
    assert isinstance(problem, Problem)
    bad = problem.start.copy()
    bad[3] = np.nan
    for w, value in ((np.full(26, 1e160), np.inf), (bad, np.nan)):
        pair = np.stack([w, problem.start])
        np.testing.assert_array_equal(problem.value(pair), [value, NET.value(X, Y)])
        results = (problem.gradient(pair), problem.hvp(pair, pair[1]), problem.hessian(pair))
        for result in results:
            assert np.isnan(result[0]).all()
            assert np.isfinite(result[1]).all()
    assert np.isnan(problem.hessian(bad)).all()
    assert np.isnan(problem.hvp(bad, np.ones(26))).all()


def test_a_hessian_that_does_not_fit_is_refused_before_it_is_allocated(monkeypatch):
    net = network((2000, 1000, 1))
    x, y = samples(net, 1)
    wanted = 8 * net.n_parameters**2  # 32 TB
    for method in (
        net.hessian,
        net.eigenvalues,
        lambda *a: net.problem(*a).hessian(net.parameters),
    ):
        with pytest.raises(MemoryError, match=rf"wants {wanted} bytes, \d+ are available"):
            method(x, y)
    assert net.hvp(x, y, net.parameters).shape == net.parameters.shape
    monkeypatch.setattr("meanfree._memory._SMALL", 0)
    monkeypatch.setattr("meanfree._memory.available_memory", lambda: 1000)
    with pytest.raises(MemoryError, match="of 26 parameters wants 5408 bytes, 1000 are available"):
        NET.hessian(X, Y)
    with pytest.raises(MemoryError, match="2 Hessians of 26 parameters want"):
        NET.problem(X, Y).hessian(np.zeros((2, 26)))


def test_derivatives_of_too_many_samples_are_refused_before_they_are_allocated(monkeypatch):
    monkeypatch.setattr("meanfree._memory._SMALL", 0)
    monkeypatch.setattr("meanfree.hessian._point._LARGE", 0)
    monkeypatch.setattr("meanfree._memory.available_memory", lambda: 1000)
    for net, y, wanted in ((NET, Y, 1104), (CLASSES, LABELS, 1200)):
        message = rf"^derivatives at 6 samples want {wanted} bytes, 1000 are available: take fewer"
        with pytest.raises(MemoryError, match=message):
            net.gradient(X, y)
        assert np.isfinite(net.value(X, y))
    monkeypatch.setattr("meanfree._memory.available_memory", lambda: 1200)
    for net, y, wanted in ((NET, Y, 1104), (CLASSES, LABELS, 1200)):
        assert net._point(X, y)._passes[2].nbytes == wanted


def test_available_memory_is_below_all_memory():
    free = _memory.available_memory()
    assert free is None or 0 < free < 2**50
