"""Exact Hessians of networks: matrices, products with vectors, eigenvalues, spectral densities."""

from __future__ import annotations

from meanfree.hessian._density import SpectralDensity
from meanfree.hessian._lanczos import Ritz
from meanfree.hessian._mlp import MLP
from meanfree.hessian._problem import NetworkProblem

__all__ = ["MLP", "NetworkProblem", "Ritz", "SpectralDensity"]
