#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "meanfree/random.hpp"

namespace meanfree {
namespace {

constexpr std::uint64_t seed = 0x0123456789abcdef;
constexpr std::uint32_t sample = 0xfedcba98, layer = 0x765432;

// The two 64-bit words of a block by the scalar function.
std::array<std::uint64_t, 2> words_of(std::uint64_t block, Purpose purpose) {
  const auto w = philox({static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32),
                         layer | static_cast<std::uint32_t>(purpose) << 24, sample},
                        {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
  return {std::uint64_t{w[0]} << 32 | w[1], std::uint64_t{w[2]} << 32 | w[3]};
}

TEST_CASE("a tile holds the words of its blocks, also where the block leaves 32 bits") {
  const std::uint64_t last = (std::uint64_t{1} << 27) - 1;  // the tile below block 2^32
  for (const Purpose purpose : {Purpose::normals, Purpose::uniforms}) {
    for (const std::uint64_t tile : {std::uint64_t{0}, last, last + 1, std::uint64_t{1} << 58}) {
      detail::Tile words;
      detail::philox_tile(detail::Stream(seed, sample, layer, purpose), tile, words);
      for (int i = 0; i < detail::tile_blocks; ++i) {
        const auto expected = words_of(tile * 32 + static_cast<std::uint64_t>(i), purpose);
        CHECK(words.first[i] == expected[0]);
        CHECK(words.second[i] == expected[1]);
      }
    }
  }
}

TEST_CASE("a draw depends on its position only, whatever range is asked for") {
  constexpr std::int64_t n = 400;
  std::vector<double> all(n), some(n);
  normals(seed, sample, layer, 1000, n, all.data());
  for (std::int64_t first = 0; first < n; first += 7) {
    for (const std::int64_t count : {0, 1, 24, 63, 64, 65, 130}) {
      if (first + count > n) continue;
      some.assign(n, -1.0);
      normals(seed, sample, layer, 1000 + static_cast<std::uint64_t>(first), count, some.data());
      for (std::int64_t i = 0; i < count; ++i) {
        CHECK(some[static_cast<std::size_t>(i)] == all[static_cast<std::size_t>(first + i)]);
      }
      CHECK(some[static_cast<std::size_t>(count) % n] == -1.0);  // nothing written behind
    }
  }
}

TEST_CASE("uniforms are the high 52 bits of the words") {
  std::vector<double> u(64);
  uniforms(seed, sample, layer, 64, 64, u.data());
  for (std::size_t i = 0; i < 32; ++i) {
    const auto words = words_of(32 + i, Purpose::uniforms);
    CHECK(u[i] == std::ldexp(static_cast<double>(words[0] >> 12), -52));
    CHECK(u[i + 32] == std::ldexp(static_cast<double>(words[1] >> 12), -52));
  }
}

TEST_CASE("the radius is right from the largest normal to the least") {
  detail::Tile words;
  double z[detail::tile_draws];
  const std::uint64_t angle = std::uint64_t{1} << 51;  // psi = 0: z_1 = z_2 = radius
  const std::uint64_t steps[4] = {0, 1, (std::uint64_t{1} << 52) - 2, (std::uint64_t{1} << 52) - 1};
  for (int i = 0; i < detail::tile_blocks; ++i) {
    words.first[i] = steps[i % 4] << 12;
    words.second[i] = angle | static_cast<std::uint64_t>(i / 4 % 4) << 62;
  }
  detail::box_muller(words, z);
  const double radius[4] = {0.0, std::sqrt(-std::log1p(-std::ldexp(1.0, -52))),
                            std::sqrt(51.0 * std::log(2.0)), std::sqrt(52.0 * std::log(2.0))};
  for (int i = 0; i < detail::tile_blocks; ++i) {
    const double sign_1 = i / 4 % 4 & 2 ? -1.0 : 1.0, sign_2 = i / 4 % 4 & 1 ? -1.0 : 1.0;
    CHECK(std::fabs(z[i] - sign_1 * radius[i % 4]) <= 4e-16 * radius[i % 4]);
    CHECK(std::fabs(z[i + 32] - sign_2 * radius[i % 4]) <= 4e-16 * radius[i % 4]);
  }
}

TEST_CASE("a counter out of range is refused") {
  double z;
  CHECK_THROWS_AS(normals(seed, largest_sample + 1, 0, 0, 1, &z), std::invalid_argument);
  CHECK_THROWS_AS(normals(seed, 0, largest_layer + 1, 0, 1, &z), std::invalid_argument);
}

}  // namespace
}  // namespace meanfree
