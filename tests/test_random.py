import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from meanfree import _core
from meanfree._cpu import levels

PRESENT = [level for level in levels() if find_spec(f"meanfree._core_{level}")]
WORD = np.uint32
LONG = np.uint64

# Known answers of Random123 (Salmon et al., 2011): counter, key, words.
KNOWN = {
    "zeros": ("00000000 00000000 00000000 00000000", "00000000 00000000",
              "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    "ones": ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
             "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    "pi": ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
           "d16cfe09 94fdcceb 5001e420 24126ea1"),
}  # fmt: skip


def parsed(text):
    return np.array([int(word, 16) for word in text.split()], dtype=WORD)


def plain_normals(seed, sample, layer, n):
    """Box and Muller from the words of philox, as random.hpp defines it, by numpy."""
    block = np.arange((n + 63) // 64 * 16, dtype=LONG)
    counter = np.empty((block.size, 4), dtype=WORD)
    counter[:, 0], counter[:, 1] = block & LONG(0xFFFFFFFF), block >> LONG(32)
    counter[:, 2], counter[:, 3] = layer, sample
    words = _core.philox(counter, np.array([seed & 0xFFFFFFFF, seed >> 32], WORD)).astype(LONG)
    pairs = words[:, ::2] << LONG(32) | words[:, 1::2]
    w = pairs.reshape(-1, 16, 2).transpose(0, 2, 1).reshape(-1, 32)
    radius = np.sqrt(-np.log(1.0 - (w >> LONG(12)) * 2.0**-52))
    k = (w & LONG(0x3FF)) << LONG(12) | w >> LONG(12) & LONG(0xFFF)
    psi = np.pi / 2 * ((k + 0.5) * 2.0**-22 - 0.5)
    sign_1 = np.where(w >> LONG(11) & LONG(1), -1.0, 1.0)
    sign_2 = np.where(w >> LONG(10) & LONG(1), -1.0, 1.0)
    z_1 = sign_1 * radius * (np.cos(psi) - np.sin(psi))
    z_2 = sign_2 * radius * (np.cos(psi) + np.sin(psi))
    return np.concatenate([z_1, z_2], axis=1).ravel()[:n]


@pytest.mark.parametrize("name", KNOWN)
def test_philox_gives_the_published_words(name):
    counter, key, expected = (parsed(text) for text in KNOWN[name])
    np.testing.assert_array_equal(_core.philox(counter[np.newaxis], key)[0], expected)


@pytest.mark.parametrize(
    ("seed", "sample", "layer"), [(0, 0, 0), (0x0123456789ABCDEF, 77, 5), (2**64 - 1, 2**32 - 1, 9)]
)
def test_normals_follow_from_the_words(seed, sample, layer):
    n = 20_000
    # psi has the rounding of pi/2, the rest about 2 ulp, at |z| <= 6
    np.testing.assert_allclose(
        _core.normals(seed, sample, layer, n),
        plain_normals(seed, sample, layer, n),
        rtol=0,
        atol=6e-15,
    )


@pytest.mark.parametrize("level", PRESENT)
def test_instruction_sets_agree_to_rounding(level):
    code = (
        f"import sys, meanfree._core_{level} as core;"
        "sys.stdout.buffer.write(core.normals(3, 1, 4, 5000).tobytes())"
    )
    raw = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    np.testing.assert_allclose(np.frombuffer(raw), _core.normals(3, 1, 4, 5000), rtol=0, atol=6e-15)


@given(
    seed=st.integers(0, 2**64 - 1),
    sample=st.integers(0, 2**32 - 1),
    layer=st.integers(0, 2**24 - 1),
    n=st.integers(0, 300),
)
def test_a_draw_does_not_depend_on_how_many_are_asked_for(seed, sample, layer, n):
    np.testing.assert_array_equal(
        _core.normals(seed, sample, layer, n), _core.normals(seed, sample, layer, 300)[:n]
    )


def test_law_is_standard_normal():
    z = _core.normals(20, 0, 0, 2**20)
    # fixed seed; p of the Kolmogorov-Smirnov test is uniform if the law is right
    assert stats.kstest(z, special.ndtr).pvalue > 1e-3
    # E z^k and its standard error from E z^2k = (2k - 1)!!
    for k in range(1, 9):
        expected = 0 if k % 2 else special.factorial2(k - 1)
        error = np.sqrt((special.factorial2(2 * k - 1) - expected**2) / z.size)
        assert abs(np.mean(z**k) - expected) <= 4.5 * error


@pytest.mark.parametrize("bound", [1.0, 2.0, 3.0, 4.0, 5.0])
def test_tails_have_the_right_weight(bound):
    n = 2**22
    z = np.concatenate([_core.normals(21, sample, 0, 2**20) for sample in range(4)])
    p = 2 * special.ndtr(-bound)
    assert abs(np.count_nonzero(np.abs(z) > bound) - n * p) <= 4.5 * np.sqrt(n * p * (1 - p)) + 1


@pytest.mark.parametrize("lag", [1, 2, 8, 31, 32, 33, 64])
def test_neighbours_are_independent(lag):
    z = _core.normals(22, 0, 0, 2**20)
    a, b = z[:-lag], z[lag:]
    # standard errors of the means of a b and of (a^2 - 1)(b^2 - 1)
    assert abs(np.mean(a * b)) <= 4.5 / np.sqrt(a.size)
    assert abs(np.mean((a * a - 1) * (b * b - 1))) <= 4.5 * 2 / np.sqrt(a.size)


@pytest.mark.parametrize(
    "other", [(24, 0, 0), (23 + 2**32, 0, 0), (23, 1, 0), (23, 0, 1), (23, 1, 1)]
)
def test_streams_are_independent(other):
    a, b = _core.normals(23, 0, 0, 2**18), _core.normals(*other, 2**18)
    assert abs(np.mean(a * b)) <= 4.5 / np.sqrt(a.size)
    assert not np.isin(a, b).any()


def test_counter_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"sample must be < 2\^32"):
        _core.normals(0, 2**32, 0, 1)
    with pytest.raises(ValueError, match=r"layer must be < 2\^24"):
        _core.normals(0, 0, 2**24, 1)
    with pytest.raises(TypeError):
        _core.normals(-1, 0, 0, 1)


def test_wrong_shape_of_the_counter_is_refused():
    with pytest.raises(ValueError, match=r"counter must have shape \(n, 4\)"):
        _core.philox(np.zeros((2, 3), WORD), np.zeros(2, WORD))
