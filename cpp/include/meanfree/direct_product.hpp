// Products of matrices of up to a few hundred rows, straight from where they are stored. A library
// copies both factors into its own order first; here rows are aligned and padded with zeros to
// whole registers, so that a block of the product is summed in registers without any copy.
//
// A padded matrix has `stride` numbers between its rows, a multiple of the lanes of a register.
#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <cstddef>
#include <vector>

#include "meanfree/product.hpp"

// g++ warns that a register type loses its alignment as an argument of a template; it does not
// matter
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"

namespace meanfree {
namespace detail {

using Packet = Eigen::internal::packet_traits<double>::type;
constexpr Index packet_lanes = Eigen::internal::unpacket_traits<Packet>::size;
using AlignedNumbers = std::vector<double, Eigen::aligned_allocator<double>>;

#if defined(__AVX512F__)
constexpr int block_rows = 8, block_packets = 3;  // of 32 registers
#elif defined(__AVX__)
constexpr int block_rows = 4, block_packets = 3;  // of 16
#else
constexpr int block_rows = 4, block_packets = 2;
#endif

inline Index packets(Index n) { return (n + packet_lanes - 1) / packet_lanes; }

/// Numbers between rows of n. Long rows are an odd number of cache lines apart, lest columns share
/// few places of the cache.
inline Index padded(Index n) {
  constexpr Index line = 8;
  const Index stride = packets(n) * packet_lanes;
  return stride <= 4 * line ? stride : ((stride + line - 1) / line | 1) * line;
}

/// c = a b, or c += rate a b. Element (i, k) of a is a[i * row + k * column]: either may be 1, so
/// that a may be a transpose. b and c are padded.
struct ProductTask {
  Index inner;
  const double* a;
  Index row, column;
  const double* b;
  Index b_stride;
  double* c;
  Index c_stride;
  double rate;
  bool add;
};

/// A block of the product, rows x (columns registers of type P) at row i and column j.
template <class P, int rows, int columns>
inline void product_block(const ProductTask& task, Index i, Index j) {
  using namespace Eigen::internal;
  constexpr Index lanes = unpacket_traits<P>::size;
  const double* a = task.a + i * task.row;
  const double* b = task.b + j;
  P sum[rows][columns];
  for (int m = 0; m < rows; ++m) {
    for (int n = 0; n < columns; ++n) sum[m][n] = pset1<P>(0.0);
  }
  const Index row = task.row, column = task.column, b_stride = task.b_stride;
  for (Index k = 0; k < task.inner; ++k) {
    P line[columns];
    for (int n = 0; n < columns; ++n) line[n] = pload<P>(b + n * lanes);
    for (int m = 0; m < rows; ++m) {
      const P x = pset1<P>(a[m * row]);
      for (int n = 0; n < columns; ++n) sum[m][n] = pmadd(x, line[n], sum[m][n]);
    }
    a += column;
    b += b_stride;
  }
  const P rate = pset1<P>(task.rate);
  for (int m = 0; m < rows; ++m) {
    double* to = task.c + (i + m) * task.c_stride + j;
    for (int n = 0; n < columns; ++n, to += lanes) {
      pstore(to, task.add ? pmadd(rate, sum[m][n], pload<P>(to)) : sum[m][n]);
    }
  }
}

/// All rows of some columns, in blocks as equal as can be, of at most `rows`.
template <class P, int columns, int rows = block_rows>
inline void product_panel(const ProductTask& task, Index n_rows, Index j) {
  const Index blocks = (n_rows + rows - 1) / rows, missing = blocks * rows - n_rows;
  if constexpr (rows > 1) {
    if (missing > blocks) {
      product_panel<P, columns, rows - 1>(task, n_rows, j);
      return;
    }
  }
  Index i = 0;
  for (Index block = missing; block < blocks; ++block, i += rows) {
    product_block<P, rows, columns>(task, i, j);
  }
  if constexpr (rows > 1) {
    for (; i < n_rows; i += rows - 1) product_block<P, rows - 1, columns>(task, i, j);
  }
}

using HalfPacket = Eigen::internal::unpacket_traits<Packet>::half;

/// The product of n_rows rows and n_columns.
inline void direct_product(const ProductTask& task, Index n_rows, Index n_columns) {
  constexpr Index half = Eigen::internal::unpacket_traits<HalfPacket>::size;
  const bool odd = half >= 4 && (n_columns + half - 1) / half % 2 == 1;
  Index j = 0;
  for (Index left = packets(n_columns) - (odd ? 1 : 0); left > 0;) {
    // no single register is left over where two blocks can share
    const Index width =
        left == block_packets + 1 && block_packets > 2 ? 2 : std::min<Index>(left, block_packets);
    if (width == 1) {
      product_panel<Packet, 1>(task, n_rows, j);
    } else if (width == 2) {
      product_panel<Packet, 2>(task, n_rows, j);
    } else {
      product_panel<Packet, block_packets>(task, n_rows, j);
    }
    j += width * packet_lanes;
    left -= width;
  }
  if (odd) product_panel<HalfPacket, 1>(task, n_rows, j);
}

/// out = a^T; a has n_rows rows of n_columns. Writes zeros into the padding of the rows of out, and
/// needs those of a.
inline void transpose(Index n_rows, Index n_columns, const double* a, Index a_stride, double* out,
                      Index out_stride) {
  using namespace Eigen::internal;
  constexpr int n = static_cast<int>(packet_lanes);
  for (Index i = 0; i < n_rows; i += n) {
    const int rows = static_cast<int>(std::min<Index>(n, n_rows - i));
    for (Index j = 0; j < n_columns; j += n) {
      PacketBlock<Packet, n> block;
      for (int r = 0; r < n; ++r) {
        block.packet[r] = r < rows ? pload<Packet>(a + (i + r) * a_stride + j) : pset1<Packet>(0.0);
      }
      ptranspose(block);
      const int columns = static_cast<int>(std::min<Index>(n, n_columns - j));
      for (int r = 0; r < columns; ++r) {
        pstore(out + (j + r) * out_stride + i, block.packet[r]);
      }
    }
  }
}

}  // namespace detail
}  // namespace meanfree

#pragma GCC diagnostic pop
