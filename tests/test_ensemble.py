import dataclasses
import pickle

import numpy as np
import pytest

import meanfree as mf


def test_name_function_and_activation_are_the_same_to_an_ensemble():
    by_name = mf.Ensemble("tanh", 1.5)
    assert by_name == mf.Ensemble(mf.activation("tanh"), 1.5)
    assert isinstance(mf.Ensemble(np.tanh, 1.5).activation, mf.Activation)
    assert mf.Ensemble(np.tanh, 1.5) == mf.Ensemble(np.tanh, 1.5)


def test_defaults():
    network = mf.Ensemble("relu", 1)
    assert (network.sigma_b, network.weights, network.keep) == (0.0, "gaussian", 1.0)
    assert type(network.sigma_w) is float


def test_weights_and_keep_are_keyword_only():
    with pytest.raises(TypeError, match="positional"):
        mf.Ensemble("relu", 1.0, 0.0, "gaussian")


def test_ensemble_is_frozen_hashable_and_replaceable():
    network = mf.Ensemble("tanh", 1.5, 0.1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        network.sigma_w = 2.0
    assert len({network, mf.Ensemble("tanh", 1.5, 0.1)}) == 1
    assert dataclasses.replace(network, keep=0.5) == mf.Ensemble("tanh", 1.5, 0.1, keep=0.5)
    assert pickle.loads(pickle.dumps(network)) == network


def test_repr_is_the_call_that_makes_it():
    network = mf.Ensemble("elu", 1.5, 0.1, weights="orthogonal", keep=0.5)
    assert repr(network) == (
        "Ensemble(activation('elu', alpha=1.0), sigma_w=1.5, sigma_b=0.1, "
        "weights='orthogonal', keep=0.5)"
    )
    assert repr(mf.Ensemble("tanh", 1.5)) == "Ensemble('tanh', sigma_w=1.5, sigma_b=0.0)"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"sigma_w": -1.0}, ValueError, r"^sigma_w must be finite and >= 0, got -1\.0$"),
        ({"sigma_w": np.nan}, ValueError, "^sigma_w must be finite and >= 0, got nan$"),
        ({"sigma_w": 1e200}, ValueError, r"^sigma_w must be finite and >= 0 and <= 1e\+10, got"),
        ({"sigma_w": "1"}, TypeError, "^sigma_w must be a number .* '1' of type str"),
        ({"sigma_w": True}, TypeError, "^sigma_w must be a number"),
        ({"sigma_w": [1.0]}, ValueError, r"^sigma_w must be a single number, .* shape \(1,\)"),
        ({"sigma_b": np.inf}, ValueError, "^sigma_b must be finite and >= 0, got inf$"),
        ({"sigma_b": 10**400}, ValueError, "^sigma_b must be finite and >= 0, got 1000"),
        ({"keep": 0.0}, ValueError, r"^keep must be in \(0, 1\], got 0\.0$"),
        ({"keep": 1.1}, ValueError, r"^keep must be in \(0, 1\], got 1\.1$"),
        (
            {"weights": "gausian"},
            ValueError,
            r"^weights must be one of gaussian, orthogonal; got 'gausian' \(did you mean",
        ),
        ({"weights": None}, TypeError, "^weights must be one of gaussian, orthogonal; got None"),
        ({"activation": "tahn"}, ValueError, r"^unknown activation 'tahn' \(did you mean 'tanh'"),
        ({"activation": 5}, TypeError, "^activation must be a name, an Activation or a function"),
    ],
)
def test_bad_argument_is_named_with_its_range_and_value(arguments, error, message):
    with pytest.raises(error, match=message):
        mf.Ensemble(**({"activation": "tanh", "sigma_w": 1.0} | arguments))
