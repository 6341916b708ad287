import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import meanfree as mf
from meanfree import cli
from meanfree.report import engine
from meanfree.report.comparison import Comparison
from meanfree.report.style import canvas


def run(capsys, *arguments):
    code = cli.main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def chapter(theory=1.0, error=None, number=1):
    def figures(settings):
        if error is not None:
            raise error
        numbers = [Comparison("x", theory, 1.0, 0.001, 0.0, "", 100)]
        yield engine.Figure("a", "One", canvas()[0], "", "", numbers)

    return engine.Chapter(number, f"toy{number}", "Toy", "", (), figures)


@pytest.fixture
def chapters(monkeypatch):
    def install(*items):
        monkeypatch.setattr(engine, "load_chapters", lambda: list(items))

    return install


# --- usage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [[], ["report"], ["audit"], ["critical"], ["phase"], ["spectrum"], ["build-info"]],
)
def test_every_command_has_help(command, capsys):
    code, out, _ = run(capsys, *command, "--help")
    assert code == 0
    assert "Usage: meanfree" in out
    if not command:
        assert all(name in out for name in ("report", "audit", "critical", "phase", "build-info"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["report", "--nonsense"],
        ["report", "--seed", "-1"],
        ["report", "--seed", str(2**64)],
        ["audit", "model.py:build", "--data", "digits", "--seed", str(2**64)],
        ["report", "--threads", "0"],
        ["critical"],
        ["audit", "model.py:build"],
    ],
)
def test_wrong_usage_is_exit_code_1(arguments, capsys):
    code, out, err = run(capsys, *arguments)
    assert code == 1
    assert out == ""
    assert "Error" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["critical", "tahn"], "did you mean 'tanh'"),
        (["critical", "softplus"], "softplus"),
        (["critical", "tanh", "--sigma-b", "-1"], "sigma_b must be"),
        (["critical", "tanh", "--weights", "uniform"], "weights must be"),
        (["phase", "tanh", "--sigma-w", "3:1"], "--sigma-w must be a number, low:high"),
        (["phase", "tanh", "--sigma-w", "1:inf"], "--sigma-w must be a number, low:high"),
        (["phase", "tanh", "--sigma-b", "0:1:x"], "--sigma-b must be a number, low:high"),
        (
            ["phase", "tanh", "--sigma-w", "1:2:1000000000"],
            "--sigma-w must have a count in [2, 10000], got 1000000000",
        ),
        (["phase", "tanh", "--sigma-w", "1:2:inf"], "--sigma-w must be a number, low:high"),
        (["phase", "tanh", "--out", "x.xyz"], "--out must be a file that ends in .png, .pdf, .svg"),
        (["phase", "tanh", "--out", "absent/x.png"], "in a folder that exists, got"),
        (
            ["audit", "no_such.py:f", "--data", "digits", "--out", "x"],
            "--out must be a file that ends in .png, .pdf, .svg",
        ),
        (["phase", "tanh", "--sigma-w", "nan", "--sigma-b", "0"], "sigma_w must be"),
        (
            ["phase", "tanh", "--sigma-w", "1", "--sigma-b", "0", "--out", "x.png"],
            "--out needs a range",
        ),
        (["report", "--only", "77"], "only must name a chapter"),
        (["audit", "model.txt", "--data", "digits"], "model must be FILE.py:FUNCTION"),
        (["audit", "no_such.py:f", "--data", "digits"], "no_such.py does not exist"),
    ],
)
def test_error_of_the_library_is_one_line_and_exit_code_1(arguments, message, capsys):
    code, out, err = run(capsys, *arguments)
    assert code == 1
    assert out == ""
    assert message in err
    assert err.startswith("meanfree: ")
    assert err.count("\n") == 1


def test_error_of_a_seed_names_its_range(capsys):
    _, _, err = run(capsys, "report", "--seed", str(2**64))
    assert "--seed" in err
    assert f"must be an integer in [0, 2**64 - 1], got {2**64}" in err


def test_package_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "meanfree", "build-info", "--json"], check=True, capture_output=True
    )
    assert json.loads(done.stdout) == mf.build_info()


@pytest.mark.parametrize(
    "arguments",
    [
        ["critical", "tanh"],
        ["build-info"],
        ["phase", "tanh", "--sigma-w", "1", "--sigma-b", "0"],
        ["phase", "tanh", "--sigma-w", "1:2:3", "--sigma-b", "0:1:3"],
    ],
)
def test_quiet_prints_the_result(arguments, capsys):
    _, loud, _ = run(capsys, *arguments)
    code, out, err = run(capsys, *arguments, "--quiet")
    assert (code, out, err) == (0, loud, "")


def test_help_does_not_load_what_is_slow():
    code = (
        "import sys\nfrom meanfree.cli import main\nassert main(['--help']) == 0\n"
        "slow = {'scipy', 'matplotlib', 'torch', 'sklearn', 'pandas'} & set(sys.modules)\n"
        "assert not slow, slow"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


# --- report --------------------------------------------------------------------------------------


def test_report_that_agrees_is_exit_code_0(chapters, capsys, tmp_path):
    chapters(chapter())
    code, out, err = run(capsys, "report", "--out", str(tmp_path / "r"), "--seed", "7")
    assert (code, err) == (0, "")
    assert "seed 7" in out
    assert "1a  One" in out
    assert "1 comparisons" in out
    assert (tmp_path / "r" / "index.html").exists()


def test_verdict_that_fails_is_exit_code_3(chapters, capsys, tmp_path):
    chapters(chapter(), chapter(theory=1.1, number=2))
    code, out, _ = run(capsys, "report", "--out", str(tmp_path))
    assert code == 3
    assert "1 DISAGREE" in out


@pytest.mark.parametrize(
    ("error", "expected"),
    [(mf.ConvergenceError("did not converge"), 2), (ValueError("bad value"), 1)],
)
def test_chapter_that_fails_sets_the_exit_code(error, expected, chapters, capsys, tmp_path):
    chapters(chapter(error=error), chapter(number=2))
    code, out, err = run(capsys, "report", "--out", str(tmp_path))
    assert code == expected
    assert "2a  One" in out
    assert str(error) in err


def test_report_prints_json_only_if_asked(chapters, capsys, tmp_path):
    chapters(chapter())
    code, out, _ = run(capsys, "report", "--out", str(tmp_path), "--json")
    assert code == 0
    assert json.loads(out)["summary"]["comparisons"] == 1


def test_quiet_report_prints_the_summary_only(chapters, capsys, tmp_path):
    chapters(chapter())
    _, out, _ = run(capsys, "report", "--out", str(tmp_path), "--quiet")
    assert out.count("\n") == 1


def test_folder_of_the_report_that_cannot_be_made_is_named(chapters, capsys, tmp_path):
    chapters(chapter())
    (tmp_path / "file").touch()
    code, out, err = run(capsys, "report", "--out", str(tmp_path / "file"))
    assert (code, out) == (1, "")
    assert err.startswith("meanfree: --out must be a folder that can be made, got ")


def test_only_runs_the_chapters_named(chapters, capsys, tmp_path):
    chapters(chapter(), chapter(number=2))
    _, out, _ = run(capsys, "report", "--out", str(tmp_path), "--only", "2")
    assert "2a" in out
    assert "1a" not in out


def test_interrupt_is_exit_code_130(chapters, capsys, tmp_path):
    chapters(chapter(error=KeyboardInterrupt()))
    code, _, err = run(capsys, "report", "--out", str(tmp_path))
    assert code == 130
    assert "interrupted" in err


def test_interrupt_of_the_compiled_core_is_exit_code_130():
    arguments = ["phase", "tanh", "--sigma-w", "1:5:4000", "--sigma-b", "0:4:4000"]
    code = (
        "import signal, sys; from meanfree.cli import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"print('ready', flush=True); sys.exit(main({arguments}))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"TQDM_DISABLE": "1"},
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        time.sleep(1.0)
        assert child.poll() is None, "the command was too short to be interrupted"
        child.send_signal(signal.SIGINT)
        try:
            assert child.wait(timeout=5.0) == 130
        finally:
            child.kill()


# --- critical, phase, build-info -----------------------------------------------------------------


def test_critical_prints_what_the_library_says(capsys):
    code, out, _ = run(capsys, "critical", "tanh", "--sigma-b", "0.3")
    assert code == 0
    assert "1.39558397" in out
    assert "calculate_gain('tanh') = 1.667 with sigma_b = 0 is chaotic: chi_1 = 1.2098" in out


def test_critical_orthogonal_as_json(capsys):
    _, out, _ = run(
        capsys, "critical", "gelu", "--sigma-b", "0.5", "--weights", "orthogonal", "--json"
    )
    data = json.loads(out)
    assert data["weights"] == "orthogonal"
    assert data["sigma_w"] == mf.critical("gelu", 0.5).sigma_w
    assert data["chi_1"] == pytest.approx(1, abs=1e-10)


def test_phase_of_one_point(capsys):
    code, out, _ = run(capsys, "phase", "tanh", "--sigma-w", "2.5", "--sigma-b", "0.3", "--json")
    assert code == 0
    data = json.loads(out)
    assert data["q"] == pytest.approx(4.07912388, rel=1e-8)
    assert data["c"] == pytest.approx(0.12210375, rel=1e-6)
    assert data["phase"] == "chaotic"


def test_phase_map_as_text_json_and_picture(capsys, tmp_path):
    ranges = "--sigma-w", "0.5:3:6", "--sigma-b", "0:1:3"
    code, out, _ = run(capsys, "phase", "tanh", *ranges, "--out", str(tmp_path / "phase.png"))
    assert code == 0
    assert (tmp_path / "phase.png").read_bytes().startswith(b"\x89PNG")
    assert "chaotic" in out.splitlines()[0]
    _, out, _ = run(capsys, "phase", "tanh", *ranges, "--json")
    data = json.loads(out)
    assert np.shape(data["q"]) == (6, 3)
    expected = mf.phase_diagram("tanh", np.linspace(0.5, 3, 6), np.linspace(0, 1, 3))
    assert data["phase"] == expected.phase.tolist()


def test_build_info(capsys):
    _, out, _ = run(capsys, "build-info", "--json")
    assert json.loads(out) == mf.build_info()
    _, out, _ = run(capsys, "build-info")
    assert mf.build_info()["isa"] in out


# --- audit ---------------------------------------------------------------------------------------

MODEL = """
import torch

def build():
    torch.manual_seed(0)
    layers = [torch.nn.Linear(8, 40), torch.nn.Tanh(), torch.nn.Linear(40, 40), torch.nn.Tanh()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(40, 3))

def nothing():
    return None

def leaves():
    raise SystemExit(0)

def fails():
    raise KeyError("first\\nsecond")

class Leaves(torch.nn.Sequential):
    def forward(self, x):
        raise SystemExit(0)

def leaves_later():
    return Leaves(torch.nn.Linear(8, 3))
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "small_model.py").write_text(MODEL)
    random = np.random.default_rng(0)
    x, y = random.standard_normal((10, 8)), random.integers(0, 3, 10)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    np.save(tmp_path / "inputs.npy", x)
    np.savez(tmp_path / "other.npz", inputs=x)
    yield tmp_path
    sys.modules.pop("small_model", None)


@pytest.mark.parametrize("data", ["data.npz", "inputs.npy"])
def test_audit_of_a_model_in_a_file(folder, data, capsys):
    arguments = "audit", f"{folder}/small_model.py:build", "--data", f"{folder}/{data}"
    code, out, err = run(capsys, *arguments, "--samples", "8", "--out", f"{folder}/audit.png")
    assert (code, err) == (0, "")
    assert "3 of 3 layers modelled" in out
    assert (folder / "audit.png").read_bytes().startswith(b"\x89PNG")
    _, out, _ = run(capsys, *arguments, "--samples", "8", "--json")
    assert len(json.loads(out)["layers"]) == 3


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        ("absent", "data.npz", "has no function 'absent'"),
        ("nothing", "data.npz", "must return a torch.nn.Module, got NoneType"),
        ("leaves", "data.npz", "small_model.py:leaves raised SystemExit: 0"),
        ("leaves_later", "data.npz", "small_model.py:leaves_later raised SystemExit: 0"),
        ("fails", "data.npz", "small_model.py:fails raised KeyError: 'first"),
        ("build", "absent.npz", "does not exist"),
        ("build", "other.npz", "must hold x"),
        ("build", "data.csv", "data must be digits or a .npy, .npz or .pt file"),
    ],
)
def test_bad_model_or_data_is_named(folder, model, data, message, capsys):
    code, _, err = run(
        capsys, "audit", f"{folder}/small_model.py:{model}", "--data", f"{folder}/{data}"
    )
    assert code == 1
    assert message in err
    assert err.count("\n") == 1


def test_model_file_that_exits_is_named(folder, capsys):
    (folder / "small_model.py").write_text("raise SystemExit")
    code, _, err = run(
        capsys, "audit", f"{folder}/small_model.py:build", "--data", f"{folder}/data.npz"
    )
    assert code == 1
    assert err == f"meanfree: model file {folder}/small_model.py raised SystemExit\n"


def test_audit_reads_torch_files(folder, capsys):
    import torch

    torch.save({"x": torch.ones(4, 8), "y": torch.zeros(4, dtype=torch.int64)}, folder / "d.pt")
    code, out, _ = run(
        capsys,
        "audit",
        f"{folder}/small_model.py:build",
        "--data",
        f"{folder}/d.pt",
        "--samples",
        "4",
    )
    assert code in {0, 3}
    assert "4 inputs" in out
