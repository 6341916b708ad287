from collections.abc import Callable
from typing import TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ConvergenceError",
    "build_info",
    "correlation",
    "covariance",
    "critical_points",
    "evaluate",
    "fixed_points",
    "gaussian_moments",
    "length_roots",
    "normals",
    "philox",
    "simulate_propagation",
    "special",
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
    q_error: _Array
    status: NDArray[np.int8]

class _CriticalPoints(TypedDict):
    sigma_w: _Array
    q: _Array
    length_slope: _Array
    stable: NDArray[np.bool_]

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
def log_singular_values(factors: list[_Array]) -> _Array: ...
