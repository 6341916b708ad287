// Discrete Fourier transforms of real signals of any length, as many at a time as fill two
// registers (Stockham's self-sorting order, with radices 4, 2, 3, 5 and then any prime). Two
// signals make a complex one, z = f + i g.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "meanfree/random.hpp"
#include "meanfree/sums.hpp"

namespace meanfree {
namespace detail {

/// Of several signals f at `n` points each, the values of a point side by side:
///
///     f(t) = sum over 0 <= k <= (n - 1) / 2 of a_k cos(2 pi k t / n) + b_k sin(2 pi k t / n),
///
/// the cosine at the frequency n / 2, for even n, being left out.
class Fourier {
 public:
  static constexpr int half = n_lanes, signals = 2 * half;

  explicit Fourier(std::int64_t n)
      : n_(n), first_(signals * n), second_(signals * n), cosine_(n), sine_(n) {
    const double step = 2.0 * 3.141592653589793 / static_cast<double>(n);
    for (std::int64_t t = 0; t < n; ++t) {  // by the nearest quarter, where they are exact
      const std::int64_t quarter = (4 * t + n / 2) / n;
      const double rest = step * static_cast<double>(4 * t - quarter * n) / 4.0;
      const double c = std::cos(rest), s = std::sin(rest);
      const double table[4][2] = {{c, s}, {-s, c}, {-c, -s}, {s, -c}};
      cosine_.data()[t] = table[quarter % 4][0];
      sine_.data()[t] = table[quarter % 4][1];
    }
    std::int64_t rest = n;
    for (const int radix : {4, 2, 3, 5}) {
      for (; rest % radix == 0; rest /= radix) radices_.push_back(radix);
    }
    for (std::int64_t radix = 7; rest > 1; radix += 2) {
      for (; rest % radix == 0; rest /= radix) radices_.push_back(radix);
    }
  }

  std::int64_t frequencies() const { return (n_ + 1) / 2; }

  /// f from a and b, each (frequencies, signals), of which the first `count` frequencies are not 0.
  /// The result, (n, signals), stays until the next call.
  const double* synthesise(const double* a, const double* b, std::int64_t count) {
    double* z = first_.data();
    std::memset(z, 0, static_cast<std::size_t>(signals * n_) * sizeof(double));
    store(z, load(a));
    store(z + half, load(a + half));
    for (std::int64_t k = 1; k < count; ++k) {
      const Vector af = 0.5 * load(a + signals * k), ag = 0.5 * load(a + signals * k + half);
      const Vector bf = 0.5 * load(b + signals * k), bg = 0.5 * load(b + signals * k + half);
      double *up = z + signals * k, *down = z + signals * (n_ - k);
      store(up, af + bg);
      store(up + half, ag - bf);
      store(down, af - bg);
      store(down + half, ag + bf);
    }
    return transform<1>();
  }

  /// a and b of f, (n, signals); the first `count` frequencies.
  void analyse(const double* f, double* a, double* b, std::int64_t count) {
    std::memcpy(first_.data(), f, static_cast<std::size_t>(signals * n_) * sizeof(double));
    const double* z = transform<-1>();
    const double scale = 1.0 / static_cast<double>(n_);
    store(a, scale * load(z));
    store(a + half, scale * load(z + half));
    store(b, Vector{});
    store(b + half, Vector{});
    for (std::int64_t k = 1; k < count; ++k) {
      const double *up = z + signals * k, *down = z + signals * (n_ - k);
      store(a + signals * k, scale * (load(up) + load(down)));
      store(a + signals * k + half, scale * (load(up + half) + load(down + half)));
      store(b + signals * k, scale * (load(down + half) - load(up + half)));
      store(b + signals * k + half, scale * (load(up) - load(down)));
    }
  }

  static Vector load(const double* p) {
    Vector x;
    std::memcpy(&x, p, sizeof x);
    return x;
  }
  static void store(double* p, const Vector& x) { std::memcpy(p, &x, sizeof x); }

 private:
  struct Complex {
    Vector re, im;
    Complex operator+(const Complex& o) const { return {re + o.re, im + o.im}; }
    Complex operator-(const Complex& o) const { return {re - o.re, im - o.im}; }
  };
  static Complex load_complex(const double* p) { return {load(p), load(p + half)}; }
  static void store_complex(double* p, const Complex& z) {
    store(p, z.re);
    store(p + half, z.im);
  }
  static Complex times(const Complex& z, double c, double s) {
    return {c * z.re - s * z.im, c * z.im + s * z.re};
  }

  /// sum over t of z_t exp(sign 2 pi i k t / n), in place of z.
  template <int sign>
  const double* transform() {
    double *from = first_.data(), *to = second_.data();
    std::int64_t length = n_, stride = 1;
    for (const std::int64_t radix : radices_) {
      const std::int64_t m = length / radix;
      for (std::int64_t q = 0; q < m; ++q) {
        const double* in = from + signals * stride * q;
        double* out = to + signals * stride * radix * q;
        // the factors exp(sign 2 pi i q j / length)
        const auto factor = [&](std::int64_t j) { return q * j * stride % n_; };
        if (radix == 4) {
          fixed<sign, 4>(in, out, m, stride, factor);
        } else if (radix == 5) {
          fixed<sign, 5>(in, out, m, stride, factor);
        } else if (radix == 2) {
          fixed<sign, 2>(in, out, m, stride, factor);
        } else if (radix == 3) {
          fixed<sign, 3>(in, out, m, stride, factor);
        } else {
          any<sign>(in, out, radix, m, stride, factor);
        }
      }
      std::swap(from, to);
      length = m;
      stride *= radix;
    }
    return from;
  }

  template <int sign, int radix, class Factor>
  void fixed(const double* in, double* out, std::int64_t m, std::int64_t stride,
             const Factor& factor) {
    double c[radix], s[radix];
    for (int j = 0; j < radix; ++j) {
      c[j] = cosine_.data()[factor(j)];
      s[j] = sign * sine_.data()[factor(j)];
    }
    for (std::int64_t k = 0; k < stride; ++k) {
      Complex z[radix];
      for (int j = 0; j < radix; ++j) z[j] = load_complex(in + signals * (k + stride * m * j));
      butterfly<sign>(z);
      store_complex(out + signals * k, z[0]);
      for (int j = 1; j < radix; ++j) {
        store_complex(out + signals * (k + stride * j), times(z[j], c[j], s[j]));
      }
    }
  }

  template <int sign>
  static void butterfly(Complex (&z)[2]) {
    const Complex a = z[0], b = z[1];
    z[0] = a + b;
    z[1] = a - b;
  }
  template <int sign>
  static void butterfly(Complex (&z)[3]) {
    constexpr double sine = sign * 0.8660254037844386;
    const Complex sum = z[1] + z[2], difference = z[1] - z[2];
    const Complex centre{z[0].re - 0.5 * sum.re, z[0].im - 0.5 * sum.im};
    const Complex turned{-sine * difference.im, sine * difference.re};
    z[0] = z[0] + sum;
    z[1] = centre + turned;
    z[2] = centre - turned;
  }
  template <int sign>
  static void butterfly(Complex (&z)[4]) {
    const Complex a = z[0] + z[2], b = z[0] - z[2], c = z[1] + z[3], d = z[1] - z[3];
    constexpr double one = sign;
    const Complex turned{-one * d.im, one * d.re};
    z[0] = a + c;
    z[1] = b + turned;
    z[2] = a - c;
    z[3] = b - turned;
  }
  template <int sign>
  static void butterfly(Complex (&z)[5]) {
    constexpr double c1 = 0.30901699437494745, c2 = -0.8090169943749475;
    constexpr double s1 = sign * 0.9510565162951535, s2 = sign * 0.5877852522924731;
    const Complex a = z[1] + z[4], b = z[2] + z[3], c = z[1] - z[4], d = z[2] - z[3];
    const Complex p{z[0].re + c1 * a.re + c2 * b.re, z[0].im + c1 * a.im + c2 * b.im};
    const Complex q{z[0].re + c2 * a.re + c1 * b.re, z[0].im + c2 * a.im + c1 * b.im};
    const Complex r{-(s1 * c.im + s2 * d.im), s1 * c.re + s2 * d.re};
    const Complex s{-(s2 * c.im - s1 * d.im), s2 * c.re - s1 * d.re};
    z[0] = z[0] + a + b;
    z[1] = p + r;
    z[2] = q + s;
    z[3] = q - s;
    z[4] = p - r;
  }

  template <int sign, class Factor>
  void any(const double* in, double* out, std::int64_t radix, std::int64_t m, std::int64_t stride,
           const Factor& factor) {
    for (std::int64_t k = 0; k < stride; ++k) {
      for (std::int64_t j = 0; j < radix; ++j) {
        Complex sum = load_complex(in + signals * k);
        for (std::int64_t i = 1; i < radix; ++i) {
          const std::int64_t at = i * j % radix * (n_ / radix);
          const Complex z = load_complex(in + signals * (k + stride * m * i));
          sum = sum + times(z, cosine_.data()[at], sign * sine_.data()[at]);
        }
        const std::int64_t at = factor(j);
        store_complex(out + signals * (k + stride * j),
                      times(sum, cosine_.data()[at], sign * sine_.data()[at]));
      }
    }
  }

  std::int64_t n_;
  Buffer first_, second_, cosine_, sine_;
  std::vector<std::int64_t> radices_;
};

}  // namespace detail
}  // namespace meanfree
