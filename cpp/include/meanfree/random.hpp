// Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011). A draw is a
// function of its key and counter only, so it depends on no thread, no chunk and no instruction
// set.
//
//     key     = seed (64 bits, low word first)
//     counter = (block low, block high, layer + 2^24 purpose, sample), 32 bits each
//
// A block is two 64-bit words: word 0 high, word 1 low; word 2 high, word 3 low. A word w gives one
// uniform, or two normals by Box and Muller (1958):
//
//     z_1, z_2 = +-sqrt(-log u) (cos psi - sin psi, cos psi + sin psi)
//
//     u = 1 - (w >> 12) 2^-52            bits 63-12
//     the two signs                      bits 11, 10
//     psi = pi/2 ((k + 1/2) 2^-22 - 1/2) k of bits 9-0, then 23-12: an angle pi/4 + psi
//
// so that the 2^24 angles are equally spaced: moments in them are exact up to degree 2^24. The
// least u is 2^-52, so |z| <= 8.49, beyond which a normal has probability 2.1e-17. The last 12 bits
// of u are the last 12 bits of psi as well: given psi, u is uniform on steps of 2^-40. No
// probability is off by more than 9e-13, and no moment by more than about 1e-13; only beyond |z|
// = 7.4, which has probability 1e-13, is the direction of a pair bound to its length.
//
// 16 blocks, 32 words, make a tile: of its 64 normals, i and i + 32 come from word i.
// Polynomials: minimax fits (Remez), of relative error 2e-16 (log), 3e-18 (sin), 5e-17 (cos).
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <stdexcept>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "meanfree/special.hpp"

namespace meanfree {

/// Streams that share seed, sample and layer and never overlap.
enum class Purpose : std::uint32_t { normals, uniforms, weights, pre_activations, lengths, waves };

constexpr std::uint64_t largest_sample = 0xffffffff, largest_layer = 0xffffff;

namespace detail {

constexpr std::uint32_t philox_multiplier[2] = {0xD2511F53, 0xCD9E8D57};
constexpr std::uint32_t philox_weyl[2] = {0x9E3779B9, 0xBB67AE85};
constexpr int philox_rounds = 10;

#if defined(__AVX512F__)
constexpr int lane_bytes = 64;
#elif defined(__AVX2__)
constexpr int lane_bytes = 32;
#else
constexpr int lane_bytes = 16;
#endif
constexpr int n_lanes = lane_bytes / 8;
constexpr int interleaved = 2;  // independent registers hide the latency of the products

/// A register of 64-bit lanes, each with a word in its low half and anything in its high half.
typedef std::uint64_t Lanes __attribute__((vector_size(lane_bytes)));

/// Products of the low halves. Written out, since compilers multiply 64-bit lanes in full.
inline Lanes multiply_low(Lanes a, Lanes b) {
#if defined(__AVX512F__)
  return Lanes(_mm512_maskz_mul_epu32(0xff, __m512i(a), __m512i(b)));
#elif defined(__AVX2__)
  return Lanes(_mm256_mul_epu32(__m256i(a), __m256i(b)));
#elif defined(__SSE2__)
  return Lanes(_mm_mul_epu32(__m128i(a), __m128i(b)));
#else
  return (a & 0xffffffff) * (b & 0xffffffff);
#endif
}

inline Lanes broadcast(std::uint64_t x) { return Lanes{} + x; }

constexpr int tile_blocks = 16, tile_words = 2 * tile_blocks;
constexpr std::int64_t tile_normals = 2 * tile_words;

/// The words of 16 blocks: the first ones of each, then the second ones.
struct alignas(64) Tile {
  std::uint64_t word[tile_words];
};

/// One stream: the keys of the rounds, and the counter but for the block.
struct Stream {
  std::uint64_t key_0[philox_rounds], key_1[philox_rounds];
  std::uint64_t layer_and_purpose, sample;

  Stream(std::uint64_t seed, std::uint64_t sample_, std::uint64_t layer, Purpose purpose)
      : layer_and_purpose(layer | static_cast<std::uint64_t>(purpose) << 24), sample(sample_) {
    if (sample > largest_sample) throw std::invalid_argument("sample must be < 2^32");
    if (layer > largest_layer) throw std::invalid_argument("layer must be < 2^24");
    auto k0 = static_cast<std::uint32_t>(seed), k1 = static_cast<std::uint32_t>(seed >> 32);
    for (int round = 0; round < philox_rounds; ++round) {
      key_0[round] = k0;
      key_1[round] = k1;
      k0 += philox_weyl[0];
      k1 += philox_weyl[1];
    }
  }
};

/// The words of blocks [16 tile, 16 tile + 16).
inline void philox_tile(const Stream& stream, std::uint64_t tile, Tile& words) {
  static_assert(tile_blocks % (interleaved * n_lanes) == 0, "registers fill a tile");
  const Lanes multiplier_0 = broadcast(philox_multiplier[0]);
  const Lanes multiplier_1 = broadcast(philox_multiplier[1]);
  Lanes counting;
  for (int lane = 0; lane < n_lanes; ++lane) counting[lane] = static_cast<std::uint64_t>(lane);
  for (int start = 0; start < tile_blocks; start += interleaved * n_lanes) {
    Lanes c0[interleaved], c1[interleaved], c2[interleaved], c3[interleaved];
    for (int u = 0; u < interleaved; ++u) {
      c0[u] = counting + (tile * tile_blocks + static_cast<std::uint64_t>(start + u * n_lanes));
      c1[u] = c0[u] >> 32;
      c2[u] = broadcast(stream.layer_and_purpose);
      c3[u] = broadcast(stream.sample);
    }
    constexpr int last = philox_rounds - 1;
    for (int round = 0; round < last; ++round) {
      for (int u = 0; u < interleaved; ++u) {
        const Lanes p0 = multiply_low(multiplier_0, c0[u]), p1 = multiply_low(multiplier_1, c2[u]);
        c0[u] = p1 >> 32 ^ c1[u] ^ broadcast(stream.key_0[round]);
        c2[u] = p0 >> 32 ^ c3[u] ^ broadcast(stream.key_1[round]);
        c1[u] = p1;
        c3[u] = p0;
      }
    }
    // The last round leaves words 0, 1 and words 2, 3 side by side in the two products.
    for (int u = 0; u < interleaved; ++u) {
      const Lanes p0 = multiply_low(multiplier_0, c0[u]), p1 = multiply_low(multiplier_1, c2[u]);
      const Lanes first = p1 ^ c1[u] << 32 ^ broadcast(stream.key_0[last] << 32);
      const Lanes second = p0 ^ c3[u] << 32 ^ broadcast(stream.key_1[last] << 32);
      std::memcpy(words.word + start + u * n_lanes, &first, sizeof first);
      std::memcpy(words.word + tile_blocks + start + u * n_lanes, &second, sizeof second);
    }
  }
}

constexpr std::uint64_t fraction_bits = 0x000fffffffffffff, bits_of_one = 0x3ff0000000000000;

/// -log(u) for u in [2^-52, 1], relative error 4e-16: u = 2^k (1 + s) / (1 - s), |s| < 0.172.
/// Cheaper than special::log_normal, which has one digit more and a wider domain.
MEANFREE_INLINE double minus_log(double u) {
  using namespace special::detail;
  constexpr std::uint64_t root_half = 0x3fe6a09e667f3bcd;
  const std::uint64_t biased = bits(u) + (bits_of_one - root_half);
  const double k = from_bits(biased >> 52 | 0x4330000000000000) - (0x1p52 + 1023.0);
  const double m = from_bits((biased & fraction_bits) + root_half);
  const double s = (m - 1.0) / (m + 1.0);
  const double z = s * s;
  const double p = polynomial(z, 0.6666666666658724, 0.40000000052260853, 0.2857141713149866,
                              0.22223371579824258, 0.18123645490198492, 0.16819790632653372);
  return -fma(k, 0.6931471805599453, fma(s, z * p, 2.0 * s));
}

/// Box and Muller: the 64 normals of a tile.
inline void box_muller(const Tile& tile, double* out) {
  using namespace special::detail;
  constexpr std::uint64_t coarse = 0x000ffc0000000000, fine = 0x000003ffc0000000, half = 1 << 29;
  alignas(64) double squared_radius[tile_words];
  for (int i = 0; i < tile_words; ++i) {
    squared_radius[i] = minus_log(2.0 - from_bits(tile.word[i] >> 12 | bits_of_one));
  }
  for (int i = 0; i < tile_words; ++i) {
    const std::uint64_t w = tile.word[i];
    const std::uint64_t fraction = (w << 42 & coarse) | (w << 18 & fine);
    const double t = from_bits(fraction | (bits_of_one + half)) - 1.5;  // 2 psi / pi
    const double t2 = t * t;
    const double sine =
        t * polynomial(t2, 1.5707963267948966, -0.6459640975062443, 0.07969262624603957,
                       -0.00468175413228242, 0.00016044115029166048, -3.598641754461118e-06,
                       5.6337210117050746e-08);
    const double cosine =
        polynomial(t2, 1.0, -1.2337005501361513, 0.25366950789986553, -0.02086348073496046,
                   0.0009192599501487971, -2.5200135645153444e-05, 4.6553012653516605e-07);
    const std::uint64_t radius = bits(std::sqrt(squared_radius[i]));
    out[i] = from_bits(radius ^ (w << 52 & sign_bit)) * (cosine - sine);
    out[i + tile_words] = from_bits(radius ^ (w << 53 & sign_bit)) * (cosine + sine);
  }
}

/// The 32 uniforms of a tile: k 2^-52, 0 <= k < 2^52.
inline void uniform_tile(const Tile& tile, double* out) {
  for (int i = 0; i < tile_words; ++i) {
    out[i] = special::detail::from_bits(tile.word[i] >> 12 | bits_of_one) - 1.0;
  }
}

/// Draws [first, first + n) of a stream; make(tile, out) gives the tile_draws of a tile.
template <int tile_draws, class Make>
inline void draw(const Stream& stream, std::uint64_t first, std::int64_t n, double* out,
                 const Make& make) {
  Tile words;
  std::uint64_t tile = first / tile_draws;
  auto skip = static_cast<std::int64_t>(first % tile_draws);
  while (n > 0) {
    philox_tile(stream, tile++, words);
    const std::int64_t count = std::min(n, tile_draws - skip);
    if (count == tile_draws) {
      make(words, out);
    } else {
      alignas(64) double part[tile_draws];
      make(words, part);
      std::copy(part + skip, part + skip + count, out);
    }
    out += count;
    n -= count;
    skip = 0;
  }
}

/// Normals [first, first + n) of a stream, in either precision.
inline void draw_normals(const Stream& stream, std::uint64_t first, std::int64_t n, double* out) {
  draw<tile_normals>(stream, first, n, out, box_muller);
}
inline void draw_normals(const Stream& stream, std::uint64_t first, std::int64_t n, float* out) {
  constexpr std::int64_t chunk = 16 * tile_normals;
  alignas(64) double z[chunk];
  while (n > 0) {
    const std::int64_t size = std::min(chunk, n);
    draw_normals(stream, first, size, z);
    for (std::int64_t i = 0; i < size; ++i) out[i] = static_cast<float>(z[i]);
    first += static_cast<std::uint64_t>(size);
    out += size;
    n -= size;
  }
}

}  // namespace detail

/// Philox4x32-10 itself: the four words of a counter under a key.
inline std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                           std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < detail::philox_rounds; ++round) {
    const std::uint64_t p0 = std::uint64_t{detail::philox_multiplier[0]} * counter[0];
    const std::uint64_t p1 = std::uint64_t{detail::philox_multiplier[1]} * counter[2];
    counter = {
        static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(p1),
        static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(p0)};
    key[0] += detail::philox_weyl[0];
    key[1] += detail::philox_weyl[1];
  }
  return counter;
}

/// Standard normals first, first + 1, ... of (seed, sample, layer). Normal i is the same whatever
/// range is asked for; ranges that start and end at multiples of 64 are the cheapest.
inline void normals(std::uint64_t seed, std::uint64_t sample, std::uint64_t layer,
                    std::uint64_t first, std::int64_t n, double* out) {
  detail::draw<detail::tile_normals>(detail::Stream(seed, sample, layer, Purpose::normals), first,
                                     n, out, detail::box_muller);
}

/// Uniforms on [0, 1), in the same manner; they share no block with the normals.
inline void uniforms(std::uint64_t seed, std::uint64_t sample, std::uint64_t layer,
                     std::uint64_t first, std::int64_t n, double* out) {
  detail::draw<detail::tile_words>(detail::Stream(seed, sample, layer, Purpose::uniforms), first, n,
                                   out, detail::uniform_tile);
}

}  // namespace meanfree
