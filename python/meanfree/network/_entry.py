"""What users call: checks, and the order of the parts, which need torch."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from meanfree._check import cores, size
from meanfree._check import seed as as_seed
from meanfree._progress import progress_bar
from meanfree.ensemble import Ensemble, as_ensemble
from meanfree.network._result import Audit

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from numpy.typing import NDArray

    from meanfree.hessian import MLP
    from meanfree.hessian._mlp import Objective


def _require_torch(what: str) -> None:
    if find_spec("torch") is None:
        message = f"{what} needs PyTorch: pip install 'meanfree[train]'"
        raise ImportError(message)


def audit(
    model: torch.nn.Module,
    inputs: torch.Tensor | NDArray[Any],
    *,
    targets: torch.Tensor | NDArray[Any] | None = None,
    loss: Callable[..., torch.Tensor] | None = None,
    n_samples: int = 20,
    seed: int,
    initialize: Callable[[torch.nn.Module, int], Any] | None = None,
    n_threads: int | None = None,
    progress: bool | None = None,
) -> Audit:
    """Set mean-field theory beside measurement for every layer of a torch model.

    The weights of a private copy are drawn ``n_samples`` times from the law that the model's own
    weights suggest: their variances about zero, and Haar-orthogonal if all singular values are
    equal, else normal. (Torch's default is uniform; to a wide network only the variance matters.)
    For each layer ``h = W x + b`` the mean square q of its outputs and the squared gradient
    ``|dE/dW|^2`` are measured, and predicted by the covariance recursion of every two inputs
    (Poole et al., 2016; Schoenholz et al., 2017). The model itself is left exactly as it was, and
    so are the global random numbers.

    Parameters
    ----------
    model : torch.nn.Module
        Linear layers with activations that `meanfree.activation` knows are modelled; flattening
        and dropout in evaluation change nothing. Other layers are measured and named in the
        coverage line; behind them the theory starts again from measured inputs. The copy runs in
        float64 on the CPU, in evaluation mode, without the model's own hooks.
    inputs : Tensor or array, shape (n, ...)
        Finite. At most 32 of them are used (12 for elu and selu, whose theory takes longest),
        evenly spaced: theory follows every two of them.
    targets : Tensor or array, optional
        One for each input: classes (integers) or values.
    loss : callable, optional
        From the output, and the targets if there are any, to a scalar tensor E. Default: the
        cross entropy of classes, the mean squared error of values; without targets the mean over
        inputs of a random linear readout, ``E = mean_a g . output_a``, g ~ N(0, 1).
    n_samples : int
        Draws of the weights, at least 2.
    seed : int
        In [0, 2**64 - 1]; a draw is a function of (seed, draw, layer).
    initialize : callable, optional
        ``initialize(model, seed)`` draws all weights of the copy in place, instead of the measured
        law; then the law is read from the draws.
    n_threads : int, optional
        Threads of the theory; default: all allowed cores. Torch runs on one.
    progress : bool, optional
        Progress bar; None draws one on a terminal if the call is long.

    Returns
    -------
    Audit
        With one `LayerAudit` a layer; print it for a table.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or the model does not return one tensor.
    ValueError
        If a value is out of its range, the model does not accept the inputs or has no linear
        layer, or its layers run in another order for other weights.

    Notes
    -----
    The theory starts from the measured errors ``dE/dh`` of the last layer of a chain, draw by
    draw, so that it is tested on how gradients travel, not on the loss. Squared gradients of deep
    networks are close to log-normal: the standard error of a mean is the larger one of the plain
    estimate and of the one that the spread of the logarithms implies, since the plain one is too
    small whenever the large draws are missing. Errors are widened for few draws, so
    that four of them mean the same for any ``n_samples``.

    References
    ----------
    B. Poole et al., Exponential expressivity in deep neural networks through transient chaos,
    NeurIPS 2016. S. S. Schoenholz et al., Deep information propagation, ICLR 2017.

    Examples
    --------
    >>> import torch
    >>> import meanfree as mf
    >>> layers = [torch.nn.Linear(64, 64), torch.nn.Tanh(), torch.nn.Linear(64, 10)]
    >>> result = mf.audit(torch.nn.Sequential(*layers), torch.ones(4, 64), n_samples=4, seed=0)
    >>> result.coverage
    '2 of 2 layers modelled, 0 measured only, 0 skipped'
    """
    n_draws, root = size("n_samples", n_samples, 2), as_seed(seed)
    threads = cores(n_threads)
    for name, value in (("loss", loss), ("initialize", initialize)):
        if value is not None and not callable(value):
            message = f"{name} must be a function or None, got {value!r:.60}"
            raise TypeError(message)
    _require_torch("audit")
    from meanfree.network._audit import prepare, result
    from meanfree.network._measure import Probe, global_state
    from meanfree.network._predict import predict

    with global_state():
        task = prepare(model, inputs, targets, loss)
        probe = Probe(task.model, task.chain, task.inputs, task.loss, task.eps, initialize)
        with progress_bar(progress, "audit", n_draws) as report:
            measurement = probe.measure(n_draws, root, report)
        prediction = predict(task.chain, measurement.laws, measurement.grams, threads)
    return result(task, measurement, prediction, root, initialize is not None)


def initialize(model: torch.nn.Module, ensemble: Ensemble, *, seed: int) -> torch.nn.Module:
    """Draw the weights and biases of every linear layer of a model from an ensemble, in place.

    Normal weights have the entry variance ``sigma_w**2 / fan_in``. Orthogonal ones are drawn from
    the Haar measure, with all singular values ``sigma_w * sqrt(max(1, fan_out / fan_in))``, so
    that their entries have that variance too. Other layers are left as they are.

    Parameters
    ----------
    model : torch.nn.Module
    ensemble : Ensemble
        For instance `Audit.suggestion`; its activation is not used.
    seed : int
        In [0, 2**64 - 1].

    Returns
    -------
    torch.nn.Module
        The model.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If the model has no linear layer.

    Examples
    --------
    >>> import torch
    >>> import meanfree as mf
    >>> from meanfree.network import initialize
    >>> layer = initialize(torch.nn.Linear(3, 2), mf.critical("tanh", weights="orthogonal"), seed=1)
    >>> torch.allclose(layer.weight @ layer.weight.T, torch.eye(2), atol=1e-6)
    True
    """
    _require_torch("initialize")
    import torch

    from meanfree.network._draw import Law, draw_linear
    from meanfree.network._measure import global_state

    if not isinstance(model, torch.nn.Module):
        message = f"model must be a torch.nn.Module, got {type(model).__name__}"
        raise TypeError(message)
    e, root = as_ensemble(ensemble), as_seed(seed)
    linear = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    if not linear:
        message = "model must have a torch.nn.Linear layer, got none"
        raise ValueError(message)
    law = Law(e.sigma_w, e.sigma_b, e.weights)
    with global_state(), torch.no_grad():
        for number, layer in enumerate(linear):
            weight, bias = draw_linear(law, layer.out_features, layer.in_features, root, 0, number)
            layer.weight.copy_(weight)
            if layer.bias is not None:
                layer.bias.copy_(bias)
    return model


def as_mlp(
    model: torch.nn.Module,
    inputs: torch.Tensor | NDArray[Any],
    *,
    objective: Objective = "mse",
) -> MLP:
    """Return a torch model as the network of `meanfree.hessian`, with its exact derivatives.

    The layers are read from one forward pass of a private copy in float64; dropout and the like
    are as in evaluation. That the network's outputs are the model's is checked on these inputs;
    an `if` of the model's is seen only as it goes for these.

    Parameters
    ----------
    model : torch.nn.Module
        Linear layers with biases, one after another, the same activation between them and none
        behind the last; inputs and outputs of any shape. Parameters of the network are in the order
        in which the layers run: weights (row-major), biases, ...; frozen ones are among them.
    inputs : Tensor or array, shape (n, ...)
        A few are enough.
    objective : {"mse", "cross_entropy"}
        As in `MLP`: "mse" is half of torch's mean squared error, times the number of outputs.

    Returns
    -------
    MLP

    Raises
    ------
    ValueError
        If the model is none of this kind, with the layer and what it does.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> import torch
    >>> from meanfree.network import as_mlp
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3))
    >>> x, labels = torch.randn(50, 8), torch.randint(3, (50,))
    >>> net = as_mlp(model, x, objective="cross_entropy")
    >>> net.eigenvalues(x, labels).shape
    (51,)
    """
    _require_torch("as_mlp")
    from meanfree.network._measure import global_state
    from meanfree.network._mlp import convert

    with global_state():
        return convert(model, inputs, objective)
