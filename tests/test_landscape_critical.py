"""The search for critical points, on functions of which all critical points are known."""

from functools import partial
from itertools import combinations

import numpy as np
import pytest
from landscapes import Field, LinearNet, Smooth, polynomial, quadratic, separate, wave
from matplotlib.figure import Figure

from meanfree._krylov import Lanczos
from meanfree.landscape import Problem, _finders, critical_points, linear_saddle

METHODS = ["newton", "gradient_norm", "newton_mr"]


def joined(weights):
    return np.concatenate([w.ravel() for w in weights])


@pytest.mark.parametrize("method", METHODS)
def test_the_critical_points_of_waves_have_the_index_of_their_energy(method):
    starts = np.random.default_rng(0).uniform(-3, 3, (60, 3))
    found = critical_points(wave(), starts, method=method)
    assert found.accepted.sum() >= 55
    w = found.w[found.accepted]
    k = np.round(w / np.pi - 0.5)
    np.testing.assert_allclose(w, (k + 0.5) * np.pi, rtol=0, atol=1e-12 * np.abs(w).max())
    # a maximum in every coordinate at which the sine is 1
    np.testing.assert_array_equal(found.index[found.accepted], (k % 2 == 0).sum(axis=1))
    value = found.value[found.accepted]
    np.testing.assert_allclose(value, 2 * found.index[found.accepted] - 3, atol=1e-12)
    assert set(found.index[found.accepted]) == {0, 1, 2, 3}
    assert not found.n_zero[found.accepted].any()


@pytest.mark.parametrize("method", METHODS)
def test_what_is_accepted_in_a_random_field_is_critical_by_its_own_gradient(method):
    field = Field(8, 200)
    starts = np.random.default_rng(1).uniform(-20, 20, (30, 8))
    found = critical_points(field, starts, method=method)
    norm = np.linalg.norm(field.gradient(found.w), axis=1)
    rounding = 1e-13  # points in other batches: other orders of sums of 200 numbers up to 6
    np.testing.assert_allclose(norm, found.gradient_norm, rtol=0, atol=rounding)
    np.testing.assert_allclose(field.value(found.w), found.value, rtol=0, atol=rounding)
    assert found.accepted.sum() >= 8
    assert np.all(norm[found.accepted] <= 1e-8)
    assert np.all(norm[~found.accepted] > 1e-8)
    for k in range(30):
        spectrum = np.linalg.eigvalsh(field.hessian(found.w[k]))
        np.testing.assert_allclose(found.eigenvalues[k], spectrum, atol=1e-13)
        if found.accepted[k]:
            assert found.index[k] == np.count_nonzero(spectrum < 0)
    reasons = found.reason[~found.accepted]
    assert all(r.startswith(("not converged: |g| = ", "gradient-flat: |g| = ")) for r in reasons)
    assert np.all(found.reason[found.accepted] == "")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("shape", "units"), [((3, 3), 2), ((2, 4), 3)])
def test_saddles_of_linear_networks_have_the_exact_index_and_zero_modes(method, shape, units):
    random = np.random.default_rng(3)
    matrix = random.standard_normal(shape)
    net, few = LinearNet(matrix, units), min(shape)
    exact = [
        linear_saddle(matrix, units, modes)
        for r in range(min(units, few) + 1)
        for modes in combinations(range(few), r)
    ]
    starts = np.array([joined(saddle.weights) for saddle in exact])
    near = starts + 1e-3 * random.standard_normal(starts.shape)
    found = critical_points(net, near, method=method)
    assert found.accepted.all(), found.reason
    assert found.index.tolist() == [saddle.index for saddle in exact]
    loss = [saddle.loss for saddle in exact]
    np.testing.assert_allclose(found.value, loss, rtol=1e-12, atol=1e-15)
    # at the place itself there is nothing to do, and the whole spectrum is known
    here = critical_points(net, starts, method=method)
    assert here.accepted.all()
    assert here.n_zero.tolist() == [saddle.n_zero for saddle in exact]
    spectra = np.array([saddle.eigenvalues for saddle in exact])
    np.testing.assert_allclose(here.eigenvalues, spectra, atol=1e-10)
    # unbalanced places have the zero modes of balanced ones: the orbit is as large
    assert found.n_zero.tolist() == here.n_zero.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_searches_in_a_linear_network_from_afar_end_at_losses_that_exist(method):
    matrix = np.diag([3.0, 2.0, 1.0])
    net = LinearNet(matrix, 2)
    starts = np.random.default_rng(5).standard_normal((200, 12))
    found = critical_points(net, starts, method=method)
    exact = [linear_saddle(matrix, 2, m) for r in (0, 1, 2) for m in combinations(range(3), r)]
    table = {round(p.loss, 6): (p.index, p.n_zero) for p in exact}  # 7, 6.5, 5, 2.5, ... all differ
    assert len(table) == len(exact)
    assert found.accepted.sum() > 100
    seen = set()
    for k in np.flatnonzero(found.accepted):
        loss = round(float(found.value[k]), 6) + 0.0
        assert (found.index[k], found.n_zero[k]) == table[loss]
        seen.add(loss)
    assert len(seen) >= 4


@pytest.mark.parametrize("method", METHODS)
def test_a_quadratic_takes_one_step_of_newton_and_its_zero_mode_is_counted(method):
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))[0]
    matrix = turn @ np.diag([-3.0, -1.0, 0.0, 2.0, 5.0]) @ turn.T
    matrix = 0.5 * (matrix + matrix.T)
    problem, most = quadratic(matrix, matrix @ np.ones(5)), 200 if method == "gradient_norm" else 1
    found = critical_points(problem, np.zeros(5), method=method, max_steps=most)
    assert found.accepted.tolist() == [True]
    assert (found.index[0], found.n_zero[0]) == (2, 1)
    # the shortest way leaves the flat direction alone
    np.testing.assert_allclose(found.w[0], np.ones(5) - turn[:, 2] * turn[:, 2].sum(), atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_gradient_flat_points_are_rejected_with_the_reason(method):
    # |g|^2 = (3 x^2 + 0.1)^2 + 4 y^2 is smallest at 0, which is no critical point
    problem = polynomial((1, (3, 0)), (0.1, (1, 0)), (1, (0, 2)), n=2)
    found = critical_points(problem, [[0.0, 1.0], [0.0, 0.0]], method=method)
    assert not found.accepted.any()
    assert all(r.startswith("gradient-flat: |g| = 0.1 lies in the kernel") for r in found.reason)
    np.testing.assert_allclose(found.gradient_norm, 0.1, rtol=1e-12)
    # y up to 1e-9 is nothing to |g|
    np.testing.assert_allclose(found.residual, 1.0, rtol=1e-7)
    np.testing.assert_allclose(found.flatness, 0.0, atol=1e-7)
    assert found.n_zero.tolist() == [1, 1]


def test_a_search_that_comes_to_a_flat_place_says_so():
    problem = polynomial((1, (3, 0)), (0.1, (1, 0)), (1, (0, 2)), n=2)
    found = critical_points(problem, [[0.7, 1.0], [-0.4, 0.2]], method="gradient_norm")
    assert not found.accepted.any()
    assert all(r.startswith("gradient-flat: |g| = 0.1 ") for r in found.reason)
    assert repr(found) == "CriticalPoints(0 of 2 accepted, 2 gradient-flat)"


@pytest.mark.parametrize("method", METHODS)
def test_what_flattens_out_to_infinity_is_no_critical_point(method):
    problem = separate(lambda w: np.exp(-w), lambda w: -np.exp(-w), lambda w: np.exp(-w))
    found = critical_points(problem, [[1.0], [15.0]], method=method)
    assert np.all(found.gradient_norm <= 1e-8)
    assert not found.accepted.any()
    assert all(r.startswith("far: |g| = ") for r in found.reason)
    # nor beside a direction that is as curved as ever
    valley = Smooth(
        lambda w: np.exp(-w[..., 0]) + w[..., 1] ** 2,
        lambda w: np.stack([-np.exp(-w[..., 0]), 2 * w[..., 1]], -1),
        lambda w: np.stack([np.exp(-w[..., 0]), 2 + 0 * w[..., 0]], -1)[..., None] * np.eye(2),
    )
    found = critical_points(valley, [[1.0, 1.0], [15.0, -1.0], [17.9, 0.1]], method=method)
    assert np.all(found.gradient_norm <= 1e-8)
    assert not found.accepted.any()
    assert all(r.startswith(("far: |g| = ", "gradient-flat: ")) for r in found.reason)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("degree", [3, 4, 5])
def test_degenerate_points_have_no_sign_where_theirs_is_not_settled(method, degree):
    # x^degree + y^2 - z^2: one zero mode at 0, whatever the curvature on the way there
    problem = polynomial((1, (degree, 0, 0)), (1, (0, 2, 0)), (-1, (0, 0, 2)), n=3)
    found = critical_points(problem, [[0.3, 0.2, 0.1], [-0.3, 0.1, 0.2]], method=method)
    assert found.accepted.all(), found.reason
    assert (found.index.tolist(), found.n_zero.tolist()) == ([1, 1], [1, 1])
    alone = polynomial((1, (degree,)), n=1)
    found = critical_points(alone, [[0.3], [-0.3]], method=method)
    assert (found.index.tolist(), found.n_zero.tolist()) == ([0, 0], [1, 1])


@pytest.mark.parametrize("method", METHODS)
def test_at_the_origin_of_a_deep_linear_chain_no_sign_of_curvature_is_told(method):
    # (2 - abc)^2 / 2: all second derivatives vanish at 0, and two on the solutions abc = 2
    chain = polynomial((0.5, (2, 2, 2)), (-2, (1, 1, 1)), (2, (0, 0, 0)), n=3)
    near = np.array([[0.02, -0.01, 0.03], [-0.01, -0.02, 0.01], [1.2, 1.1, 1.5]])
    found = critical_points(chain, near, method=method)
    assert found.accepted.all(), found.reason
    assert (found.index.tolist(), found.n_zero.tolist()) == ([0, 0, 0], [3, 3, 2])
    np.testing.assert_allclose(found.value, [2.0, 2.0, 0.0], atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_rounding_of_the_gradient_hides_no_degenerate_minimum(method):
    quartic = np.poly([5.0] * 4)  # multiplied out: its gradient has a rounding of 1e-13
    problem = separate(*(partial(np.polyval, np.polyder(quartic, k)) for k in range(3)))
    found = critical_points(problem, [[4.0], [6.0], [5.5], [7.0]], method=method)
    assert found.accepted.all(), found.reason
    assert not found.index.any()
    np.testing.assert_allclose(found.w, 5.0, atol=2e-4)  # the cube root of the rounding


def test_a_function_is_not_asked_far_away_from_where_a_search_ended():
    asked = []

    def slope(w):
        asked.append(np.abs(w).max())
        return 1.0 + 1e-6 * w

    problem = separate(lambda w: w + 5e-7 * w**2, slope, lambda w: 1e-6 + 0 * w)
    found = critical_points(problem, [[0.0]], method="newton", max_steps=0)
    assert found.reason[0].startswith("not converged")
    assert max(asked) == 0.0


def test_a_tail_far_from_the_origin_is_no_critical_point():
    flat, near = np.array([1.0, 0.0]), np.array([0.0, 1.0])  # exp(-a) + (b - 1e4)**2 / 2000
    tail = Smooth(
        lambda w: np.exp(-w[..., 0]) + 5e-4 * (w[..., 1] - 1e4) ** 2,
        lambda w: -np.exp(-w[..., :1]) * flat + 1e-3 * (w[..., 1:] - 1e4) * near,
        lambda w: np.exp(-w[..., 0])[..., None, None] * np.diag(flat) + 1e-3 * np.diag(near),
    )
    found = critical_points(tail, [[0.5, 1.1e4]], method="newton")
    assert found.gradient_norm[0] <= 1e-8
    assert np.linalg.norm(found.w) > 1e4  # a Newton step of 1 is less than 1e-4 of that
    assert found.reason[0].startswith("far: |g| = ")


def test_tol_is_what_decides():
    loose = critical_points(wave(), [[1.0]], method="newton", tol=0.6, max_steps=0)
    tight = critical_points(wave(), [[1.0]], method="newton", tol=0.5, max_steps=0)
    norm = float(np.cos(1.0))
    assert loose.gradient_norm[0] == tight.gradient_norm[0] == norm
    assert tight.reason[0] == f"not converged: |g| = {norm:.3g} > tol = 0.5 after 0 steps"
    assert loose.reason[0].startswith("far: ")  # small enough, but 0.64 from where it would be 0
    close = critical_points(wave(), [[1.5707]], method="newton", tol=1e-4, max_steps=0)
    assert close.accepted[0]
    assert close.steps[0] == 0


def test_blocks_of_starts_are_searched_as_each_alone():
    field, random = Field(6, 60), np.random.default_rng(2)
    starts = random.uniform(-9, 9, (5, 6))
    for method in METHODS:
        many = critical_points(field, starts, method=method)
        for k in range(5):
            one = critical_points(field, starts[k], method=method)
            assert one.accepted[0] == many.accepted[k]
            if one.accepted[0]:
                np.testing.assert_allclose(one.w[0], many.w[k], atol=1e-8)
    none = critical_points(field, np.empty((0, 6)), method="newton")
    assert (len(none), none.w.shape, none.reason.shape) == (0, (0, 6), (0,))


def test_what_is_not_finite_is_rejected_and_does_no_harm_to_others():
    problem = Smooth(
        lambda w: np.log(w).sum(axis=-1) + 1 / w.sum(axis=-1),
        lambda w: 1 / w - 1 / w**2,
        lambda w: (2 / w**3 - 1 / w**2)[..., None] * np.eye(1),
    )
    for method in METHODS:
        found = critical_points(problem, [[0.9], [-1.0], [0.0]], method=method)
        assert found.accepted.tolist() == [True, False, False]
        assert found.w[0, 0] == pytest.approx(1.0, abs=1e-12)
        assert found.reason[2] == "not finite: the function, its gradient or its Hessian"


def test_plot_shows_accepted_points_alone_and_counts_the_others():
    starts = np.random.default_rng(1).uniform(-3, 3, (9, 2))
    found = critical_points(wave(), starts, method="newton", max_steps=4)
    good = found.accepted
    assert 2 <= np.count_nonzero(good) <= 7
    figure = Figure()
    ax = figure.subplots()
    assert found.plot(ax, unit=2.0) is ax
    (marks,) = ax.lines
    assert np.array_equal(marks.get_xdata(), found.index[good] / 2)
    assert np.array_equal(marks.get_ydata(), found.value[good] / 2.0)
    assert marks.get_label() == f"{good.sum()} critical points, {9 - good.sum()} ends rejected"
    assert ax.get_ylabel() == "value / 2"
    with pytest.raises(ValueError, match=r"unit must be finite and > 0, got 0"):
        found.plot(ax, unit=0)


def test_progress_counts_starts(capsys):
    critical_points(wave(), np.ones((4, 2)), method="newton", progress=True)
    assert "starts: " in capsys.readouterr().err
    critical_points(wave(), np.ones((4, 2)), method="newton", progress=None)
    assert capsys.readouterr().err == ""


def test_problem_is_a_protocol():
    assert isinstance(wave(), Problem)
    assert not isinstance(np.ones(3), Problem)


class Broken:
    def __init__(self, **answers):
        self.answers = answers

    def __getattr__(self, name):
        if name in self.answers:
            return lambda *_: self.answers[name]
        if name in {"value", "gradient", "hessian", "hvp"}:
            return getattr(wave(), name)
        raise AttributeError(name)


@pytest.mark.parametrize(
    ("problem", "starts", "options", "error", "message"),
    [
        (None, [[1.0]], {}, TypeError, "problem must have the methods value, gradient, hessian"),
        (wave(), 1.0, {}, ValueError, r"starts must have the shape \(m, n\) or \(n,\), n >= 1"),
        (wave(), np.ones((2, 2, 2)), {}, ValueError, r"starts .*, got shape \(2, 2, 2\)"),
        (wave(), np.ones((2, 0)), {}, ValueError, r"starts .*, got shape \(2, 0\)"),
        (wave(), [np.nan], {}, ValueError, "starts must be finite, got nan at index 0"),
        (wave(), [1.0], {"method": "newton-mr"}, ValueError, "method .*did you mean 'newton_mr'"),
        (wave(), [1.0], {"tol": 0.0}, ValueError, "tol must be finite and > 0, got 0.0"),
        (wave(), [1.0], {"max_steps": -1}, ValueError, "max_steps must be an integer .* got -1"),
        (wave(), [1.0], {"progress": 1}, TypeError, "progress must be True, False or None, got 1"),
        (
            Broken(gradient=np.ones(2)),
            [[1.0, 2.0]],
            {},
            ValueError,
            r"problem\.gradient must return shape \(1, 2\) for \(1, 2\), got shape \(2,\)",
        ),
        (Broken(value=1j), [1.0], {}, TypeError, r"problem\.value must return real numbers"),
        (
            Broken(hessian=np.array([[[1.0, 2.0], [0.0, 1.0]]])),
            [[1.0, 2.0]],
            {},
            ValueError,
            r"problem\.hessian\(w\) must be symmetric, got entries that differ by 2",
        ),
    ],
)
def test_bad_input_is_named(problem, starts, options, error, message):
    with pytest.raises(error, match="^" + message):
        critical_points(problem, starts, **{"method": "newton", **options})


def test_residuals_of_krylov_steps_follow_from_polynomials_at_0():
    random = np.random.default_rng(0)
    matrix = random.standard_normal((3, 30, 30))
    matrix[2, 4:] = 0.0  # a Krylov space that ends
    matrix += matrix.swapaxes(1, 2)
    space = Lanczos(lambda v: np.matmul(matrix, v[..., None])[..., 0], np.ones((3, 30)))
    solved = _finders._Solved(3)
    for _ in range(6):
        space.step()
        assert not solved(space)
        expected = _finders._residual(space.matrix)[1]
        np.testing.assert_allclose(solved._sum**-0.5, expected, rtol=1e-12)
    for _ in range(24):
        assert not solved(space)
        space.step()
    assert solved(space)
