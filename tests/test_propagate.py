"""Propagation in depth: theory against its own maps and laws, simulation against theory."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import meanfree as mf
from meanfree.activations import NAMES

NETWORK = mf.Ensemble("tanh", 2.5, 0.3)


# ---- lengths and correlations


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("keep", [1.0, 0.8])
def test_trajectory_iterates_the_maps(name, keep):
    network = mf.Ensemble(name, 1.1, 0.3, keep=keep)
    path = mf.propagate(network, 6, q=1.5, c=0.4)
    q, c = [1.5], [0.4]
    for _ in range(5):
        c.append(mf.correlation_map(network, c[-1], q=q[-1]))
        q.append(mf.length_map(network, q[-1]))
    np.testing.assert_allclose(path.q, q, rtol=1e-13)
    np.testing.assert_allclose(path.c, c, atol=1e-13)
    np.testing.assert_allclose(path.delta, 1 - path.c, atol=2e-16)


def test_missing_q_is_the_fixed_point_in_every_layer():
    path = mf.propagate(NETWORK, 7, c=0.9)
    np.testing.assert_array_equal(path.q, np.full(7, mf.fixed_point(NETWORK).q))


def test_lengths_of_the_layers_can_be_given():
    q = [1.0, 2.0, 3.0]
    path = mf.propagate(NETWORK, 3, q=q, c=[0.5, 0.9])
    assert path.q.shape == path.c.shape == (3, 2)
    np.testing.assert_array_equal(path.q[:, 0], q)
    c = mf.correlation_map(NETWORK, mf.correlation_map(NETWORK, 0.9, q=1.0), q=2.0)
    assert path.c[2, 1] == pytest.approx(c, abs=1e-15)
    wide = mf.propagate(NETWORK, 3, q=np.ones((3, 4)), c=np.zeros((2, 1)))
    assert wide.c.shape == (3, 2, 4)


def test_one_input_has_no_correlation():
    path = mf.propagate(NETWORK, 4, q=0.1)
    assert path.q.shape == (4,)
    assert path.c is None
    assert path.delta is None


def test_depth_1_is_the_start():
    path = mf.propagate(NETWORK, 1, q=2.0, c=0.25)
    assert (path.q.tolist(), path.c.tolist(), path.delta.tolist()) == ([2.0], [0.25], [0.75])


@pytest.mark.parametrize("name", ["tanh", "erf", "gelu", "silu", "sigmoid", "sin", "softplus"])
@pytest.mark.parametrize("delta", [1e-12, 1e-200])
def test_correlations_close_to_1_keep_their_digits(name, delta):
    # delta' = chi_1 delta (1 + O(delta)) for smooth phi; 1e-9 is the promise, 1e-11 is seen
    network = mf.Ensemble(name, 1.2, 0.5)
    chi_1 = mf.fixed_point(network).chi_1
    path = mf.propagate(network, 5, delta=delta)
    np.testing.assert_allclose(path.delta, delta * chi_1 ** np.arange(5), rtol=1e-10)


def test_second_order_of_delta_is_that_of_chi_2():
    # delta' = chi_1 delta - q chi_2 delta^2 / 2 + O(delta^3)
    found = mf.fixed_point(NETWORK)
    delta = np.array([1e-3, 1e-4])
    second = found.chi_1 * delta - mf.propagate(NETWORK, 2, delta=delta).delta[1]
    gap = second / delta**2 / (found.q * found.chi_2 / 2) - 1
    assert np.all(np.abs(gap) < 10 * delta)


def test_critical_relu_forgets_algebraically():
    # delta_l -> 9 pi^2 / (2 l^2); delta_1000 = 43.13 / 1000^2 from delta_1 = 1 (mpmath iteration)
    path = mf.propagate(mf.Ensemble("relu", np.sqrt(2)), 1000, c=0.0)
    assert path.delta[-1] * 1e6 == pytest.approx(43.13, abs=0.2)
    assert path.delta[-1] * 1e6 < 9 * np.pi**2 / 2


def test_approach_to_the_fixed_point_has_the_depth_scales():
    found = mf.fixed_point(NETWORK)
    path = mf.propagate(NETWORK, 12, q=found.q * 1.01)
    rate = np.log((path.q[8] - found.q) / (path.q[9] - found.q))
    assert rate == pytest.approx(1 / found.xi_q, rel=1e-3)
    c = mf.propagate(NETWORK, 60, c=0.5).c - found.c
    assert np.log(c[40] / c[41]) == pytest.approx(1 / found.xi_c, rel=1e-3)


def test_length_that_overflows_is_infinite_and_its_correlation_is_the_limit():
    path = mf.propagate(mf.Ensemble("relu", 1e10), 20, q=1.0, c=0.5)
    assert path.q[-1] == np.inf
    bounded = mf.propagate(mf.Ensemble("relu", 1.0), 20, q=1.0, c=0.5)
    np.testing.assert_allclose(path.c, bounded.c, rtol=1e-12)


def test_length_that_underflows_keeps_its_correlation():
    path = mf.propagate(mf.Ensemble("tanh", 1e-20), 12, q=1.0, c=0.5)
    assert path.q[-1] == 0.0
    assert np.all(np.diff(path.c[2:]) == pytest.approx(0, abs=1e-12))


def test_undefined_correlation_is_nan_as_documented():
    path = mf.propagate(mf.Ensemble("tanh", 0.0), 3, q=1.0, c=0.5)
    assert path.q.tolist() == [1.0, 0.0, 0.0]
    assert np.isnan(path.c[1:]).all()


@given(
    st.sampled_from(NAMES),
    st.floats(0.0, 5.0),
    st.floats(0.0, 5.0),
    st.floats(0.1, 1.0),
    st.floats(-1.0, 1.0),
)
def test_trajectories_stay_within_bounds(name, sigma_w, sigma_b, keep, c):
    network = mf.Ensemble(name, sigma_w, sigma_b, keep=keep)
    path = mf.propagate(network, 20, q=1.0, c=c)
    assert np.all(path.q >= 0)
    known = ~np.isnan(path.c)
    assert known.all() or network.sigma_w * network.sigma_b == 0
    assert np.all(np.abs(path.c[known]) <= 1)
    assert np.all((path.delta[known] >= 0) & (path.delta[known] <= 2))


@given(st.sampled_from(["tanh", "relu", "gelu", "elu"]), st.integers(2, 4))
def test_result_does_not_depend_on_thread_count(name, n_threads):
    c = np.linspace(-1, 1, 17)
    one, many = (
        mf.propagate(mf.Ensemble(name, 1.3, 0.2), 5, q=1.0, c=c, n_threads=n)
        for n in (1, n_threads)
    )
    np.testing.assert_array_equal(one.c, many.c)


def test_c_and_delta_exclude_each_other():
    with pytest.raises(ValueError, match="at most one of c and delta may be given, got both"):
        mf.propagate(NETWORK, 3, c=0.5, delta=0.5)


def test_lengths_that_do_not_fit_the_depth_are_named():
    with pytest.raises(ValueError, match=r"one length for each of 3 layers, got shape \(4,\)"):
        mf.propagate(NETWORK, 3, q=np.ones(4))
    with pytest.raises(ValueError, match=r"q\[0\] and c .* got \(2,\) and \(3,\)"):
        mf.propagate(NETWORK, 3, q=np.ones((3, 2)), c=np.zeros(3))


# ---- gradients


def test_gradient_norm_multiplies_the_factors_of_the_layers():
    network = mf.Ensemble("tanh", 1.5, 0.3, keep=0.9)
    path = mf.propagate(network, 5, q=0.2)
    norm = mf.propagate_gradient(network, 5, q=0.2).norm
    for layer in range(4):
        factor = mf.correlation_slope(network, 1.0, q=path.q[layer]) / 0.9
        assert norm[layer] / norm[layer + 1] == pytest.approx(factor, rel=1e-12)
    assert norm[-1] == 1.0


def test_gradient_correlation_multiplies_the_slopes_of_the_layers():
    path = mf.propagate(NETWORK, 5, q=0.5, c=0.8)
    back = mf.propagate_gradient(NETWORK, 5, q=0.5, c=0.8)
    assert back.correlation[-1] == 1.0
    for layer in range(4):
        both = mf.correlation_slope(NETWORK, [path.c[layer], 1.0], q=path.q[layer])
        ratio = back.correlation[layer] / back.correlation[layer + 1]
        assert ratio == pytest.approx(both[0] / both[1], rel=1e-11)


def test_gradients_of_relu_have_the_arc_cosine_angle():
    back = mf.propagate_gradient(mf.Ensemble("relu", np.sqrt(2)), 2, q=1.0, c=[0.0, 0.5, 1.0])
    np.testing.assert_allclose(back.correlation[0], [1 / 2, 2 / 3, 1.0], rtol=1e-14)
    np.testing.assert_allclose(back.norm, 1.0, rtol=1e-14)


def test_depth_scale_of_gradients():
    found = mf.fixed_point(NETWORK)
    back = mf.propagate_gradient(NETWORK, 2000)
    np.testing.assert_allclose(np.diff(back.log_norm), 1 / found.xi_gradient, rtol=1e-9)
    assert back.norm[0] == np.inf
    assert back.correlation is None


def test_gradient_without_weights_vanishes():
    back = mf.propagate_gradient(mf.Ensemble("tanh", 0.0, 0.5), 3, c=0.5)
    assert back.norm.tolist() == [0.0, 0.0, 1.0]
    assert np.all(np.isfinite(back.correlation))


def test_masks_of_two_inputs_are_independent():
    # keep: the norm takes 1 / keep, the product of two gradients does not
    network = mf.Ensemble("linear", 1.0, keep=0.5)
    back = mf.propagate_gradient(network, 3, q=1.0, c=0.3)
    np.testing.assert_allclose(back.norm, [4, 2, 1], rtol=1e-14)
    np.testing.assert_allclose(back.correlation, [0.25, 0.5, 1], rtol=1e-14)


# ---- simulation


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("method", ["gram", "weights"])
@pytest.mark.parametrize("keep", [1.0, 0.8])
def test_simulation_agrees_with_theory(weights, method, keep):
    network = mf.Ensemble("tanh", 1.5, 0.3, weights=weights, keep=keep)
    width, depth = 200, 6
    theory = mf.propagate(network, depth, q=1.0, c=0.5)
    sample = mf.simulate_propagation(
        network, width, depth, q=1.0, c=0.5, n_samples=60, seed=3, method=method
    )
    # 4.5 standard errors, and depth / width for the finite width
    bias = depth / width
    np.testing.assert_array_less(
        np.abs(sample.q - theory.q), 4.5 * sample.q_error + bias * theory.q
    )
    np.testing.assert_array_less(np.abs(sample.c - theory.c), 4.5 * sample.c_error + bias)


def test_one_step_of_a_gaussian_network_is_exact_in_the_mean():
    # E q^2 is V of the empirical law of h^1: on average over it exact up to O(1 / width)
    network = mf.Ensemble("relu", 1.2, 0.3)
    sample = mf.simulate_propagation(network, 400, 2, q=1.0, c=0.5, n_samples=2000, seed=1)
    theory = mf.propagate(network, 2, q=1.0, c=0.5)
    assert abs(sample.q[1] - theory.q[1]) < 4.5 * sample.q_error[1] + theory.q[1] / 400


@pytest.mark.parametrize("method", ["gram", "weights"])
def test_same_seed_gives_the_same_bits_for_any_number_of_threads(method):
    def sample(n_threads, seed=2**64 - 1):
        return mf.simulate_propagation(
            NETWORK, 37, 5, c=0.3, n_samples=7, seed=seed, method=method, n_threads=n_threads
        )

    one, three, other = sample(1), sample(3), sample(1, seed=5)
    np.testing.assert_array_equal(one.q_samples, three.q_samples)
    np.testing.assert_array_equal(one.c_samples, three.c_samples)
    assert not np.any(one.q_samples == other.q_samples)


def test_standard_errors_are_those_of_the_networks():
    sample = mf.simulate_propagation(NETWORK, 50, 4, c=0.3, n_samples=9)
    assert sample.q_samples.shape == sample.c_samples.shape == (9, 4)
    np.testing.assert_allclose(sample.q, sample.q_samples.mean(axis=0))
    np.testing.assert_allclose(sample.c_error, sample.c_samples.std(axis=0, ddof=1) / 3)


def test_one_input_is_simulated_without_a_correlation():
    sample = mf.simulate_propagation(NETWORK, 50, 4)
    assert (sample.n_samples, sample.c, sample.c_error, sample.c_samples) == (16, None, None, None)
    assert sample.depth == 4
    assert sample.method == "gram"


def test_networks_whose_signal_died_have_no_correlation():
    sample = mf.simulate_propagation(mf.Ensemble("relu", 1.4), 2, 6, q=1.0, c=0.5, n_samples=100)
    alive = ~np.isnan(sample.c_samples)
    np.testing.assert_array_equal(alive[:, 0], True)
    assert 2 < alive[:, -1].sum() < 50
    last = sample.c_samples[alive[:, -1], -1]
    assert sample.c[-1] == pytest.approx(last.mean(), abs=1e-14)
    assert sample.c_error[-1] == pytest.approx(last.std(ddof=1) / np.sqrt(last.size), rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("name", ["tanh", "relu", "elu", np.arctan])
def test_both_methods_have_the_same_law(name, weights):
    network = mf.Ensemble(name, 1.4, 0.2, weights=weights)
    gram, drawn = (
        mf.simulate_propagation(
            network, 12, 4, q=1.0, c=0.3, n_samples=20_000, seed=seed, method=method
        )
        for seed, method in enumerate(["gram", "weights"])
    )
    for x in ("q", "c"):
        a, b = getattr(gram, f"{x}_samples")[:, 1:], getattr(drawn, f"{x}_samples")[:, 1:]
        for power in (1, 2):  # mean and mean square; 12 comparisons, 4.5 s.e. each
            error = np.hypot((a**power).std(axis=0), (b**power).std(axis=0)) / np.sqrt(20_000)
            gap = (a**power).mean(axis=0) - (b**power).mean(axis=0)
            assert np.all(np.abs(gap) < 4.5 * error)


# ---- what people look at


def test_plots_show_the_data():
    path = mf.propagate(NETWORK, 5, q=1.0, c=0.5)
    ax = path.plot()
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), path.q)
    (right,) = [other for other in ax.figure.axes if other is not ax]
    np.testing.assert_array_equal(right.lines[0].get_ydata(), path.c)
    back = mf.propagate_gradient(NETWORK, 5, q=1.0, c=0.5)
    heights = back.plot().lines[0].get_ydata()
    np.testing.assert_allclose(heights, np.log10(back.norm), atol=1e-14)
    sample = mf.simulate_propagation(NETWORK, 20, 5, c=0.5)
    bars = sample.plot(ax).containers[0]
    np.testing.assert_array_equal(bars[0].get_ydata(), sample.q)
    assert len(ax.figure.axes) == 2  # theory and simulation share both scales
    plt.close("all")


def test_labelled_copies():
    xr = pytest.importorskip("xarray")
    path = mf.propagate(NETWORK, 5, c=[0.1, 0.5])
    data = path.to_xarray()
    assert isinstance(data, xr.Dataset)
    assert data.c.dims == ("layer", "input_0")
    assert float(data.c.sel(layer=3)[1]) == path.c[2, 1]
    assert set(mf.propagate_gradient(NETWORK, 5).to_xarray()) == {"norm", "log_norm"}
    sample = mf.simulate_propagation(NETWORK, 20, 5, c=0.5)
    assert sample.to_xarray().c.dims == ("sample", "layer")


def test_results_are_short_to_read():
    for result in (
        mf.propagate(NETWORK, 5, c=np.zeros(10)),
        mf.propagate_gradient(NETWORK, 5, c=0.1),
        mf.simulate_propagation(NETWORK, 20, 5, c=0.5),
    ):
        assert NETWORK.activation.name in repr(result)
        assert len(repr(result).splitlines()) <= 12
