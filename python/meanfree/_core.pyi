from collections.abc import Callable
from typing import TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ConvergenceError",
    "boundary_network",
    "build_info",
    "correlation",
    "covariance",
    "critical_points",
    "descend_linear",
    "descend_modes",
    "evaluate",
    "field_gradients",
    "field_hessians",
    "field_products",
    "field_values",
    "field_waves",
    "fixed_points",
    "flow_linear",
    "flow_modes",
    "gaussian_moments",
    "length_roots",
    "level_set",
    "level_set_hessians",
    "log_singular_values",
    "mlp_hessian",
    "mlp_hvp",
    "mlp_tape",
    "mlp_value",
    "normals",
    "philox",
    "propagate_curve",
    "simulate_boundaries",
    "simulate_curve",
    "simulate_jacobian",
    "simulate_propagation",
    "slope_law",
    "slope_law_moments",
    "special",
    "spectral_branch",
    "spectral_moments",
    "spectral_quantiles",
    "spectral_values",
]

# Arrays are C-contiguous. What the functions return is described where Python uses them.
_Array: TypeAlias = NDArray[np.float64]
_Words: TypeAlias = NDArray[np.uint32]
_Function: TypeAlias = Callable[[_Array], _Array]
# A built-in activation with its parameter (0 if it has none), or the user's three functions of
# arrays with the sorted kinks.
_Phi: TypeAlias = tuple[str, float] | tuple[_Function, _Function, _Function, _Array]
# Called every 50 ms with what is done.
_Progress: TypeAlias = Callable[[int], object] | None
# The law of t = phi'(sqrt(q) z)^2. The first array is its atoms, (2, n): locations, masses; the
# rest is for the core only.
_Law: TypeAlias = tuple[_Array, ...]
# log lambda(m) = C + sum_j c_j log(a_j + rho_j m) + sum_l n_l log x_l(r_l m) + s_1 m
# + s_2 m / (1 + m), where x_l is the inverse of E[t / (x - t)] under law l: the laws (the one with
# the largest n_l first; none is allowed), rows (n_l, r_l), rows (c_j, a_j, rho_j), (C, s_1, s_2).
_Equation: TypeAlias = tuple[list[_Law], _Array, _Array, _Array]

class _BuildInfo(TypedDict):
    version: str
    isa: str
    compiler: str
    eigen: str

class _FixedPoints(TypedDict):
    q: _Array
    c: _Array
    delta: _Array
    chi_1: _Array
    chi_2: _Array
    chi_c: _Array
    length_slope: _Array
    xi_q: _Array
    xi_c: _Array
    xi_gradient: _Array
    q_error: _Array
    phase: NDArray[np.int8]
    status: NDArray[np.int8]

class _CriticalPoints(TypedDict):
    sigma_w: _Array
    q: _Array
    length_slope: _Array
    stable: NDArray[np.bool_]

class _SpectralBranch(TypedDict):
    bulks: _Array  # (n, 2): edges in log lambda of each interval of the bulk, ascending
    effective: NDArray[np.bool_]  # (2,): lowest, highest edge: the mass beyond it is below 1e-13
    mass: float  # of all bulks, by the closed form of the CDF
    residual: float  # largest error of the equation, in log lambda
    imaginary_part: float  # smallest Im log x inside the bulk
    newton_steps: float  # mean over the nodes of the table
    table: tuple[_Array, ...]  # what spectral_values and spectral_quantiles want

class ConvergenceError(RuntimeError): ...

def build_info() -> _BuildInfo: ...
def special(name: str, x: _Array) -> _Array: ...
def philox(counter: _Words, key: _Words) -> _Words: ...
def normals(seed: int, sample: int, layer: int, n: int) -> _Array: ...
def evaluate(phi: _Phi, order: int, x: _Array) -> _Array: ...
def gaussian_moments(phi: _Phi, q: _Array, n_threads: int, progress: _Progress) -> _Array: ...
def covariance(
    phi: _Phi, q_aa: _Array, q_bb: _Array, c: _Array, n_threads: int, progress: _Progress
) -> _Array: ...
def correlation(
    phi: _Phi, q: _Array, delta: _Array, n_threads: int, progress: _Progress
) -> _Array: ...
def fixed_points(
    phi: _Phi,
    sigma_w: _Array,
    sigma_b: _Array,
    keep: float,
    n_threads: int,
    progress: _Progress,
    correlations: bool = True,
    interpolate: bool = False,
    grid: bool = False,
) -> _FixedPoints: ...
def length_roots(phi: _Phi, sigma_w: float, sigma_b: float, keep: float) -> _Array: ...
def critical_points(phi: _Phi, sigma_b: _Array) -> _CriticalPoints: ...
def simulate_propagation(
    phi: _Phi,
    sigma_w: float,
    sigma_b: float,
    keep: float,
    weights: int,
    width: int,
    depth: int,
    q: float,
    c: float,
    n_samples: int,
    seed: int,
    method: int,
    n_threads: int,
    progress: _Progress,
) -> _Array: ...
def simulate_jacobian(
    phi: _Phi,
    sigma_w: float,
    sigma_b: float,
    weights: int,
    width: int,
    depth: int,
    q: float,
    n_samples: int,
    seed: int,
    method: int,
    n_threads: int,
    progress: _Progress,
) -> _Array: ...

# (9, n_samples, depth): q, metric, curvature_squared, gauss_metric, euclidean_length,
# grassmannian_length, chord_length, turning_angle, rank. A row of `start` is a point (then, if
# there are two or three times as many rows as weights, a velocity, an acceleration); h^1 = scale M
# start^T + start_bias z with normal M, or M of orthonormal columns in `frame` dimensions
def simulate_curve(
    phi: _Phi,
    sigma_w: float,
    sigma_b: float,
    weights: int,
    width: int,
    depth: int,
    start: _Array,
    frame: int,
    scale: float,
    start_bias: float,
    weight: _Array,
    closed: bool,
    n_samples: int,
    seed: int,
    method: int,
    single: bool,
    n_threads: int,
    progress: _Progress,
) -> _Array: ...

# (depth, parts, n_points, width)
def propagate_curve(
    phi: _Phi,
    sigma_w: float,
    sigma_b: float,
    weights: int,
    width: int,
    depth: int,
    start: _Array,
    frame: int,
    scale: float,
    start_bias: float,
    weight: _Array,
    closed: bool,
    sample: int,
    seed: int,
    method: int,
    single: bool,
) -> _Array: ...
def log_singular_values(factors: list[_Array], progress: _Progress) -> _Array: ...

# total (runs, records, n_out, n_in), balancedness (runs, records, depth - 1), weights (runs, n) at
# the end, of the layers of these sizes, inputs first
def descend_linear(
    sizes: list[int],
    weights: _Array,
    sigma_yx: _Array,
    sigma_xx: _Array | None,
    eta: _Array,
    steps: int,
    record_every: int,
    n_threads: int,
    progress: _Progress,
) -> tuple[_Array, _Array, _Array]: ...
def flow_linear(
    sizes: list[int],
    weights: _Array,
    sigma_yx: _Array,
    sigma_xx: _Array | None,
    times: _Array,
    tau: float,
    tol: float,
    max_steps: int,
    n_threads: int,
    progress: _Progress,
) -> tuple[_Array, _Array, _Array]: ...

# the same of modes: strength (runs, records, modes), balancedness, weights (runs, depth, modes)
def descend_modes(
    weights: _Array,
    s: _Array,
    eta: _Array,
    steps: int,
    record_every: int,
    n_threads: int,
    progress: _Progress,
) -> tuple[_Array, _Array, _Array]: ...
def flow_modes(
    weights: _Array,
    s: _Array,
    times: _Array,
    tau: float,
    tol: float,
    max_steps: int,
    n_threads: int,
    progress: _Progress,
) -> tuple[_Array, _Array, _Array]: ...

# waves (n_waves, n padded to a multiple of 8) and phases of mean * gamma(shape) / shape
def field_waves(
    seed: int, mean: float, shape: float, n_waves: int, n: int, n_threads: int
) -> tuple[_Array, _Array]: ...

# of amplitude * sum cos(waves.w + phases) at the rows of w
def field_values(
    waves: _Array, phases: _Array, amplitude: float, w: _Array, n_threads: int
) -> _Array: ...
def field_gradients(
    waves: _Array, phases: _Array, amplitude: float, w: _Array, n_threads: int
) -> _Array: ...
def field_products(
    waves: _Array, phases: _Array, amplitude: float, w: _Array, v: _Array, n_threads: int
) -> _Array: ...
def field_hessians(
    waves: _Array, phases: _Array, amplitude: float, w: _Array, n_threads: int
) -> _Array: ...

# points, levels, residuals, gradient norms, principal curvatures; level nan: halfway between the
# values at two inputs
def simulate_boundaries(
    phi: _Phi,
    sigma_w: float,
    sigma_b: float,
    weights: int,
    width: int,
    depth: int,
    q: float,
    level: float,
    n_inputs: int,
    n_points: int,
    seed: int,
    n_threads: int,
    progress: _Progress,
) -> tuple[_Array, _Array, _Array, _Array, _Array]: ...
def boundary_network(
    sigma_w: float,
    sigma_b: float,
    weights: int,
    width: int,
    depth: int,
    seed: int,
    sample: int,
) -> tuple[list[_Array], list[_Array], _Array]: ...

# value, its rounding error, point, gradient norms, principal curvatures of each layer
def level_set(
    phi: _Phi,
    weights: list[_Array],
    biases: list[_Array],
    readout: _Array,
    point: _Array,
    level: float,
    refine: bool,
) -> tuple[float, float, _Array, _Array, list[_Array]]: ...
def level_set_hessians(
    phi: _Phi,
    weights: list[_Array],
    biases: list[_Array],
    readout: _Array,
    point: _Array,
    first: int,
    last: int,
) -> tuple[float, list[_Array], list[_Array]]: ...

# of the layers of these sizes, inputs first; parameters W1 (row-major), b1, W2, ...; x and y have a
# row for each sample. A tape, with the gradient and the value: what hvp and hessian need of a point
def mlp_value(
    phi: _Phi, sizes: list[int], parameters: _Array, cross_entropy: bool, x: _Array, y: _Array
) -> float: ...
def mlp_tape(
    phi: _Phi, sizes: list[int], parameters: _Array, cross_entropy: bool, x: _Array, y: _Array
) -> tuple[float, _Array, _Array]: ...
def mlp_hvp(
    sizes: list[int],
    parameters: _Array,
    cross_entropy: bool,
    n_samples: int,
    tape: _Array,
    full: bool,
    v: _Array,
    n_threads: int,
    progress: _Progress,
) -> _Array: ...
def mlp_hessian(
    sizes: list[int],
    parameters: _Array,
    cross_entropy: bool,
    n_samples: int,
    tape: _Array,
    full: bool,
    n_threads: int,
    progress: _Progress,
) -> _Array: ...
def slope_law(phi: _Phi, q: float) -> _Law: ...
def slope_law_moments(law: _Law, k_max: int) -> _Array: ...

# atoms (2, n): log lambda (-inf at 0) and mass of the atoms of the spectrum
# progress is called with 0: how much is left is not known
def spectral_branch(equation: _Equation, atoms: _Array, progress: _Progress) -> _SpectralBranch: ...

# (4, n): log(lambda density), -inf outside the bulk; CDF with atoms; 1 - CDF; Newton steps. Where
# `distribution` is False rows 1 and 2 mean nothing, for speed
def spectral_values(
    equation: _Equation,
    table: tuple[_Array, ...],
    log_lambda: _Array,
    n_threads: int,
    progress: _Progress,
    distribution: bool = True,
) -> _Array: ...

# log lambda, -inf inside an atom at 0
def spectral_quantiles(
    equation: _Equation,
    table: tuple[_Array, ...],
    p: _Array,
    n_threads: int,
    progress: _Progress,
) -> _Array: ...

# (2, k_max): log m_k and m_k / m_1^k
def spectral_moments(equation: _Equation, k_max: int) -> _Array: ...
