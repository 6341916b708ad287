"""Mean-field fixed points in vectorised numpy, as fast as we can write them.

The peers of meanfield.py. They return q*, chi_1, c* and chi_c = C'(c*) over the grid of sigma_w and
sigma_b, flattened; q* = inf where the length diverges; nan for c* where q* is 0 or inf.
"""

import numpy as np
from scipy.interpolate import CubicHermiteSpline

CHUNK = 32_768  # values of a work array: it stays in the second cache


def grid(sigma_w, sigma_b):
    """Return sigma_w**2 and sigma_b**2 at every point."""
    weight, bias = np.meshgrid(np.square(sigma_w), np.square(sigma_b), indexing="ij")
    return weight.ravel(), bias.ravel()


# tanh: quadrature


def midpoint(q, wave=0.0, reach=8.0):
    """Return nodes z > 0 and doubled weights of a midpoint rule for even functions of tanh.

    Its step resolves the poles at distance pi / (2 sqrt q), and a factor of wave number `wave`.
    """
    pole = 0.5 * np.pi / max(np.sqrt(q), 1e-3)
    step = min(0.7, 2.0 * np.pi / (36.0 / pole + 0.5 * pole + wave))
    z = (np.arange(np.ceil(reach / step)) + 0.5) * step
    return z, 2.0 * step * np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)


def batches(q, values_per_cell):
    """Cut the cells, in order of q, so that the cells of a batch can share one rule."""
    order = np.argsort(q)
    first = 0
    while first < q.size:
        guess = q[order[min(q.size - 1, first + CHUNK // 64)]]
        size = max(16, CHUNK // values_per_cell(guess))
        yield order[first : first + size]
        first += size


def tanh_averages(q, *, slopes=False):
    """E phi^2 and its slope in q; with `slopes` also E phi'^2 and E phi''^2."""
    out = np.empty((4 if slopes else 2, q.size))
    for cells in batches(q, lambda at: midpoint(at)[0].size):
        root = np.sqrt(q[cells])
        z, w = midpoint(q[cells[-1]])
        t = np.multiply.outer(root, z)
        np.tanh(t, out=t)
        square = t * t
        out[0, cells] = square @ w
        s = 1.0 - square
        t *= s
        out[1, cells] = t @ (w * z) / root
        if slopes:
            s *= s
            out[2, cells] = s @ w
            s *= square
            out[3, cells] = 4.0 * (s @ w)
    return out


def tanh_lengths(weight, bias):
    """q*: a cubic table over sqrt(q) gives the guess, Newton on the averages the answer."""
    root = np.linspace(0.0, np.sqrt((weight + bias).max()), 400)
    second, slope = np.zeros(root.size), np.zeros(root.size)
    second[1:], slope[1:] = tanh_averages(root[1:] ** 2)
    slope[0] = 1.0
    table = CubicHermiteSpline(root, second, 2.0 * root * slope)
    table_slope = table.derivative()
    q = np.zeros(weight.size)
    # V is concave: from above, Newton's method falls monotonically
    open_ = np.flatnonzero((bias > 0.0) | (weight > 1.0))
    x = np.sqrt(weight[open_] + bias[open_])
    for _ in range(50):
        w, b = weight[open_], bias[open_]
        move = (w * table(x) + b - x * x) / (w * table_slope(x) - 2.0 * x)
        x = x - move
        q[open_] = x * x
        go_on = np.abs(move) > 1e-4 * x
        open_, x = open_[go_on], x[go_on]
        if not open_.size:
            break
    open_ = np.flatnonzero(q > 0.0)
    for _ in range(20):
        second, slope = tanh_averages(q[open_])
        w = weight[open_]
        move = (w * second + bias[open_] - q[open_]) / (1.0 - w * slope)
        q[open_] += move
        open_ = open_[np.abs(move) > 1e-6 * q[open_]]
        if not open_.size:
            break
    return q


# tanh: correlations by Mehler's series


def hermite_table(z, w, n_terms):
    """w h_k(z) / sqrt(k!) for the first n_terms odd k, as (nodes, terms)."""
    table = np.empty((n_terms, z.size))
    before, now = np.ones_like(z), z.copy()
    table[0] = now
    for k in range(1, 2 * n_terms - 1):
        before, now = now, (z * now - np.sqrt(k) * before) / np.sqrt(k + 1.0)
        if k % 2 == 0:
            table[k // 2] = now
    table *= w
    return table.T


def all_terms(q):
    """How many odd terms all the series takes: a_k falls like exp(-pole distance sqrt(k))."""
    return int((15.0 / (0.5 * np.pi / np.sqrt(q))) ** 2 / 2.0) + 8


def tanh_series(q, n_terms):
    """a_k^2 / q for odd k, as (cells, terms), and E phi^2 / q, by one matrix product."""
    k_max = 2.0 * n_terms
    reach = 7.5 + 0.12 * np.sqrt(max(0.0, k_max - 100.0))
    z, w = midpoint(q.max(), np.sqrt(k_max), reach)
    phi = np.multiply.outer(np.sqrt(q), z)
    np.tanh(phi, out=phi)
    square = phi @ hermite_table(z, w, n_terms)
    square *= square
    square /= q[:, None]
    phi *= phi
    return square, phi @ w / q


def tanh_correlation(q, weight, delta, n_terms, *, truncated):
    """Newton's method for C(1 - delta) = 1 - delta, on (1 - C) / delta = 1; delta and chi_c.

    With `truncated` the terms left out are taken to vanish at c, else at c = 1 as well.
    """
    square, second = tanh_series(q, n_terms)
    k = np.arange(1.0, 2 * n_terms, 2.0)
    # sum a_k^2 (1 - c^k) / (1 - c) = sum_j c^j (sum of a_k^2, k > j): no cancellation
    tail = np.cumsum(square[:, ::-1], axis=1)[:, ::-1]
    rest = second - tail[:, 0] if truncated else np.zeros(q.size)
    slope_terms = square * k
    delta, chi = delta.copy(), np.empty(q.size)
    todo = np.arange(q.size)
    for _ in range(60):
        at = delta[todo]
        log_c = np.log1p(-np.minimum(at, 1.0 - 1e-15))
        power = np.exp(np.multiply.outer(log_c, k - 1.0))  # c^0, c^2, ...
        c = 1.0 - at
        chi[todo] = weight[todo] * np.einsum("ij,ij->i", slope_terms[todo], power)
        inner = np.einsum("ij,ij->i", tail[todo, 1:], power[:, :-1])
        ratio = weight[todo] * (tail[todo, 0] + (c + c * c) * inner + rest[todo] / at)
        new = at - (ratio - 1.0) * at / (chi[todo] - ratio)
        new = np.where(new > 0.0, np.minimum(new, 1.0), 0.5 * at)
        delta[todo] = new
        # the slope belongs to the point before the last step
        go_on = np.abs(new - at) > 1e-12 * new
        if truncated:
            go_on &= new > 0.05
        todo = todo[go_on]
        if not todo.size:
            break
    return delta, chi


def tanh_diagram(sigma_w, sigma_b):
    """All four by quadrature for q, and Mehler's series for c."""
    weight, bias = grid(sigma_w, sigma_b)
    q = tanh_lengths(weight, bias)
    chi_1 = weight.copy()
    alive = np.flatnonzero(q > 0.0)
    _, _, slope_squared, curvature = tanh_averages(q[alive], slopes=True)
    chi_1[alive] *= slope_squared
    delta = np.where(q > 0.0, 0.0, np.nan)
    chi_c = np.where(q > 0.0, chi_1, np.nan)
    chaotic = alive[chi_1[alive] > 1.0]
    near = np.zeros(weight.size)
    near[alive] = 2.0 * (chi_1[alive] - 1.0) / (q[alive] * weight[alive] * curvature)
    delta[chaotic] = np.where(near[chaotic] < 0.3, near[chaotic], 1.0)
    chaotic = chaotic[np.argsort(q[chaotic])]
    close = []
    short = 121  # odd terms: 0.9^242 = 1e-11
    for cells in np.array_split(chaotic, 12):
        if not cells.size:
            continue
        n_terms = min(short, all_terms(q[cells[-1]]))
        d, chi = tanh_correlation(
            q[cells], weight[cells], delta[cells], n_terms, truncated=n_terms == short
        )
        done = (d > 0.1) if n_terms == short else np.ones(d.size, dtype=bool)
        delta[cells[done]], chi_c[cells[done]] = d[done], chi[done]
        close.append(cells[~done])
    close = np.concatenate(close)
    for cells in np.array_split(close, 6):
        if cells.size:
            delta[cells], chi_c[cells] = tanh_correlation(
                q[cells], weight[cells], delta[cells], all_terms(q[cells[-1]]), truncated=False
            )
    return q, chi_1, 1.0 - delta, chi_c


# closed forms


class Erf:
    """Newton from above: V is concave."""

    start = staticmethod(lambda weight, bias: weight + bias)

    @staticmethod
    def length(q):
        wide = 1.0 + 4.0 * q
        root = np.sqrt(wide)
        second = 2.0 / np.pi * np.arctan2(2.0 * q, root)
        return second, 4.0 / np.pi / ((1.0 + 2.0 * q) * root)

    @staticmethod
    def slopes(q):
        wide = 1.0 + 4.0 * q
        chi = 4.0 / np.pi / np.sqrt(wide)
        return chi, 4.0 * q / wide * chi

    @staticmethod
    def pair(q, c):
        wide, p = 1.0 + 2.0 * q, 2.0 * q * c
        root = np.sqrt((wide - p) * (wide + p))
        return 2.0 / np.pi * np.arctan2(p, root), 4.0 / np.pi / root


class Sin:
    """Newton from above: V is concave."""

    start = staticmethod(lambda weight, bias: 0.5 * weight + bias)

    @staticmethod
    def length(q):
        decay = np.exp(-2.0 * q)
        return 0.5 * (1.0 - decay), decay

    @staticmethod
    def slopes(q):
        decay = np.exp(-2.0 * q)
        return 0.5 * (1.0 + decay), 0.5 * (1.0 - decay)

    @staticmethod
    def pair(q, c):
        p = q * c
        near, far = np.exp(p - q), np.exp(-p - q)
        return 0.5 * (near - far), 0.5 * (near + far)


class Relu:
    """V is a straight line: one step; chi_1 < 1 wherever q is finite."""

    start = staticmethod(lambda weight, bias: bias.copy())

    @staticmethod
    def length(q):
        return 0.5 * q, 0.5

    @staticmethod
    def slopes(q):
        return np.full(q.shape, 0.5), np.full(q.shape, np.inf)


class Gelu:
    """Newton from below reaches the smallest fixed point, the limit from q = 1 if any is."""

    start = staticmethod(lambda weight, bias: bias.copy())

    @staticmethod
    def length(q):
        root, wide = np.sqrt(1.0 + 2.0 * q), 1.0 + q
        angle = 0.25 + np.arctan(q / root) / (2.0 * np.pi)
        tail = q / (np.pi * wide * root)
        slope = angle + tail * (2.5 - q / wide - q / (root * root))
        return q * (angle + tail), slope

    @staticmethod
    def slopes(q):
        v = q / (1.0 + 2.0 * q)
        curvature = (4.0 - 4.0 * v + 3.0 * v * v) / (2.0 * np.pi * np.sqrt(1.0 + 2.0 * q))
        return Gelu.pair(q, 1.0)[1], curvature

    @staticmethod
    def pair(q, c):
        wide, p = 1.0 + q, q * c
        square = (wide - p) * (wide + p)
        root = np.sqrt(square)
        angle = 0.25 + np.arctan2(p, root) / (2.0 * np.pi)
        rise = 2.0 / wide
        product = p * angle + (q * q + p * p * (rise - 1.0)) / (2.0 * np.pi * root)
        return product, angle + p / (2.0 * np.pi * root) * (rise + 1.0 / square)


def closed_form_lengths(form, weight, bias):
    """q* by Newton's method on the cells that are not done; inf where there is none from q = 1."""
    q = form.start(weight, bias)
    open_ = np.arange(q.size)
    x, w, b = q.copy(), weight, bias
    for _ in range(60):
        second, slope = form.length(x)
        descent = 1.0 - w * slope
        with np.errstate(divide="ignore", invalid="ignore"):
            new = x + (w * second + b - x) / descent
        if form in {Relu, Gelu}:  # V is convex: beyond its minimum V(q) - q has no first root
            new[descent <= 0.0] = np.inf
        go_on = np.abs(new - x) > 1e-8 * new
        q[open_] = new
        go_on &= np.isfinite(new)
        open_, x, w, b = open_[go_on], new[go_on], w[go_on], b[go_on]
        if not open_.size:
            break
    q[open_] = np.inf
    if form is Gelu:
        second, _ = form.length(np.ones(1))
        q[(weight * second + bias > 1.0) & (q < 1.0)] = np.inf
    return q


def closed_form_diagram(form, sigma_w, sigma_b):
    """All four for a phi whose averages have closed forms."""
    weight, bias = grid(sigma_w, sigma_b)
    if form in {Erf, Sin}:
        slope = form.slopes(np.zeros(1))[0]
        zero = (bias == 0.0) & (weight * slope <= 1.0)
        q = closed_form_lengths(form, weight, np.where(zero, 1.0, bias))
        q[zero] = 0.0
    else:
        q = closed_form_lengths(form, weight, bias)
    finite = np.isfinite(q)
    chi_1 = 0.5 * weight  # the limit for q -> inf of relu and gelu
    slope_squared, curvature = form.slopes(q[finite])
    chi_1[finite] = weight[finite] * slope_squared
    settled = finite & (q > 0.0)
    c = np.where(settled, 1.0, np.nan)
    chi_c = np.where(settled, chi_1, np.nan)
    full_curvature = np.zeros(q.size)
    full_curvature[finite] = curvature
    open_ = np.flatnonzero(settled & (chi_1 > 1.0))
    x, w, b, at = q[open_], weight[open_], bias[open_], np.zeros(open_.size)
    near = 2.0 * (chi_1[open_] - 1.0) / (x * w * full_curvature[open_])
    at = np.where(near < 0.3, 1.0 - near, 0.0)
    for _ in range(60):
        if not open_.size:
            break
        product, slope = form.pair(x, at)
        chi = w * slope
        # Newton's method on (1 - C) / (1 - c) = 1, whose only root is c*
        excess = (w * product + b) / x - at
        new = at + excess / (1.0 - chi - excess / (1.0 - at))
        new = np.where(new < 1.0, new, 0.5 * (1.0 + at))
        c[open_], chi_c[open_] = new, chi
        go_on = np.abs(new - at) > 1e-11 * (1.0 - new)
        open_, at = open_[go_on], new[go_on]
        x, w, b = x[go_on], w[go_on], b[go_on]
    return q, chi_1, c, chi_c


CLOSED_FORMS = {"erf": Erf, "relu": Relu, "gelu": Gelu, "sin": Sin}


# tanh: Gauss-Hermite, the usual choice


def gauss_hermite_lengths(sigma_w, sigma_b, n_nodes=64):
    """q* and chi_1 by Newton's method with Gauss-Hermite nodes, half of them since tanh is odd."""
    z, w = np.polynomial.hermite_e.hermegauss(n_nodes)
    z, w = z[n_nodes // 2 :], 2.0 * w[n_nodes // 2 :] / np.sqrt(2.0 * np.pi)
    weight, bias = grid(sigma_w, sigma_b)
    q = weight + bias
    chi_1 = np.empty(q.size)
    size = CHUNK // z.size
    work = np.empty((size, z.size))
    for first in range(0, q.size, size):
        cells = np.arange(first, min(q.size, first + size))
        for _ in range(60):
            x, gain = q[cells], weight[cells]
            root = np.sqrt(x)
            t = np.multiply.outer(root, z, out=work[: cells.size])
            np.tanh(t, out=t)
            square = t * t
            s = 1.0 - square
            second = square @ w
            t *= s
            slope = (t @ (w * z)) / root
            s *= s
            new = x + (gain * second + bias[cells] - x) / (1.0 - gain * slope)
            q[cells], chi_1[cells] = new, gain * (s @ w)
            cells = cells[np.abs(new - x) > 1e-12 * new]
            if not cells.size:
                break
    return q, chi_1
