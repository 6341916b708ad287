from typing import Any

__all__ = ["build_info"]

def build_info() -> dict[str, Any]: ...
