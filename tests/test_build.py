import os
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

import meanfree as mf
from meanfree._cpu import levels

PRESENT = [level for level in levels() if find_spec(f"meanfree._core_{level}")]


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name != "MEANFREE_ISA"}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=clean | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_levels_are_in_ascending_order():
    assert levels() in {("generic",), ("v1",), ("v1", "v3"), ("v1", "v3", "v4")}


@pytest.mark.parametrize("level", PRESENT)
def test_environment_forces_an_instruction_set(level):
    code = "import meanfree; print(meanfree.build_info()['isa'])"
    assert python(code, MEANFREE_ISA=level).stdout.split() == [level]


def test_best_instruction_set_is_chosen_when_none_is_forced():
    code = "import meanfree; print(meanfree.build_info()['isa'])"
    assert python(code).stdout.split() == [PRESENT[-1]]
    assert python(code, MEANFREE_ISA="").stdout.split() == [PRESENT[-1]]


def test_unknown_instruction_set_is_refused_by_name():
    result = python("import meanfree", MEANFREE_ISA="v9")
    assert result.returncode == 1
    assert f"ImportError: MEANFREE_ISA must be one of {', '.join(PRESENT)}, got 'v9'" in (
        result.stderr
    )


def test_build_info_says_what_is_in_use():
    info = mf.build_info()
    assert set(info) == {"version", "isa", "compiler", "eigen"}
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert info["version"] == mf.__version__ == project["version"]
    assert info["isa"] in PRESENT
    assert info["compiler"].startswith(("gcc ", "clang "))
    assert int(info["eigen"].split(".")[0]) >= 3


def test_import_loads_numpy_and_the_core_only():
    code = "import sys, meanfree; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = set(python(code).stdout.split())
    assert "numpy" in loaded
    heavy = {"scipy", "torch", "matplotlib", "typer", "pandas", "tqdm", "xarray", "sklearn", "rich"}
    assert not loaded & heavy


def test_both_modules_of_two_instruction_sets_work_in_one_process():
    names = ", ".join(f"_core_{level}" for level in PRESENT)
    code = f"from meanfree import {names}; print(*[m.build_info()['isa'] for m in [{names}]])"
    assert python(code).stdout.split() == PRESENT
