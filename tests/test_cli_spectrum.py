"""The command ``meanfree spectrum``."""

import json

import numpy as np
import pytest

import meanfree as mf
from meanfree import cli
from meanfree.cli._spectrum import ks_distance


def run(capsys, *arguments):
    code = cli.main(["spectrum", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_prints_mean_edges_atoms_and_quantiles(capsys):
    code, out, err = run(capsys, "relu", "--depth", "3", "--weights", "orthogonal")
    assert (code, err) == (0, "")
    words = {line.split("  ")[0]: line.split("  ")[-1].strip() for line in out.splitlines()}
    assert words["ensemble"] == "relu, orthogonal weights, depth 3"
    assert words["sigma_w"] == "1.414213562"
    assert float(words["mean"]) == pytest.approx(1, rel=1e-7)
    assert words["bulk"] == "0 to 6.75"
    assert words["atom"] == "0, mass 0.5"
    assert words["largest"].startswith("6.75, s = 2.598")


def test_json_is_what_the_library_says(capsys):
    arguments = "--sigma-w", "1.3", "--sigma-b", "0.2", "--depth", "5"
    _, out, _ = run(capsys, "tanh", *arguments, "--json")
    data = json.loads(out)
    spectrum = mf.jacobian_spectrum(mf.Ensemble("tanh", 1.3, 0.2), 5)
    assert data["mean"] == spectrum.mean
    assert data["edges"] == list(spectrum.edges)
    assert data["log_quantiles"] == spectrum.log_quantile(data["levels"]).tolist()
    assert "measured" not in data
    _, out, _ = run(capsys, "tanh", *arguments, "--q", "3", "--json")
    other = mf.jacobian_spectrum(mf.Ensemble("tanh", 1.3, 0.2), 5, q=3.0)
    assert json.loads(out)["mean"] == other.mean


def test_numbers_beyond_doubles_are_written_by_their_exponent(capsys):
    code, out, _ = run(capsys, "relu", "--sigma-w", "4", "--depth", "1000")
    assert code == 0
    assert "mean               10^903.0" in out


@pytest.mark.parametrize("name", ["tanh", "hard_tanh"])
def test_simulates_beside_theory(capsys, tmp_path, name):
    figure = tmp_path / "spectrum.svg"
    arguments = [name, "--sigma-w", "1.05", "--sigma-b", "0.1", "--weights", "orthogonal"]
    arguments += ["--depth", "3", "--width", "100", "--samples", "4", "--seed", "5"]
    code, out, _ = run(capsys, *arguments, "--out", str(figure))
    assert code == 0
    assert "4 networks of width 100, seed 5" in out
    assert "<svg" in figure.read_text()
    _, out, _ = run(capsys, *arguments, "--json")
    data = json.loads(out)
    measured = data["measured"]
    sample = mf.simulate_jacobian(
        mf.Ensemble(name, 1.05, 0.1, weights="orthogonal"), 100, 3, n_samples=4, seed=5
    )
    mean = np.mean(sample.singular_values**2)
    assert measured["mean"] == pytest.approx(mean, rel=1e-12)
    # q* of a network of width 100 fluctuates, and with it the scale
    assert abs(measured["mean"] - data["mean"]) < 4 * measured["mean_error"] + 0.03
    assert 0 < measured["ks_distance"] < 0.15


def test_distance_to_a_spectrum_with_atoms_counts_them():
    spectrum = mf.universal_spectrum("bernoulli", 0.5)
    log_lam = spectrum.log_quantile((np.arange(200) + 0.5) / 200)
    assert ks_distance(spectrum, log_lam) == pytest.approx(0.0025, abs=1e-9)
    jitter = log_lam + 1e-9 * np.cos(np.arange(200))
    assert ks_distance(spectrum, jitter) == pytest.approx(0.0025, abs=1e-6)
    assert ks_distance(spectrum, log_lam - 100) > 0.9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tahn"], "did you mean 'tanh'"),
        (["tanh", "--depth", "0"], "depth must be an integer in [1, 1000000], got 0"),
        (["tanh", "--weights", "uniform"], "weights must be"),
        (["tanh", "--q", "-1"], "q must be finite and >= 0, got -1.0"),
        (["gelu", "--sigma-w", "2"], "q must be given"),
        (["tanh", "--sigma-w", "-1"], "sigma_w must be"),
        (["tanh", "--width", "0"], "width must be an integer in [1, 2**31 - 1], got 0"),
        (["tanh", "--out", "x.txt"], "--out must be a file that ends in"),
    ],
)
def test_errors_are_one_line(arguments, message, capsys):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (1, "")
    assert message in err
    assert err.count("\n") == 1
