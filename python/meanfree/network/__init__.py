"""Audit of real networks: what theory says of a torch model, beside what it does."""

from __future__ import annotations

from meanfree.network._entry import as_mlp, audit, initialize
from meanfree.network._parts import Compared, LayerAudit
from meanfree.network._result import Audit

__all__ = ["Audit", "Compared", "LayerAudit", "as_mlp", "audit", "initialize"]
