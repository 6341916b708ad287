"""Steps of saddle-free Newton against closed forms and dense linear algebra."""

import numpy as np
import pytest

from meanfree.optim import krylov_saddle_free_step, saddle_free_step


def indefinite(n, seed=0):
    random = np.random.default_rng(seed)
    turn = np.linalg.qr(random.standard_normal((n, n)))[0]
    values = np.concatenate([-np.linspace(0.5, 2, n // 2), np.linspace(0.6, 3, n - n // 2)])
    matrix = turn * values @ turn.T
    return 0.5 * (matrix + matrix.T), turn, values, random.standard_normal(n)


@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_the_saddle_free_step_has_the_size_of_each_eigenvalue_and_no_sign(damping):
    matrix, turn, values, g = indefinite(12)
    expected = -turn @ ((turn.T @ g) / (np.abs(values) + damping))
    step = saddle_free_step(matrix, g, damping=damping)
    np.testing.assert_allclose(step, expected, atol=1e-13)
    # another route: |H| is the root of H^2
    root = turn * np.sqrt(np.linalg.eigvalsh(matrix @ matrix))[np.argsort(np.argsort(values**2))]
    other = -np.linalg.solve(root @ turn.T + damping * np.eye(12), g)
    np.testing.assert_allclose(step, other, atol=1e-12)
    assert step @ g < 0


def test_many_saddle_free_steps_are_made_at_once():
    random = np.random.default_rng(1)
    matrix = random.standard_normal((3, 2, 4, 4))
    matrix = matrix + np.swapaxes(matrix, -1, -2)
    g = random.standard_normal((3, 2, 4))
    many = saddle_free_step(matrix, g, damping=0.1)
    krylov = krylov_saddle_free_step(
        lambda v: np.matmul(matrix, v[..., None])[..., 0], g, dimension=4, damping=0.1
    )
    for i in np.ndindex(3, 2):
        np.testing.assert_allclose(many[i], saddle_free_step(matrix[i], g[i], damping=0.1))
    np.testing.assert_allclose(krylov, many, rtol=1e-10)


def test_directions_without_curvature_are_left_out_without_damping():
    step = saddle_free_step(np.diag([2.0, 0.0, -1e-17]), np.ones(3), damping=0.0)
    assert step.tolist() == [-0.5, 0.0, 0.0]
    assert saddle_free_step(np.zeros((2, 2)), [1.0, 2.0], damping=0.5).tolist() == [-2.0, -4.0]


@pytest.mark.parametrize("damping", [0.0, 1e-2])
@pytest.mark.parametrize("n", [2, 30, 80])
def test_the_whole_krylov_space_gives_the_full_step(n, damping):
    matrix, _, _, g = indefinite(n, seed=n)
    full = saddle_free_step(matrix, g, damping=damping)
    for dimension in (n, n + 7):
        krylov = krylov_saddle_free_step(
            lambda v: matrix @ v, g, dimension=dimension, damping=damping
        )
        np.testing.assert_allclose(krylov, full, atol=1e-10 * np.abs(full).max())


def test_a_krylov_step_is_that_of_the_matrix_seen_from_powers_of_it():
    matrix, _, _, g = indefinite(40)
    powers = [g]
    for _ in range(4):
        powers.append(matrix @ powers[-1])
    v = np.linalg.qr(np.array(powers).T)[0]
    values, vectors = np.linalg.eigh(v.T @ matrix @ v)
    expected = -v @ (vectors / (np.abs(values) + 0.1)) @ vectors.T @ v.T @ g
    step = krylov_saddle_free_step(lambda v: matrix @ v, g, dimension=5, damping=0.1)
    np.testing.assert_allclose(step, expected, atol=1e-10)


def test_a_krylov_space_that_ends_early_is_used_as_far_as_it_goes():
    calls = []

    def hvp(v):
        calls.append(v)
        return np.repeat([3.0, -2.0], 50) * v

    step = krylov_saddle_free_step(hvp, np.ones(100), dimension=30, damping=0.0)
    np.testing.assert_allclose(step, -np.repeat([1 / 3, 1 / 2], 50), rtol=1e-13)
    assert len(calls) == 2
    assert not krylov_saddle_free_step(hvp, np.zeros(100), dimension=30, damping=0.0).any()


def test_lanczos_vectors_stay_orthogonal_where_one_pass_is_not_enough():
    from meanfree._krylov import lanczos

    scale = np.concatenate([np.logspace(-12, 0, 60), [1e3, 1e6]])
    basis, matrix = lanczos(lambda v: v * scale, np.ones((1, 62)), 62)
    used = np.any(basis[0], axis=1)
    gram = basis[0][used] @ basis[0][used].T
    np.testing.assert_allclose(gram, np.eye(used.sum()), atol=1e-13)
    seen = basis[0] * scale @ basis[0].T
    np.testing.assert_allclose(matrix[0, :-1], seen, atol=1e-13 * 1e6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: saddle_free_step(np.eye(2), np.ones(2), damping=-0.1),
            ValueError,
            "damping must be finite and >= 0, got -0.1",
        ),
        (
            lambda: saddle_free_step([[1.0, 2.0], [0.0, 1.0]], np.ones(2), damping=0.1),
            ValueError,
            "hessian must be symmetric, got entries that differ by 2",
        ),
        (
            lambda: saddle_free_step(np.eye(3), np.ones(2), damping=0.1),
            ValueError,
            r"hessian must have the shape \(2, 2\), as the gradient has, got \(3, 3\)",
        ),
        (
            lambda: saddle_free_step(1.0, 1.0, damping=0.1),
            ValueError,
            "gradient must have the shape",
        ),
        (
            lambda: saddle_free_step(np.eye(2), [np.nan, 1.0], damping=0.1),
            ValueError,
            "gradient must be finite, got nan at index 0",
        ),
        (
            lambda: krylov_saddle_free_step(np.eye(2), np.ones(2), dimension=1, damping=0.1),
            TypeError,
            "hvp must be a function of a vector, got array",
        ),
        (
            lambda: krylov_saddle_free_step(lambda v: v[:1], np.ones(2), dimension=1, damping=0.1),
            ValueError,
            r"hvp must return the shape \(2,\) of the gradient, got \(1,\)",
        ),
        (
            lambda: krylov_saddle_free_step(
                lambda v: v * np.nan, np.ones(2), dimension=1, damping=0.1
            ),
            ValueError,
            "what hvp returns must be finite, got nan at index 0",
        ),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match="^" + message):
        call()
