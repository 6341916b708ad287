"""Statistical mechanics of deep learning: theory, simulation and real networks."""

from typing import TYPE_CHECKING, Any

from meanfree._core import ConvergenceError, build_info
from meanfree.activations import Activation, activation
from meanfree.ensemble import Ensemble
from meanfree.manifold import circle_autocorrelation, circle_theory, simulate_circle
from meanfree.meanfield import (
    correlation_map,
    correlation_slope,
    covariance_map,
    critical,
    critical_line,
    fixed_point,
    length_map,
    phase_diagram,
    propagate,
    propagate_gradient,
    simulate_propagation,
)
from meanfree.spectrum import (
    jacobian_spectrum,
    log_singular_values,
    rectangular_spectrum,
    residual_spectrum,
    simulate_jacobian,
    tune_critical,
    universal_spectrum,
)

if TYPE_CHECKING:
    from meanfree import hessian as hessian
    from meanfree import landscape as landscape
    from meanfree import linear as linear
    from meanfree import network as network
    from meanfree import optim as optim
    from meanfree import semantics as semantics
    from meanfree.network import audit

__all__ = [
    "Activation",
    "ConvergenceError",
    "Ensemble",
    "activation",
    "audit",
    "build_info",
    "circle_autocorrelation",
    "circle_theory",
    "correlation_map",
    "correlation_slope",
    "covariance_map",
    "critical",
    "critical_line",
    "fixed_point",
    "jacobian_spectrum",
    "length_map",
    "log_singular_values",
    "phase_diagram",
    "propagate",
    "propagate_gradient",
    "rectangular_spectrum",
    "residual_spectrum",
    "simulate_circle",
    "simulate_jacobian",
    "simulate_propagation",
    "tune_critical",
    "universal_spectrum",
]
__version__: str = build_info()["version"]

ConvergenceError.__module__ = __name__  # each build of the core has its own
ConvergenceError.__doc__ = """Raised where an iteration or a quadrature does not settle."""

_LATE = {"audit": "meanfree.network"}  # not everybody needs what their modules import


def __getattr__(name: str) -> Any:
    """Import on first use what needs more than numpy, or is not everybody's."""
    from importlib import import_module

    if name in {"hessian", "landscape", "linear", "network", "optim", "semantics"}:
        return import_module(f"meanfree.{name}")
    if name in _LATE:
        value = getattr(import_module(_LATE[name]), name)
        globals()[name] = value
        return value
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    """List the late names too."""
    return sorted({*globals(), *__all__})
