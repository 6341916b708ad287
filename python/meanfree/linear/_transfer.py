"""Transfer between two tasks that a student with one hidden layer learns together."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfree._check import CORRELATION, real, real_array, shaped, size
from meanfree.linear._checks import POSITIVE_STRENGTH, SIGNAL, STRENGTH, TIME
from meanfree.linear._curve import Curve, Law, Noise, noise_end
from meanfree.linear._spikes import seen_spikes

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def transfer_error(
    t: ArrayLike,
    s_a: float,
    s_b: float,
    similarity: float,
    *,
    n_in: int,
    n_hidden: int,
    n_out_a: int,
    n_out_b: int,
    sigma: float = 1.0,
    a0: float = 1e-3,
) -> Any:
    """Return the test error of task A when tasks A and B are learned by one hidden layer.

    Both teachers have rank 1, output units of their own, and input vectors whose inner product is
    the similarity q. The joint teacher has two singular values, ::

        s_+-**2 = (s_a**2 + s_b**2 +- sqrt((s_a**2 - s_b**2)**2 + 4 q**2 s_a**2 s_b**2)) / 2;

    with c_+- the share of A in its output vectors, L and O the overlap of the output vectors and of
    both (`spiked.overlaps`), f the fraction of output units that are A's, and u as in
    `mode_strength` (after Lampinen and Ganguli, 2019) ::

        test_A(t) = {sum_+- [u**2 (L**2 c**2 + (1 - L**2) f) - 2 u s O c**2] + s_a**2
                     + f (R - n) <u(t; s)**2>} / s_a**2,

    where R modes are learned, n of them signal. White inputs, as many examples as inputs, depth 2.

    Parameters
    ----------
    t : array_like
        Time, in [0, 1e100], in units of tau.
    s_a, s_b : float
        Singular values of both teachers, in [0, 1e100]; s_a at least 1e-150.
    similarity : float
        q, in [-1, 1]; its sign makes no difference.
    n_in, n_hidden, n_out_a, n_out_b : int
        Numbers of units.
    sigma : float
        Noise, as in `StudentTeacher`.
    a0 : float
        Strength of every mode at t = 0, in (0, 1e100].

    Returns
    -------
    float or array
        Of the shape of t. The formula is that of large matrices: where noise is being learned,
        students with finite n_in err less by a fraction of about 9 / n_in.

    Raises
    ------
    ValueError
        If a value is out of its range.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    Lampinen and Ganguli (2019), "An analytic theory of generalization
    dynamics and transfer learning in deep linear networks".

    Examples
    --------
    >>> from meanfree.linear import transfer_error
    >>> sizes = {"n_in": 100, "n_hidden": 50, "n_out_a": 50, "n_out_b": 50}
    >>> [round(transfer_error(2.0, 2.0, 4.0, q, **sizes), 4) for q in (0.0, 0.9)]
    [1.4029, 1.1657]
    """
    times = real_array("t", t, TIME)
    curve = _joint(s_a, s_b, similarity, n_in, n_hidden, n_out_a, n_out_b, sigma, a0)
    return shaped(curve.values(times.reshape(-1)), times.shape)


def transfer_benefit(
    s_a: float,
    s_b: float,
    similarity: float,
    *,
    n_in: int,
    n_hidden: int,
    n_out_a: int,
    n_out_b: int,
    sigma: float = 1.0,
    a0: float = 1e-3,
) -> float:
    """Return by how much learning task B as well lowers the best test error of task A.

    The smallest error over time of A learned alone, minus that of `transfer_error`: positive where
    B helps, as a strong and similar task does, and negative where it only adds noise.

    Parameters
    ----------
    s_a, s_b, similarity, n_in, n_hidden, n_out_a, n_out_b, sigma, a0
        As in `transfer_error`.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If a value is out of its range.
    TypeError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> from meanfree.linear import transfer_benefit
    >>> sizes = {"n_in": 100, "n_hidden": 50, "n_out_a": 50, "n_out_b": 50}
    >>> [round(transfer_benefit(2.0, 4.0, q, **sizes), 4) for q in (0.0, 0.9)]
    [-0.2191, 0.1255]
    """
    joint = _joint(s_a, s_b, similarity, n_in, n_hidden, n_out_a, n_out_b, sigma, a0)
    alone = _joint(s_a, 0.0, 0.0, n_in, n_hidden, n_out_a, 0, sigma, a0)
    return alone.minimum()[1] - joint.minimum()[1]


def _joint(
    s_a: float,
    s_b: float,
    similarity: float,
    n_in: int,
    n_hidden: int,
    n_out_a: int,
    n_out_b: int,
    sigma: float,
    a0: float,
) -> Curve:
    """Return the test error of task A; n_out_b = 0, which no user can give, is A alone."""
    a, b = real("s_a", s_a, SIGNAL), real("s_b", s_b, STRENGTH)
    q = real("similarity", similarity, CORRELATION)
    inputs, hidden = size("n_in", n_in), size("n_hidden", n_hidden)
    out_a = size("n_out_a", n_out_a)
    out_b = n_out_b if n_out_b == 0 else size("n_out_b", n_out_b)
    noise = real("sigma", sigma, STRENGTH)
    law = Law(real("a0", a0, POSITIVE_STRENGTH), 2.0, 1.0, 1.0)

    scale = max(a, b)
    x, y = (a / scale) ** 2, (b / scale) ** 2
    gap = sqrt((x - y) ** 2 + 4.0 * q * q * x * y)
    high = 0.5 * (x + y + gap)
    low = (1.0 - q * q) * x * y / high
    # the share of A in both eigenvectors; any will do where the eigenvalues are equal
    share = 0.5 * (1.0 + (x - y) / gap) if gap > 0.0 else 0.5
    s_bar = scale * np.sqrt(np.array([high, low]))
    shares = np.array([share, 1.0 - share])

    fraction, aspect = out_a / (out_a + out_b), (out_a + out_b) / inputs
    modes = min(inputs, out_a + out_b)
    learned, n = min(hidden, modes), int(np.count_nonzero(s_bar))
    if n > modes:
        msg = f"n_in must be >= 2 for two different tasks, got {inputs}"
        raise ValueError(msg)
    s_hat, left, right = seen_spikes(s_bar, aspect, noise)
    seen = int(np.count_nonzero(left * right))  # the others are lost in the noise
    spikes = min(seen, learned)
    s_bar, shares, s_hat = s_bar[:spikes], shares[:spikes], s_hat[:spikes]
    left, right = left[:spikes], right[:spikes]
    gain = left**2 * shares + (1.0 - left**2) * fraction
    pull = s_bar * left * right * shares
    best = np.divide(pull, gain, out=np.zeros(spikes), where=gain > 0.0)
    floor = max(a * a - float(best @ pull), 0.0)
    count = learned - spikes
    end = noise_end(aspect, count / (modes - seen)) if count else 0.0
    bulk = Noise(float(count), float(modes - seen), aspect, noise, end)
    return Curve(law, s_hat, gain, best, bulk, fraction, 0.0, floor, a * a)
