"""The compiled core: the best of its builds that is installed and that this processor supports.

The environment variable ``MEANFREE_ISA`` forces one of them.
"""

from importlib import import_module
from importlib.util import find_spec
from os import environ
from types import ModuleType

from meanfree._cpu import levels


def _choose() -> ModuleType:
    supported = levels()
    present = [name for name in supported if find_spec(f"meanfree._core_{name}")]
    forced = environ.get("MEANFREE_ISA", "")
    if forced and forced not in present:
        msg = (
            f"MEANFREE_ISA must be one of {', '.join(present) or '(none)'}, got {forced!r}: this "
            f"processor supports {', '.join(supported)}, and of these are installed: "
            f"{', '.join(present) or 'none'}"
        )
        raise ImportError(msg)
    if not present:
        msg = f"no build of the core for this processor, which supports {', '.join(supported)}"
        raise ImportError(msg)
    return import_module(f"meanfree._core_{forced or present[-1]}")


_module = _choose()
__all__ = sorted(name for name in vars(_module) if not name.startswith("_"))  # noqa: PLE0605
globals().update({name: getattr(_module, name) for name in __all__})
