"""Jacobian spectra against numpy. Usage: python bench/spectrum.py [--tiny]."""

import sys

import _compare
import _numpy_spectrum as peers
import numpy as np

import meanfree as mf


def agreement(ours, peer, label):
    """Compare densities relatively."""
    return {f"density of {label}, relative": (float(np.max(np.abs(peer / ours - 1.0))), 1e-9)}


def products(run):
    """1,000 points of the density of products of 5 Gaussian layers, from the ensemble on."""
    n = 50 if run.tiny else 1000
    for name in ("linear", "relu"):
        ensemble = mf.critical(name)
        top = mf.jacobian_spectrum(ensemble, 5).maximum
        lam = np.linspace(0.001, 0.999, n) * top

        def ours(ensemble=ensemble, lam=lam):
            return mf.jacobian_spectrum(ensemble, 5).density(lam, n_threads=1, progress=False)

        run.compare(
            f"{name} Gaussian, depth 5: density at {n} points",
            ours,
            {
                "numpy.roots": lambda name=name, lam=lam: peers.roots_density(name, 5, lam),
                "stacked companion matrices": lambda name=name, lam=lam: peers.stacked_density(
                    name, 5, lam
                ),
            },
            agreement,
            goals={"numpy.roots": 150.0},
        )


def tanh(run):
    """1,000 points of the density of 100 orthogonal tanh layers."""
    n = 400 if run.tiny else 1000  # the peer walks from point to point
    line = mf.critical_line("tanh", q=0.16)
    ensemble = mf.Ensemble("tanh", line.sigma_w, line.sigma_b, weights="orthogonal")
    q = mf.fixed_point(ensemble).q
    lengths = np.full(100, q)
    spectrum = mf.jacobian_spectrum(ensemble, 100, q=lengths)
    lam = np.geomspace(spectrum.quantile(1e-3), 0.999 * spectrum.maximum, n)

    def ours():
        return mf.jacobian_spectrum(ensemble, 100, q=lengths).density(
            lam, n_threads=1, progress=False
        )

    run.compare(
        f"tanh orthogonal, depth 100: density at {n} points",
        ours,
        {
            "numpy, point by point": lambda: peers.Tanh(q, line.sigma_w, 100).density(lam),
            "numpy, from a coarse walk": lambda: peers.Tanh(
                q, line.sigma_w, 100
            ).interpolated_density(lam),
        },
        agreement,
        goals={"numpy, point by point": 8.0},
    )


def values(run):
    """What a finished spectrum answers, point by point."""
    n = 50 if run.tiny else 1000
    spectrum = mf.jacobian_spectrum(mf.critical("relu", weights="orthogonal"), 10)
    lam = np.linspace(0.001, 0.999, n) * spectrum.maximum
    p = np.linspace(0.5, 1.0, n)
    for title, function in (
        (f"distribution function at {n} points", lambda: spectrum.cdf(lam, n_threads=1)),
        (f"{n} quantiles", lambda: spectrum.quantile(p, n_threads=1)),
    ):
        run.compare(f"relu orthogonal, depth 10: {title}", function, {}, agreement)


def main():
    run = _compare.start("numpy", "scipy")
    products(run)
    tanh(run)
    values(run)
    return run.finish()


if __name__ == "__main__":
    sys.exit(main())
