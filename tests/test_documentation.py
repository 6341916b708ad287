"""The examples of the docstrings and of the README run."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import meanfree as mf

MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(mf.__path__, "meanfree.")
    if not info.name.startswith(("meanfree._core_", "meanfree._cpu"))
)


@pytest.mark.parametrize("name", ["meanfree", *MODULES])
def test_examples_of_docstrings_run(name):
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    result = doctest.testmod(importlib.import_module(name), optionflags=options)
    assert result.failed == 0


def test_examples_of_the_readme_run():
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    assert blocks
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)


def test_everything_public_has_a_docstring():
    missing = [name for name in mf.__all__ if not (getattr(mf, name).__doc__ or "").strip()]
    assert not missing
