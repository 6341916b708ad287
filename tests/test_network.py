import copy
import json
import random
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

import meanfree as mf
from meanfree.network import Audit, initialize

torch = pytest.importorskip("torch")
nn = torch.nn
F = nn.functional


def mlp(activation, *widths, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = []
        for fan_in, fan_out in pairwise(widths):
            layers += [nn.Linear(fan_in, fan_out), activation()]
        return nn.Sequential(*layers[:-1])


def batch(n=12, n_features=20, seed=0):
    return np.random.default_rng(seed).normal(size=(n, n_features))


def disagreements(result):
    return [layer.name for layer in result.layers if layer.verdict != "agrees"]


class Functional(nn.Module):
    """A user's module: activations, flattening and dropout as functions."""

    def __init__(self, function, width=64):
        super().__init__()
        self.function = function
        self.first, self.second = nn.Linear(20, width), nn.Linear(width, width)
        self.last = nn.Linear(width, 3)

    def forward(self, x):
        x = torch.flatten(x, 1)
        x = F.dropout(self.function(self.first(x)), 0.5, self.training)
        return self.last(self.function(self.second(x)))


# --- theory against measurement -------------------------------------------------------------


# 12 inputs, 24 draws; a verdict allows 4 standard errors + the printed bound.
@pytest.mark.parametrize(
    "activation",
    [
        nn.Tanh,
        nn.ReLU,
        lambda: nn.LeakyReLU(0.2),
        nn.Hardtanh,
        nn.Sigmoid,
        nn.GELU,
        lambda: nn.GELU(approximate="tanh"),
        nn.SiLU,
        lambda: nn.ELU(0.7),
        nn.SELU,
        nn.Softplus,
        nn.Identity,
    ],
)
@pytest.mark.parametrize("classes", [False, True])
def test_theory_agrees_for_every_activation(activation, classes):
    model = mlp(activation, 20, *[80] * 5, 10)
    targets = np.arange(12) % 10 if classes else None
    result = mf.audit(model, batch(), targets=targets, n_samples=24, seed=1)
    assert disagreements(result) == []
    assert result.coverage == "6 of 6 layers modelled, 0 measured only, 0 skipped"


def test_squared_errors_of_values_agree():
    model = mlp(nn.Tanh, 20, *[96] * 5, 3)
    targets = np.random.default_rng(1).normal(size=(12, 3))
    result = mf.audit(model, batch(), targets=targets, n_samples=24, seed=1)
    assert disagreements(result) == []
    assert "squared error" in result.loss


def test_z_scores_have_unit_size_where_the_bound_is_small():
    model = mlp(nn.Tanh, 20, *[128] * 6, 10)  # torch's default: ordered, q small
    z = []
    for seed in range(6):
        result = mf.audit(model, batch(seed=seed), n_samples=30, seed=seed)
        z += [[layer.q.z, layer.gradient.z] for layer in result.layers]
    rms = np.sqrt(np.mean(np.square(z)))
    # 84 numbers, about 40 of them independent: the rms of 40 normals lies in 1 +- 4 / sqrt(80)
    assert 0.55 < rms < 1.45


def test_bound_covers_what_finite_width_does_to_orthogonal_networks():
    model = initialize(
        mlp(nn.Tanh, 32, *[32] * 10, 8), mf.critical("tanh", weights="orthogonal"), seed=0
    )
    result = mf.audit(model, batch(8, 32), n_samples=300, seed=0)
    assert all(layer.weights == "orthogonal" for layer in result.layers)
    assert disagreements(result) == []
    # the test is sharp enough to see the order 1/width, which is what the bound is for
    assert max(layer.q.z for layer in result.layers[1:-1]) > 6
    assert max(layer.q.bound / layer.q.theory for layer in result.layers) < 0.15


def test_wrong_theory_is_noticed():
    model = mlp(nn.Sigmoid, 20, *[64] * 5, 10)

    def biased(twin, seed):  # weights whose mean is not zero: not what theory assumes
        source = torch.Generator().manual_seed(seed)
        for module in twin.modules():
            if isinstance(module, nn.Linear):
                scale = module.in_features**-0.5
                nn.init.normal_(module.weight, mean=scale, std=scale, generator=source)

    result = mf.audit(model, batch(), n_samples=10, seed=0, initialize=biased)
    assert "disagrees" in {layer.verdict for layer in result.layers}
    assert any("disagree" in text for text in result.findings)


def test_lengths_are_those_of_the_length_map():
    model = mlp(nn.GELU, 20, 64, 64, 64, 5)
    x = batch(1)
    layers = mf.audit(model, x, n_samples=2, seed=0).layers
    q = layers[0].sigma_w ** 2 * float(np.mean(x**2)) + layers[0].sigma_b ** 2
    for layer in layers:
        assert layer.q.theory == pytest.approx(q, rel=1e-12)
        if layer is not layers[-1]:
            following = layers[layers.index(layer) + 1]
            q = mf.length_map(mf.Ensemble("gelu", following.sigma_w, following.sigma_b), q)


def test_single_input_gradient_is_the_product_of_slopes():
    model = mlp(nn.Tanh, 20, 64, 64, 5)
    layers = mf.audit(model, batch(1), n_samples=2, seed=0).layers
    e = [mf.Ensemble("tanh", layer.sigma_w, layer.sigma_b) for layer in layers]
    chi = [mf.correlation_slope(e[i + 1], 1.0, q=layers[i].q.theory) for i in range(2)]
    square = [(layers[i].q.theory - e[i].sigma_b ** 2) / e[i].sigma_w ** 2 for i in range(3)]
    ratio = layers[0].gradient.theory / layers[2].gradient.theory
    expected = chi[0] * chi[1] * (20 * square[0]) / (64 * square[2])
    assert ratio == pytest.approx(expected, rel=1e-10)


def test_measurement_is_what_autograd_says_of_the_model():
    model = mlp(nn.Tanh, 20, 30, 4).double()
    x, targets = torch.from_numpy(batch()), torch.arange(12) % 4
    result = mf.audit(
        model, x, targets=targets, n_samples=2, seed=0, initialize=lambda twin, seed: None
    )
    F.cross_entropy(model(x), targets).backward()
    for layer, module in zip(result.layers, (model[0], model[2]), strict=True):
        assert layer.gradient.measured == pytest.approx(
            float(module.weight.grad.square().sum()), rel=1e-10
        )
    assert result.layers[0].q.measured == pytest.approx(float(model[0](x).detach().square().mean()))


@pytest.mark.slow
def test_fifty_default_tanh_layers_agree_over_twenty_orders_of_magnitude():
    model = mlp(nn.Tanh, 64, *[256] * 50, 10)
    result = mf.audit(model, batch(200, 64), targets=np.arange(200) % 10, n_samples=40, seed=3)
    assert disagreements(result) == []
    first, last = (result.layers[i].gradient.theory for i in (0, -1))
    assert first / last < 1e-19
    assert result.phase == "ordered"


# --- what is left alone ---------------------------------------------------------------------


def everything(model):
    state = {name: value.clone() for name, value in model.state_dict().items()}
    grads = [p.grad if p.grad is None else p.grad.clone() for p in model.parameters()]
    flags = [(m.training, dict(m._forward_hooks), list(vars(m))) for m in model.modules()]
    needs = [p.requires_grad for p in model.parameters()]
    identity = [id(p) for p in model.parameters()]
    return state, grads, flags, needs, identity


def same(one, two):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[k], two[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(same, one, two))
    return one == two


def random_state():
    return torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002


class Interrupts:
    def __init__(self, error, after):
        self.error, self.left = error, after

    def __call__(self, output, targets):
        self.left -= 1
        if self.left < 0:
            raise self.error
        return F.cross_entropy(output, targets)


def loaded_model():
    """Batch normalisation in training mode, dropout, gradients, a frozen layer and a hook."""
    model = nn.Sequential(
        nn.Linear(20, 16), nn.BatchNorm1d(16), nn.Dropout(), nn.Tanh(), nn.Linear(16, 4)
    )
    model(torch.ones(3, 20)).square().sum().backward()
    model[0].weight.requires_grad_(False)
    model.calls = []
    model[0].register_forward_hook(lambda *_: model.calls.append(1))
    return model


@pytest.mark.parametrize("error", [None, ZeroDivisionError("x"), KeyboardInterrupt()])
def test_model_and_random_numbers_are_left_as_they_were(error):
    model = loaded_model()
    before, numbers, threads = everything(model), random_state(), torch.get_num_threads()
    arguments = {"targets": np.arange(6) % 4, "n_samples": 4, "seed": 0}
    if error is None:
        mf.audit(model, batch(6), **arguments)
    else:
        with pytest.raises(type(error)):
            mf.audit(model, batch(6), loss=Interrupts(error, 2), **arguments)
    assert same(before, everything(model))
    assert same(numbers, random_state())
    assert torch.get_num_threads() == threads
    assert model.calls == []


def test_global_random_numbers_of_a_users_initialiser_are_restored():
    def careless(twin, seed):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        random.seed(seed)
        for module in twin.modules():
            if isinstance(module, nn.Linear):
                nn.init.orthogonal_(module.weight)
                nn.init.zeros_(module.bias)

    numbers = random_state()
    model = mlp(nn.Tanh, 20, 40, 40, 4)
    result = mf.audit(model, batch(), n_samples=5, seed=0, initialize=careless)
    assert same(numbers, random_state())
    assert [layer.weights for layer in result.layers] == ["orthogonal"] * 3
    assert result.layers[1].sigma_w == pytest.approx(1.0, abs=1e-12)


def test_inputs_and_no_grad_block_are_left_as_they_were():
    x = torch.ones(4, 20, requires_grad=True)
    with torch.no_grad():
        mf.audit(mlp(nn.ReLU, 20, 8, 2), x, n_samples=2, seed=0)
        assert not torch.is_grad_enabled()
    assert x.grad is None


def test_result_is_a_function_of_the_seed_alone():
    model, x = mlp(nn.Tanh, 20, 32, 32, 4), batch()
    one = mf.audit(model, x, n_samples=3, seed=5, n_threads=1).to_dict()
    torch.rand(7)
    assert mf.audit(model, x, n_samples=3, seed=5, n_threads=2).to_dict() == one
    assert mf.audit(model, x, n_samples=3, seed=6).to_dict() != one


def test_first_draws_do_not_depend_on_how_many_follow():
    seen = []
    for n in (2, 4):
        rows = []
        model = mlp(nn.Tanh, 20, 8, 2)
        mf.audit(
            model, batch(), loss=lambda out, rows=rows: rows.append(out) or out.sum(),
            n_samples=n, seed=0,
        )  # fmt: skip
        seen.append(torch.stack(rows[:2]))
    assert torch.equal(*seen)


# --- reading models -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (torch.tanh, "tanh"),
        (torch.Tensor.tanh, "tanh"),
        (F.relu, "relu"),
        (lambda h: F.relu(h, inplace=True), "relu"),
        (lambda h: h.relu_(), "relu"),
        (lambda h: h.clamp(min=0), "relu"),
        (lambda h: torch.clamp(h, -1, 1), "hard_tanh"),
        (lambda h: F.leaky_relu(h, 0.1), "leaky_relu(negative_slope=0.1)"),
        (lambda h: F.gelu(h, approximate="tanh"), "gelu_tanh"),
        (lambda h: F.elu(h, alpha=0.5), "elu(alpha=0.5)"),
        (F.softplus, "softplus"),
        (torch.erf, "erf"),
        (torch.sin, "sin"),
        (torch.atan, "arctan"),
    ],
)
def test_functional_activations_are_recognised(function, name):
    result = mf.audit(Functional(function), batch().reshape(12, 4, 5), n_samples=20, seed=2)
    assert [layer.activation for layer in result.layers] == [name, name, ""]
    assert [layer.name for layer in result.layers] == ["first", "second", "last"]
    assert disagreements(result) == []


@pytest.mark.parametrize(
    "function", [F.mish, lambda h: F.softplus(h, beta=2), lambda h: torch.tanh(torch.tanh(h))]
)
def test_theory_restarts_after_what_it_does_not_know(function):
    result = mf.audit(Functional(function), batch(), n_samples=12, seed=0)
    assert "(2 from measured inputs: after " in result.coverage
    assert all("restarts" in layer.note for layer in result.layers[1:])
    assert disagreements(result) == []


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.branch = nn.Linear(20, 48), nn.Linear(48, 48)
        self.last = nn.Linear(48, 3)

    def forward(self, x):
        h = torch.tanh(self.first(x))
        return self.last(h + torch.tanh(self.branch(h)))


def test_residual_branches_restart_the_theory():
    result = mf.audit(Residual(), batch(), n_samples=20, seed=0)
    assert "after a sum of two branches" in result.coverage
    assert disagreements(result) == []


def test_other_layers_are_measured_and_named():
    model = nn.Sequential(
        nn.Conv1d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 32), nn.BatchNorm1d(32),
        nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 4),
    )  # fmt: skip
    result = mf.audit(model, batch().reshape(12, 1, 20), n_samples=6, seed=0)
    kinds = {layer.kind: layer for layer in result.layers}
    assert result.coverage.startswith("3 of 5 layers modelled (2 from measured inputs")
    assert "2 measured only (Conv1d: its weights are shared by all positions" in result.coverage
    assert "BatchNorm1d: normalisation" in result.coverage
    for kind in ("Conv1d", "BatchNorm1d"):
        assert kinds[kind].verdict == "measured"
        assert np.isnan(kinds[kind].q.theory)
        assert kinds[kind].q.measured > 0
        assert kinds[kind].gradient.measured > 0


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.again = nn.Linear(20, 20), nn.Linear(20, 20)
        self.again.weight = self.first.weight
        self.unused, self.dead = nn.Linear(2, 2), nn.Linear(20, 3)

    def forward(self, x):
        h = torch.tanh(self.first(x))
        self.dead(h)
        return self.again(h)


def test_shared_and_unused_weights_are_named():
    result = mf.audit(Tied(), batch(), n_samples=4, seed=0)
    assert "Linear: its weights are used 2 times" in result.coverage
    assert "2 skipped" in result.coverage
    assert "dead: its output does not reach the output of the model" in result.coverage
    assert "unused: not used by the forward pass" in result.coverage


def test_attention_is_measured_only():
    class Attends(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.last = nn.Linear(8, 3)

        def forward(self, x):
            return self.last(self.attention(x, x, x, need_weights=False)[0])

    x = torch.randn(6, 4, 8, generator=torch.Generator().manual_seed(0))
    result = mf.audit(Attends(), x, n_samples=4, seed=0)
    assert "attention" in result.coverage
    assert result.layers[-1].verdict == "agrees"
    assert result.n_inputs == 6


def test_sequences_are_rows_of_the_batch():
    x = np.random.default_rng(0).normal(size=(40, 4, 20))
    result = mf.audit(mlp(nn.Tanh, 20, 64, 64, 3), x, n_samples=20, seed=0)
    assert result.n_inputs == 8  # 32 rows
    assert disagreements(result) == []


def test_weight_normalised_layers_are_measured_only():
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(20, 16))
    result = mf.audit(
        nn.Sequential(layer, nn.Tanh(), nn.Linear(16, 3)), batch(), n_samples=3, seed=0
    )
    assert "computed from other parameters" in result.coverage
    assert result.layers[1].verdict == "agrees"


# --- what it says ---------------------------------------------------------------------------


def test_dying_gradients_are_found_and_fixed():
    model = mlp(nn.Tanh, 20, *[48] * 12, 4)
    result = mf.audit(model, batch(), n_samples=6, seed=0)
    assert result.phase == "ordered"
    assert result.depth_scale == pytest.approx(-1 / np.log(result.chi_1))
    assert any("gradients die" in text for text in result.findings)
    assert any("CHAOTIC (chi_1 = 1.2098)" in text for text in result.findings)
    assert result.suggestion == mf.Ensemble("tanh", 1.0, 0.0, weights="orthogonal")
    fixed = mf.audit(initialize(model, result.suggestion, seed=1), batch(), n_samples=6, seed=0)
    assert (fixed.phase, fixed.depth_scale, fixed.suggestion) == ("critical", np.inf, None)
    assert not any("gradients" in text for text in fixed.findings)


def test_exploding_gradients_are_found():
    model = initialize(mlp(nn.Tanh, 20, *[64] * 14, 4), mf.Ensemble("tanh", 3.0, 0.1), seed=0)
    result = mf.audit(model, batch(), n_samples=10, seed=0)
    assert result.phase == "chaotic"
    assert any("gradients explode" in text for text in result.findings)
    assert result.suggestion is not None


def test_activation_without_a_stable_critical_point_at_zero_bias_gets_one_with_bias():
    model = initialize(mlp(nn.GELU, 20, *[48] * 12, 4), mf.Ensemble("gelu", 0.5), seed=0)
    result = mf.audit(model, batch(), n_samples=4, seed=0)
    assert any("signals die out" in text for text in result.findings)
    suggestion = result.suggestion
    assert suggestion.sigma_b > 0.41584  # below it the critical point is unstable


def test_activation_without_critical_point_gets_no_suggestion():
    model = mlp(nn.Softplus, 20, *[48] * 12, 4)
    result = mf.audit(model, batch(), n_samples=4, seed=0)
    assert any("gradients die" in text for text in result.findings)
    assert result.suggestion is None


def test_kaiming_relu_is_critical_within_the_spread_of_its_weights():
    model = initialize(mlp(nn.ReLU, 20, *[64] * 8, 4), mf.Ensemble("relu", 2**0.5), seed=3)
    result = mf.audit(model, batch(), n_samples=6, seed=0)
    assert result.phase == "critical"
    assert result.suggestion is None


def test_nearly_parallel_inputs_are_named():
    result = mf.audit(mlp(nn.Tanh, 20, 32, 4), 10 + batch(), n_samples=4, seed=0)
    assert any("nearly parallel" in text for text in result.findings)


@pytest.mark.parametrize("scale", [0.0, 1e-8, 1e8])
def test_extreme_weights_give_numbers_or_findings_but_no_crash(scale):
    model = initialize(mlp(nn.ReLU, 20, *[16] * 6, 4), mf.Ensemble("relu", scale), seed=0)
    result = mf.audit(model, batch(), n_samples=3, seed=0)
    assert "nan" not in json.dumps(result.to_dict(), allow_nan=False).lower()
    assert result.table()


# --- results --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small() -> Audit:
    model = nn.Sequential(nn.Linear(20, 24), nn.LayerNorm(24), nn.Tanh(), nn.Linear(24, 4))
    return mf.audit(model, batch(), n_samples=4, seed=0)


def test_plain_data_survives_json(small):
    data = json.loads(json.dumps(small.to_dict(), allow_nan=False))
    assert [layer["verdict"] for layer in data["layers"]] == ["agrees", "measured", "agrees"]
    assert data["layers"][1]["q"]["theory"] is None
    assert data["layers"][0]["q"]["z"] == small.layers[0].q.z
    assert data["n_samples"] == 4


def test_table_has_one_line_a_layer_and_the_coverage(small):
    text = str(small)
    assert small.coverage in text
    assert sum(" agrees" in line and "%" in line for line in text.splitlines()) == 2
    assert "measured: normalisation" in text


def test_plot_shows_theory_and_measurement(small):
    figure = pytest.importorskip("matplotlib.figure").Figure()
    ax = small.plot(figure.subplots())
    theory = ax.lines[0].get_ydata()
    last = small.layers[-1].gradient
    assert theory[-1] == pytest.approx(last.theory / last.measured)
    assert ax.get_yscale() == "log"


def test_z_and_verdict_follow_from_the_numbers(small):
    for layer in small.layers:
        for compared in (layer.q, layer.gradient):
            if np.isnan(compared.theory):
                assert not compared.agrees
                continue
            deviation = compared.measured - compared.theory
            assert compared.z == deviation / compared.error
            assert compared.agrees == (abs(deviation) <= 4 * compared.error + compared.bound)


# --- initialize -----------------------------------------------------------------------------


@pytest.mark.parametrize(("fan_in", "fan_out"), [(40, 40), (30, 50), (50, 30)])
def test_orthogonal_weights_have_one_singular_value(fan_in, fan_out):
    layer = nn.Linear(fan_in, fan_out).double()
    initialize(layer, mf.Ensemble("tanh", 1.3, 0.2, weights="orthogonal"), seed=4)
    values = np.linalg.svd(layer.weight.detach().numpy(), compute_uv=False)
    np.testing.assert_allclose(values, 1.3 * max(1, fan_out / fan_in) ** 0.5, rtol=1e-13)


def test_orthogonal_draws_are_haar():
    model = nn.ModuleList(nn.Linear(3, 3) for _ in range(400)).double()
    initialize(model, mf.Ensemble("tanh", 1.0, weights="orthogonal"), seed=0)
    square = np.array([layer.weight.detach().numpy() for layer in model])
    # E Q = 0, E Q_ij^2 = 1/3, E Q_ij^4 = 3/15, E det = 0: within 4.5 standard errors
    assert np.all(np.abs(square.mean(0)) < 4.5 * np.sqrt(1 / 3 / 400))
    assert np.all(np.abs((square**2).mean(0) - 1 / 3) < 4.5 * np.sqrt((1 / 5 - 1 / 9) / 400))
    assert np.all(np.abs((square**4).mean(0) - 1 / 5) < 4.5 * np.sqrt((1 / 9 - 1 / 25) / 400))
    assert abs(np.linalg.det(square).mean()) < 4.5 / np.sqrt(400)


def test_normal_weights_have_the_variance_of_the_ensemble():
    layer = initialize(nn.Linear(200, 300), mf.Ensemble("relu", 1.4, 0.3), seed=0)
    n = 60_000
    assert float(layer.weight.detach().square().mean()) * 200 == pytest.approx(
        1.96, rel=4.5 * (2 / n) ** 0.5
    )
    assert float(layer.bias.detach().square().mean()) == pytest.approx(
        0.09, rel=4.5 * (2 / 300) ** 0.5
    )


def test_initialisation_depends_on_the_seed_and_the_layer():
    model = initialize(mlp(nn.Tanh, 8, 8, 8), mf.Ensemble("tanh", 1.0), seed=0)
    other = initialize(copy.deepcopy(model), mf.Ensemble("tanh", 1.0), seed=1)
    again = initialize(copy.deepcopy(other), mf.Ensemble("tanh", 1.0), seed=0)
    assert not torch.equal(model[0].weight, model[2].weight)
    assert not torch.equal(model[0].weight, other[0].weight)
    assert torch.equal(model[0].weight, again[0].weight)


# --- errors ---------------------------------------------------------------------------------

MODEL = mlp(nn.Tanh, 20, 8, 4)


class Returns(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.layer, self.function = nn.Linear(20, 4), function

    def forward(self, x):
        return self.function(self.layer(x))


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (TypeError, "model must be a torch.nn.Module, got str", {"model": "x"}),
        (ValueError, "Linear layer", {"model": nn.Sequential(nn.Tanh())}),
        (ValueError, "lazy", {"model": nn.Sequential(nn.LazyLinear(3))}),
        (TypeError, "return one tensor, got dict", {"model": Returns(lambda h: {"y": h})}),
        (ValueError, "one row for each of the 12 inputs", {"model": Returns(torch.sum)}),
        (ValueError, "that can be seen", {"model": Returns(lambda h: torch.ones(12, 2))}),
        (TypeError, "inputs must be", {"inputs": "x"}),
        (TypeError, "inputs must be", {"inputs": None}),
        (TypeError, "inputs must be real", {"inputs": torch.ones(3, 20, dtype=torch.complex64)}),
        (ValueError, "inputs must be finite", {"inputs": np.full((3, 20), np.nan)}),
        (ValueError, "not be empty", {"inputs": np.ones((0, 20))}),
        (ValueError, r"shape \(n, ...\)", {"inputs": np.ones(20)}),
        (ValueError, r"accept inputs of shape \(3, 19\)", {"inputs": np.ones((3, 19))}),
        (ValueError, "targets must be one for each of 12", {"targets": np.zeros(3, int)}),
        (ValueError, r"targets must be classes in \[0, 3\]", {"targets": np.full(12, 4)}),
        (ValueError, "targets must have the shape", {"targets": np.zeros((12, 3))}),
        (TypeError, "loss must be a function", {"loss": 3}),
        (TypeError, "loss must return one number", {"loss": lambda out: out}),
        (ValueError, "loss must be computed from", {"loss": lambda out: torch.ones(())}),
        (TypeError, "initialize must be a function", {"initialize": "orthogonal"}),
        (ValueError, r"n_samples must be an integer in \[2, ", {"n_samples": 1}),
        (TypeError, "n_samples", {"n_samples": 2.5}),
        (ValueError, "seed", {"seed": -1}),
        (TypeError, "seed", {"seed": None}),
        (ValueError, "n_threads", {"n_threads": 0}),
        (TypeError, "progress", {"progress": "yes"}),
    ],
)
def test_bad_arguments_are_named(error, message, arguments):
    given = {"model": MODEL, "inputs": batch(), "n_samples": 2, "seed": 0} | arguments
    with pytest.raises(error, match=message):
        mf.audit(given.pop("model"), given.pop("inputs"), **given)


def test_weights_that_are_not_finite_are_named():
    model = mlp(nn.Tanh, 20, 8, 4)
    with torch.no_grad():
        model[2].weight[0, 0] = np.nan
    with pytest.raises(ValueError, match=r"finite parameters, got nan or inf in 2\.weight"):
        mf.audit(model, batch(), n_samples=2, seed=0)


def test_paths_that_depend_on_the_weights_are_refused():
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(20, 4)

        def forward(self, x):
            h = self.layer(x)
            return torch.tanh(h) if float(h.detach()[0, 0]) > 0 else h

    with pytest.raises(ValueError, match="same path"):
        mf.audit(Branches(), batch(), n_samples=20, seed=0)


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (TypeError, ("x", mf.Ensemble("tanh", 1.0))),
        (TypeError, (MODEL, "tanh")),
        (ValueError, (nn.Tanh(), mf.Ensemble("tanh", 1.0))),
    ],
)
def test_bad_arguments_of_initialize_are_refused(error, arguments):
    with pytest.raises(error):
        initialize(*arguments, seed=0)


def test_module_is_imported_without_torch():
    code = "import meanfree.network, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
