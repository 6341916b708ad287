"""What ``meanfree audit`` reads: a function in a file that builds the model, and the data."""

from __future__ import annotations

import importlib.util
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    import torch

    Data = tuple[torch.Tensor, torch.Tensor | None]


@contextmanager
def _named(what: str, *kinds: type[BaseException]) -> Iterator[None]:
    """Turn an exception of the user's code into one that says in one line where it came from."""
    try:
        yield
    except kinds as error:
        text = " ".join(str(error).split())
        message = f"{what} raised {type(error).__name__}{f': {text}' if text else ''}"
        raise RuntimeError(message) from error


def no_exit(model: str) -> AbstractContextManager[None]:
    """Keep a model that calls ``sys.exit`` while it runs from ending the command."""
    return _named(f"model {model}", SystemExit)


def load_model(where: str) -> torch.nn.Module:
    """Call ``FUNCTION`` of ``FILE.py:FUNCTION`` and return the model that it builds.

    Raises
    ------
    ValueError
        If `where` has another form, or the file lacks the function.
    TypeError
        If the function returns no torch.nn.Module.
    RuntimeError
        If the file or the function raises an exception, SystemExit included.
    """
    import torch

    file, _, name = where.rpartition(":")
    path = Path(file)
    if not file or not name.isidentifier() or path.suffix != ".py":
        message = f"model must be FILE.py:FUNCTION, got {where!r}"
        raise ValueError(message)
    if not path.is_file():
        message = f"model file {file} does not exist"
        raise ValueError(message)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        message = f"model file {file} cannot be imported"
        raise ValueError(message)
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        with _named(f"model file {file}", Exception, SystemExit):
            spec.loader.exec_module(module)
        if not hasattr(module, name):
            message = f"model file {file} has no function {name!r}"
            raise ValueError(message)
        model = getattr(module, name)
        if not isinstance(model, torch.nn.Module):
            with _named(f"model {where}", Exception, SystemExit):
                model = model()
    finally:
        sys.path.remove(str(path.parent.resolve()))
    if not isinstance(model, torch.nn.Module):
        message = f"{where} must return a torch.nn.Module, got {type(model).__name__}"
        raise TypeError(message)
    return model


def load_data(name: str) -> Data:
    """Return inputs and, where the file has them, targets.

    ``digits``; an ``.npy`` array of inputs; an ``.npz`` file with ``x`` and perhaps ``y``; a
    ``.pt`` file with a tensor, a pair or a dictionary with ``x`` and perhaps ``y``.
    """
    import torch

    if name == "digits":
        from meanfree.report.handwriting import small_digits

        pixels, labels = small_digits()
        return torch.from_numpy(pixels), torch.from_numpy(labels)
    path = Path(name)
    if path.suffix not in {".npy", ".npz", ".pt"}:
        message = f"data must be digits or a .npy, .npz or .pt file, got {name!r}"
        raise ValueError(message)
    if not path.is_file():
        message = f"data file {name} does not exist"
        raise ValueError(message)
    content: Any
    if path.suffix == ".pt":
        content = torch.load(path, map_location="cpu", weights_only=True)
    else:
        import numpy as np

        content = np.load(path, allow_pickle=False)
    return _inputs_and_targets(name, content)


def _inputs_and_targets(name: str, content: Any) -> Data:
    import torch

    if isinstance(content, (tuple, list)) and len(content) == 2:
        x, y = content
    elif hasattr(content, "keys"):
        if "x" not in content:
            message = f"data file {name} must hold x (and perhaps y), got {', '.join(content)}"
            raise ValueError(message)
        x, y = content["x"], content.get("y")
    else:
        x, y = content, None
    return torch.as_tensor(x), None if y is None else torch.as_tensor(y)
