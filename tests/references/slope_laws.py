"""Laws of D^2 = phi'(sqrt(q) z)^2 as nodes and weights, for spectra.py."""

import math

import numpy as np
import scipy.special

REACH = 9.3  # of the unit normal
PATH = 0.35  # largest imaginary part of its path, in units of min(1, 1 / sqrt(q))

SELU_ALPHA, SELU_SCALE = 1.6732632423543772848, 1.0507009873554804934
ROOT_2_PI = np.sqrt(2 * np.longdouble(np.pi))


def logistic(h):
    return 1 / (1 + np.exp(-h))


def gelu(h):
    density = np.exp(-h * h / 2) / ROOT_2_PI
    below = (1 + scipy.special.erf(h.astype(complex) / math.sqrt(2))) / 2
    return below + h * density, (2 - h * h) * density, (h * h - 4) * h * density


def silu(h):
    s = logistic(h)
    s1 = s * (1 - s)
    s2 = s1 * (1 - 2 * s)
    s3 = s2 * (1 - 2 * s) - 2 * s1 * s1
    return s + h * s1, 2 * s1 + h * s2, 3 * s2 + h * s3


def tanh(h):
    t = np.tanh(h)
    s = 1 - t * t
    return s, -2 * s * t, s * (6 * t * t - 2)


def gauss(h, height, rate):
    value = height * np.exp(-rate * h * h)
    return value, -2 * rate * h * value, (4 * rate * rate * h * h - 2 * rate) * value


def sigmoid(h):
    s = logistic(h)
    s1 = s * (1 - s)
    return s1, s1 * (1 - 2 * s), s1 * (1 - 6 * s1)


def softplus(h):
    s = logistic(h)
    return s, s * (1 - s), s * (1 - s) * (1 - 2 * s)


def arctan(h):
    r = 1 / (1 + h * h)
    return r, -2 * h * r * r, (6 * h * h - 2) * r**3


# name -> the first three derivatives of phi at complex arguments
SMOOTH = {
    "tanh": tanh,
    "erf": lambda h: gauss(h, 2 / np.sqrt(np.longdouble(np.pi)), 1),
    "erf_scaled": lambda h: gauss(h, 1, np.longdouble(np.pi) / 4),
    "sigmoid": sigmoid,
    "gelu": gelu,
    "silu": silu,
    "softplus": softplus,
    "sin": lambda h: (np.cos(h), -np.sin(h), -np.cos(h)),
    "arctan": arctan,
}
EVEN = {"tanh", "erf", "erf_scaled", "sigmoid", "sin", "arctan"}  # laws of D^2 in z
# name -> limits in h and constant values of phi'
STEPS = {
    "linear": ([], [1.0]),
    "relu": ([0.0], [0.0, 1.0]),
    "leaky_relu": ([0.0], [0.25, 1.0]),
    "hard_tanh": ([-1.0, 1.0], [0.0, 1.0, 0.0]),
}
EXPONENTIALS = {"elu": (1.0, 1.0), "selu": (SELU_ALPHA, SELU_SCALE)}  # phi' = a b e^h, b
PARAMETERS = {"leaky_relu": {"negative_slope": 0.25}}


def normal_density(z):
    return np.exp(-z * z / 2) / ROOT_2_PI


def averages(name, q, refine):
    """Return values t of D^2 and weights w, in extended precision: E f(D^2) = sum w f(t).

    For f with a singularity in the upper half plane, or on the axis approached from above. The path
    of z leaves the axis to the side where Im t < 0, so that no node comes near.
    """
    root = np.sqrt(np.longdouble(q))
    if name in STEPS:
        limits, values = STEPS[name]
        below = scipy.special.ndtr(np.array([-np.inf, *[k / float(root) for k in limits], np.inf]))
        t, place = np.unique(np.square(values), return_inverse=True)
        masses = np.bincount(place, np.diff(below))
        return t.astype(np.clongdouble), masses.astype(np.clongdouble)
    if name in EXPONENTIALS:
        alpha, scale = (np.longdouble(v) for v in EXPONENTIALS[name])
        x, w = (v.astype(np.longdouble) for v in np.polynomial.legendre.leggauss(20))
        edges = np.linspace(-REACH, 0, 48 * refine + 1).astype(np.longdouble)
        half = (edges[1:] - edges[:-1]) / 2
        u = ((edges[1:] + edges[:-1]) / 2 + np.outer(x, half)).ravel()
        shift = np.longdouble(0.3)
        z = u + 1j * shift * u / (1 + u * u)
        w = np.outer(w, half).ravel() * (1 + 1j * shift * (1 - u * u) / (1 + u * u) ** 2)
        t = (alpha * scale * np.exp(root * z)) ** 2
        assert (t.imag <= 0).all()
        return np.append(t, scale**2), np.append(w * normal_density(z), np.longdouble(0.5))
    n = 640 * refine
    step = np.longdouble(REACH) / n
    u = step * np.arange(0 if name in EVEN else -n, n + 1)
    slope, second, third = SMOOTH[name](root * u.astype(np.clongdouble))
    value, rate = (slope**2).real, 2 * root * (slope * second).real
    bend = 2 * root * root * (second * second + slope * third).real
    if name == "sin":
        aim, turn = rate / root, bend / root
    else:
        value = value + (0.02 if name in {"gelu", "silu"} else 0)  # where phi' vanishes
        aim = rate / value / (4 * root)
        turn = (bend / value - (rate / value) ** 2) / (4 * root)
    shift = np.longdouble(PATH / max(1, float(root)))
    z = u - 1j * shift * aim / np.sqrt(1 + aim * aim)
    t = SMOOTH[name](root * z)[0] ** 2
    assert ((t.imag <= 1e-18) | (abs(t) < 1e-5)).all(), name
    w = step * (1 - 1j * shift * turn / np.sqrt(1 + aim * aim) ** 3) * normal_density(z)
    if name in EVEN:
        w[1:] *= 2
    return t, w
