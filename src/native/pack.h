// W_hh (4H, H) in the order in which the tiles read it; each panel is read from its start to its end.
//
//   forward    panel of block b:      [k: H units of h_{t-1}][gate i f g o][unit b L ... b L + n - 1]
//   backward   panel of 4 L columns:  [j: block, gate, unit][4 L columns], the last panel as many vectors as it needs
//   dW         as forward in float32: the gradient's tile is the forward's weight tile
//
// k and j count words (operand.h): of bfloat16, a pair of neighbours each, and the forward's last pair ends with a zero
// where H is odd. Where a tile takes kDepth words at a time, rows of zeros follow up to a multiple of it.
//
// n = L but for the last block, if H is no multiple of L. Its four gates lie close together and take as many vectors as
// 4 n floats need, zeros behind: with L = 16, H = 100 has 25 vectors a k and no waste. dgates (backward.h) lie the same
// way.

#pragma once

#include "tile.h"

namespace gatewise::GATEWISE_ISA {

GATEWISE_INLINE int vectors_of(int units, int block) { return (4 * lanes_of(units, block) + L - 1) / L; }
// Words of a block's panel, and floats of its gradient's.
GATEWISE_INLINE size_t forward_panel(int units) { return static_cast<size_t>(depth_of(units)) * kWide; }
GATEWISE_INLINE size_t dweight_panel(int units) { return static_cast<size_t>(units) * kWide; }

inline size_t forward_weights_size(int units) { return forward_panel(units) * static_cast<size_t>(blocks_of(units)); }
inline size_t dweight_size(int units) { return dweight_panel(units) * static_cast<size_t>(blocks_of(units)); }

inline void pack_forward(int units, const float* weight_hh, float* packed, int first_block, int last_block) {
    const size_t row = static_cast<size_t>(units);
    for (int b = first_block; b < last_block; ++b) {
        float* panel = packed + forward_panel(units) * static_cast<size_t>(b);
        const int n = lanes_of(units, b), wide = vectors_of(units, b) * L;
        for (int k0 = 0; k0 < units; k0 += L) {  // L columns at a time: a cache line of each row of W is read once
            const int columns = lanes_of(units, k0 / L), k = k0 / kPair, depth = words(columns);
            for (int gate = 0; gate < 4; ++gate)
                for (int l = 0; l < n; ++l) {
                    float column[L];
                    store_numbers(
                        column, 0,
                        load_first(weight_hh + static_cast<size_t>(gate * units + b * L + l) * row + k0, columns), L);
                    for (int d = 0; d < depth; ++d) panel[(k + d) * wide + gate * n + l] = column[d];
                }
            for (int d = 0; d < depth; ++d)
                for (int j = 4 * n; j < wide; ++j) panel[(k + d) * wide + j] = 0.0f;
        }
        for (int at = words(units) * wide; at < depth_of(units) * wide; ++at) panel[at] = 0.0f;
    }
}

// dweight_hh (4H, H), rows of some blocks, as the sum over threads of their packed ones, always in the same order.
inline void unpack_dweight(
    int units, const float* packed, size_t stride, int parts, float* dweight, int first_block, int last_block) {
    const size_t row = static_cast<size_t>(units);
    for (int b = first_block; b < last_block; ++b) {
        const float* panel = packed + dweight_panel(units) * static_cast<size_t>(b);
        const int n = lanes_of(units, b), wide = vectors_of(units, b) * L;
        for (int k0 = 0; k0 < units; k0 += L) {
            const int k1 = smaller(units, k0 + L);
            float square[L][kWide];  // [k - k0][gate and unit]
            for (int k = k0; k < k1; ++k)
                for (int j = 0; j < wide; j += L) {
                    V sum = load(panel + k * wide + j);
                    for (int part = 1; part < parts; ++part)
                        sum += load(panel + k * wide + j + stride * static_cast<size_t>(part));
                    store(square[k - k0] + j, sum);
                }
            for (int gate = 0; gate < 4; ++gate)
                for (int l = 0; l < n; ++l) {
                    float* to = dweight + static_cast<size_t>(gate * units + b * L + l) * row;
                    for (int k = k0; k < k1; ++k) to[k] = square[k - k0][gate * n + l];
                }
        }
    }
}

// Words of a panel of one column of vectors.
GATEWISE_INLINE size_t backward_column(int units) { return static_cast<size_t>(depth_of(4 * units)) * L; }

inline size_t backward_weights_size(int units) {
    return backward_column(units) * static_cast<size_t>(blocks_of(units));
}

// The rows of W of some blocks of units, in all panels.
inline void pack_backward(int units, const float* weight_hh, float* packed, int first_block, int last_block) {
    const int column_blocks = blocks_of(units);
    // Row j of the 4 n of block b.
    const auto row_of = [&](int b, int j) {
        const int n = lanes_of(units, b), gate = j / n;
        return weight_hh + static_cast<size_t>(gate * units + b * L + j - gate * n) * static_cast<size_t>(units);
    };
    for (int first = 0; first < column_blocks; first += kVectors) {
        const int vectors = smaller(kVectors, column_blocks - first);
        float* to = packed + backward_column(units) * static_cast<size_t>(first) +
                    static_cast<size_t>(words(4 * first_block * L) * vectors * L);
        for (int b = first_block; b < last_block; ++b)
            for (int j = 0; j < 4 * lanes_of(units, b); j += kPair)
                for (int v = first; v < first + vectors; ++v, to += L) {
                    const V row = load_first(row_of(b, j) + v * L, lanes_of(units, v));
#if GATEWISE_BF16
                    store(to, paired(row, load_first(row_of(b, j + 1) + v * L, lanes_of(units, v))));
#else
                    store(to, row);
#endif
                }
        if (last_block == column_blocks)
            for (int j = words(4 * units) * vectors; j < depth_of(4 * units) * vectors; ++j, to += L) store(to, V{});
    }
}

}  // namespace gatewise::GATEWISE_ISA
