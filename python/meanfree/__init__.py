"""Mean-field theory and simulation of deep networks."""

from meanfree._core import build_info

__all__ = ["build_info"]
__version__ = build_info()["version"]
