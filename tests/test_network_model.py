import random
import subprocess
import sys

import numpy as np
import pytest
from models import batch, disagreements, mlp

import meanfree as mf
from meanfree.network import initialize

torch = pytest.importorskip("torch")
nn = torch.nn
F = nn.functional


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
