import copy
import json
from dataclasses import replace

import numpy as np
import pytest
from models import batch, disagreements, mlp

import meanfree as mf
from meanfree.network import Audit, initialize

torch = pytest.importorskip("torch")
nn = torch.nn
F = nn.functional


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
@pytest.mark.parametrize("classes", [False, pytest.param(True, marks=pytest.mark.slow)])
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


@pytest.mark.slow
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


def test_theory_of_another_sigma_w_disagrees(monkeypatch):
    # 10 % of sigma_w are 20 % of q in the first layer and a factor 1.2 of squared gradients in
    # each, against standard errors of 1 to 3 % of means over 40 draws at width 256
    from meanfree.network import _predict

    predict = _predict.predict
    model = mlp(nn.Tanh, 20, *[256] * 6, 10)

    def with_laws_of(factor):
        def changed(chain, laws, grams, n_threads):
            wrong = [law and replace(law, sigma_w=factor * law.sigma_w) for law in laws]
            return predict(chain, wrong, grams, n_threads)

        monkeypatch.setattr(_predict, "predict", changed)
        return mf.audit(model, batch(), n_samples=40, seed=3)

    assert disagreements(with_laws_of(1.0)) == []
    for factor in (0.9, 1.1):
        wrong = with_laws_of(factor)
        assert len(disagreements(wrong)) >= 5
        assert any("theory and measurement disagree" in text for text in wrong.findings)


def test_zero_inputs_are_not_blamed_on_the_weights():
    model = mlp(nn.Tanh, 20, *[64] * 9, 10)
    result = mf.audit(model, np.zeros((6, 20)), n_samples=8, seed=0)
    assert disagreements(result) == []
    (finding,) = result.findings
    assert finding.startswith("the inputs are all zero")
    assert result.suggestion is None


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


def test_weights_that_do_not_scatter_about_zero_are_named():
    model = mlp(nn.Tanh, 20, 32, 4)
    with torch.no_grad():
        model[2].weight.add_(1.0)
    findings = mf.audit(model, batch(), n_samples=4, seed=0).findings
    assert any("the weights of 2 do not scatter about zero" in text for text in findings)


@pytest.mark.parametrize("scale", [0.0, 1e-8, 1e8])
def test_extreme_weights_give_numbers_or_findings_but_no_crash(scale):
    model = initialize(mlp(nn.ReLU, 20, *[16] * 6, 4), mf.Ensemble("relu", scale), seed=0)
    result = mf.audit(model, batch(), n_samples=3, seed=0)
    assert "nan" not in json.dumps(result.to_dict(), allow_nan=False).lower()
    assert result.table()


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
