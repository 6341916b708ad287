"""Mean-field fixed points against vectorised numpy. Usage: python bench/meanfield.py [--tiny]."""

import sys

import _compare
import _numpy_meanfield as peers
import numpy as np

import meanfree as mf
from meanfree import _core


def relative(ours, peer, error=1.0):
    """Return the largest difference in units of max(1, abs(ours)) error; nan and inf must match."""
    ours, peer = np.ravel(ours), np.ravel(peer)
    with np.errstate(invalid="ignore"):
        difference = np.abs(ours - peer) / (np.maximum(1.0, np.abs(ours)) * np.ravel(error))
    same = (ours == peer) | (np.isnan(ours) & np.isnan(peer))
    return float(np.max(np.where(same, 0.0, difference)))


def amplification(slope):
    """Return by how much the fixed point of a map of this slope amplifies errors of the map."""
    return np.maximum(1.0, 1.0 / np.maximum(np.abs(1.0 - np.ravel(slope)), 1e-12))


def diagram_agreement(ours, peer, _label):
    """Compare q*, chi_1, c* and xi_c with what 1e-10 in the maps allows."""
    q, chi_1, c, chi_c = peer
    with np.errstate(divide="ignore", invalid="ignore"):
        xi_c = -1.0 / np.log(np.abs(chi_c))
    of_q = np.where(
        np.isfinite(ours.q), amplification(ours.length_slope).reshape(ours.q.shape), 1.0
    )
    of_c = np.nan_to_num(amplification(ours.chi_c), nan=1.0)
    settled = np.isfinite(ours.c.ravel())
    # a critical cell has xi_c = inf, and no two roundings agree on it
    regular = settled & (of_c < 1e9)
    return {
        "q*": (relative(ours.q, q, of_q), 1e-10),
        "chi_1": (relative(ours.chi_1, chi_1, of_q), 1e-10),
        "c*": (relative(ours.c, c, of_c * of_q.ravel()), 1e-10),
        "xi_c": (
            relative(ours.xi_c.ravel()[regular], xi_c[regular], (of_c * of_q.ravel())[regular]),
            1e-10,
        ),
    }


def phase_diagrams(run):
    """All of q*, chi_1, c*, xi_c at 1e-10."""
    n = 8 if run.tiny else 100
    sigma_w, sigma_b = np.linspace(1.0, 5.0, n), np.linspace(0.0, 4.0, n)

    def ours(name):
        return lambda: mf.phase_diagram(name, sigma_w, sigma_b, n_threads=1, progress=False)

    run.compare(
        f"tanh phase diagram, {n} x {n}, sigma_w 1 to 5, sigma_b 0 to 4",
        ours("tanh"),
        {"numpy": lambda: peers.tanh_diagram(sigma_w, sigma_b)},
        diagram_agreement,
        goals={"numpy": 15.0},
        limit=0.6,
    )
    for name, form in peers.CLOSED_FORMS.items():
        run.compare(
            f"{name} phase diagram, {n} x {n}, by closed form",
            ours(name),
            {"numpy": lambda form=form: peers.closed_form_diagram(form, sigma_w, sigma_b)},
            diagram_agreement,
            goals={"numpy": 2.0},
        )


def lengths(run):
    """Only q* and chi_1, against the usual Gauss-Hermite nodes."""
    n = 8 if run.tiny else 200
    sigma_w, sigma_b = np.linspace(0.5, 4.0, n), np.linspace(0.001, 1.0, n)
    w, b = (np.ascontiguousarray(a.ravel()) for a in np.meshgrid(sigma_w, sigma_b, indexing="ij"))
    tanh = ("tanh", 0.0)

    def ours():
        return _core.fixed_points(tanh, w, b, 1.0, 1, None, correlations=False, interpolate=True)

    def agreement(found, peer, label):
        allowed = np.inf if label.startswith("numpy, 64") else 1e-10  # known to be wrong
        gain = amplification(found["length_slope"])
        return {
            f"q* of {label}, relative": (relative(found["q"], peer[0], gain), allowed),
            f"chi_1 of {label}": (
                float(
                    np.max(np.abs(peer[1] / found["chi_1"] - 1.0) / (gain if allowed < 1 else 1.0))
                ),
                allowed,
            ),
        }

    def accurate():
        weight, bias = peers.grid(sigma_w, sigma_b)
        q = peers.tanh_lengths(weight, bias)
        return q, weight * peers.tanh_averages(q, slopes=True)[2]

    run.compare(
        f"tanh q*, chi_1, {n} x {n}, sigma_w 0.5 to 4, sigma_b 0.001 to 1",
        ours,
        {
            "numpy, 64 Gauss-Hermite nodes": lambda: peers.gauss_hermite_lengths(sigma_w, sigma_b),
            "numpy, midpoint rule and table": accurate,
        },
        agreement,
        goals={"numpy, 64 Gauss-Hermite nodes": 5.0},
    )


def users_function(run):
    """A tanh of the user's own against the built-in one."""
    n = 3 if run.tiny else 20
    sigma_w, sigma_b = np.linspace(1.0, 5.0, n), np.linspace(0.0, 4.0, n)
    own = mf.Activation(
        np.tanh,
        derivative=lambda x: 1.0 - np.tanh(x) ** 2,
        second_derivative=lambda x: -2.0 * np.tanh(x) * (1.0 - np.tanh(x) ** 2),
    )

    def diagram(phi):
        return lambda: mf.phase_diagram(phi, sigma_w, sigma_b, n_threads=1, progress=False)

    def agreement(built_in, users, label):
        found = (users.q, users.chi_1, users.c, users.chi_c)
        return {
            key: (error, 1e-9)
            for key, (error, _) in diagram_agreement(
                built_in, [a.ravel() for a in found], label
            ).items()
        }

    run.compare(
        f"tanh phase diagram, {n} x {n}: built in, and as three Python functions",
        diagram("tanh"),
        {"user's function": diagram(own)},
        agreement,
    )


def main():
    run = _compare.start("numpy", "scipy")
    phase_diagrams(run)
    lengths(run)
    users_function(run)
    return run.finish()


if __name__ == "__main__":
    sys.exit(main())
