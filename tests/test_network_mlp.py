"""Torch models as networks with exact Hessians: the same derivatives, or the reason why not."""

import numpy as np
import pytest
from models import batch, mlp

from meanfree.network import as_mlp

torch = pytest.importorskip("torch")
nn = torch.nn


def torch_hessian(model, x, y, loss):
    """By torch, over the parameters in the order of the model."""
    flat = torch.cat([p.detach().reshape(-1) for p in model.parameters()])

    def objective(vector):
        values, first = {}, 0
        for name, p in model.named_parameters():
            values[name] = vector[first : first + p.numel()].reshape(p.shape)
            first += p.numel()
        return loss(torch.func.functional_call(model, values, (x,)), y)

    return torch.autograd.functional.hessian(objective, flat).numpy()


def half_squares(z, y):
    return 0.5 * (z - y).square().sum(dim=1).mean()


@pytest.mark.parametrize(
    "activation",
    [nn.Tanh, nn.ReLU, nn.GELU, nn.SiLU, nn.ELU, lambda: nn.LeakyReLU(0.3), lambda: nn.ELU(0.7)],
)
def test_the_hessian_of_a_model_is_that_of_torch(activation):
    model = mlp(activation, 5, 4, 3).double()
    x, y = torch.from_numpy(batch(9, 5)), torch.from_numpy(batch(9, 3, seed=1))
    expected = torch_hessian(model, x, y, half_squares)
    found = as_mlp(model, x).hessian(x.numpy(), y.numpy())
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * abs(expected).max())


def test_labels_and_single_precision_give_the_loss_of_torch():
    model = mlp(nn.Tanh, 5, 4, 4, 3)
    x, y = torch.from_numpy(batch(9, 5)).float(), torch.arange(9) % 3
    net = as_mlp(model, x[:2], objective="cross_entropy")
    expected = nn.functional.cross_entropy(model.double()(x.double()), y)
    assert net.value(x, y) == pytest.approx(expected.item(), rel=1e-14)
    assert (net.sizes, str(net.activation)) == ((5, 4, 4, 3), "tanh")


def test_what_changes_nothing_is_passed_over():
    layers = [nn.Flatten(), nn.Linear(6, 4), nn.Dropout(), nn.Sigmoid(), nn.Linear(4, 2)]
    model = nn.Sequential(*layers)
    net = as_mlp(model, batch(3, 6).reshape(3, 2, 3))
    assert net.sizes == (6, 4, 2)
    assert model.training
    assert as_mlp(nn.Linear(3, 2), batch(2, 3)).sizes == (3, 2)


class Forward(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.a, self.b, self._forward = nn.Linear(4, 4), nn.Linear(4, 4), forward

    def forward(self, x):
        return self._forward(self, x)


@pytest.mark.parametrize(
    ("layers", "text"),
    [
        ([nn.Linear(4, 3, bias=False), nn.Tanh(), nn.Linear(3, 2)], "layer '0': it has no bias"),
        ([nn.Linear(4, 3), nn.Tanh()], "the output goes through tanh"),
        ([nn.Tanh(), nn.Linear(4, 3)], "the inputs go through tanh"),
        # these change nothing, but other inputs they would
        ([nn.Hardtanh(-100, 100), nn.Linear(4, 3)], "the inputs go through hardtanh"),
        ([nn.Linear(4, 3), nn.Hardtanh(-100, 100)], "the output goes through hardtanh"),
        ([nn.Linear(4, 3), nn.LogSoftmax(dim=1)], "the output goes through log_softmax"),
        (
            [nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2)],
            "the activations tanh, relu",
        ),
        ([nn.Linear(4, 3), nn.LayerNorm(3), nn.Linear(3, 2)], "layer '1': normalisation"),
        ([nn.Linear(4, 3), nn.Mish(), nn.Linear(3, 2)], "layer '2': before it stands mish"),
        ([Forward(lambda m, x: m.b(m.a(x).tanh()) + x)], "goes through a sum of two branches"),
        ([Forward(lambda m, x: 2 * m.b(m.a(x).tanh()))], "the output goes through mul"),
        ([Forward(lambda m, x: m.b(m.a(x.flip(1)).tanh()))], "the inputs go through flip"),
        ([Forward(lambda m, x: m.a(x))], "'0.b': not used by the forward pass"),
        ([Forward(lambda m, x: m.b(m.a(m.a(x))))], "layer '0.a': its weights are used 2 times"),
        ([Forward(lambda m, x: m.a(x) + m.b(x))], "its inputs do not come from the layer before"),
    ],
)
def test_other_models_are_refused_with_the_reason(layers, text):
    with pytest.raises(ValueError, match=r"^model must be linear layers") as error:
        as_mlp(nn.Sequential(*layers), batch(3, 4))
    assert text in str(error.value)


def test_hooks_that_may_change_the_outputs_are_refused():
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    for add, name in (
        (lambda: model[1].register_forward_hook(lambda module, x, out: 2 * out), "'1'"),
        (lambda: model.register_forward_pre_hook(lambda module, x: 2 * x[0]), "'Sequential'"),
    ):
        handle = add()
        with pytest.raises(ValueError, match=rf"a hook on the forward pass of {name}; remove it$"):
            as_mlp(model, batch(3, 4))
        handle.remove()
    assert as_mlp(model, batch(3, 4)).sizes == (4, 3, 2)


def test_bad_input_is_said_clearly():
    with pytest.raises(TypeError, match=r"^model must be a torch.nn.Module, got int"):
        as_mlp(3, batch(3, 4))
    with pytest.raises(ValueError, match=r"^objective must be one of"):
        as_mlp(nn.Linear(4, 2), batch(3, 4), objective="mae")
    with pytest.raises(ValueError, match=r"^inputs must have a shape"):
        as_mlp(nn.Linear(4, 2), batch(3, 4)[0])
    with pytest.raises(ValueError, match=r"parts of the 8 inputs"):
        as_mlp(nn.Linear(4, 2), batch(4, 8).reshape(4, 2, 4))
