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
  const std::uint64_t last = (std::uint64_t{1} << 28) - 1;  // the tile below block 2^32
  for (const Purpose purpose : {Purpose::normals, Purpose::uniforms}) {
    for (const std::uint64_t tile : {std::uint64_t{0}, last, last + 1, std::uint64_t{1} << 59}) {
      detail::Tile words;
      detail::philox_tile(detail::Stream(seed, sample, layer, purpose), tile, words);
      for (int i = 0; i < detail::tile_blocks; ++i) {
        const auto expected = words_of(tile * 16 + static_cast<std::uint64_t>(i), purpose);
        CHECK(words.word[i] == expected[0]);
        CHECK(words.word[i + detail::tile_blocks] == expected[1]);
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
  std::vector<double> u(32);
  uniforms(seed, sample, layer, 64, 32, u.data());
  for (std::size_t i = 0; i < 16; ++i) {
    const auto words = words_of(32 + i, Purpose::uniforms);
    CHECK(u[i] == std::ldexp(static_cast<double>(words[0] >> 12), -52));
    CHECK(u[i + 16] == std::ldexp(static_cast<double>(words[1] >> 12), -52));
  }
}

TEST_CASE("the radius is right from the least normals to the largest, in every quadrant") {
  const std::uint64_t k[4] = {0, 1, (std::uint64_t{1} << 52) - 2, (std::uint64_t{1} << 52) - 1};
  const double squared[4] = {0.0, -2.0 * std::log1p(-std::ldexp(1.0, -52)), 102.0 * std::log(2.0),
                             104.0 * std::log(2.0)};
  detail::Tile tile;
  double z[detail::tile_normals];
  for (int i = 0; i < detail::tile_words; ++i) {
    const auto quadrant = static_cast<std::uint64_t>(i / 4 % 4);
    tile.word[i] = k[i % 4] << 12 | quadrant << 10 | static_cast<std::uint64_t>(i) << 5;
  }
  detail::box_muller(tile, z);
  for (int i = 0; i < detail::tile_words; ++i) {
    const double expected = squared[i % 4], x = z[i], y = z[i + detail::tile_words];
    CHECK(std::fabs(x * x + y * y - expected) <= 2e-15 * expected);
    if (i % 4 == 0) continue;  // 0 of either sign
    CHECK(std::signbit(x) == (i / 4 % 4 >= 2));
    CHECK(std::signbit(y) == (i / 4 % 2 == 1));
  }
}

TEST_CASE("a counter out of range is refused") {
  double z;
  CHECK_THROWS_AS(normals(seed, largest_sample + 1, 0, 0, 1, &z), std::invalid_argument);
  CHECK_THROWS_AS(normals(seed, 0, largest_layer + 1, 0, 1, &z), std::invalid_argument);
}

}  // namespace
}  // namespace meanfree
