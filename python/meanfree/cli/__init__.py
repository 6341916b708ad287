"""The command line, ``meanfree``."""

from __future__ import annotations

from meanfree.cli._main import main

__all__ = ["main"]
