// W_hh (4H, H) in the order in which the tiles read it. Each panel is read from its start to its end. Backward packs
// W_ih (4H, D) in the same way where it computes the gradients of the input product too: `columns` is H or D.
//
//   forward    panel of block b:      [k: H units of h_{t-1}][gate i f g o][unit b L ... b L + n - 1]
//   backward   panel of 4 L columns:  [j: block, gate, unit][4 L columns], the last panel as many vectors as it needs
//   dW         as forward in float32: the gradient's tile is the forward's weight tile
//
// k and j count words (operand.h). In bfloat16 a word is a pair of neighbours, and the forward's last pair ends with a
// zero where H is odd. Rows of zeros follow up to a multiple of kDepthStep words.
//
// n = L except in the last block where H is not a multiple of L. The four gates of that block are contiguous and take as
// many vectors as 4 n floats need, padded with zeros: with L = 16, H = 100 has 25 vectors per k and no waste. dgates
// (backward.h) have the same layout.

#pragma once

#include "tile.h"

namespace gatewise::GATEWISE_ISA {

// Vectors of a block's four gates.
GATEWISE_INLINE Index gate_vectors(Index units, Index block) { return (kGates * lanes_of(units, block) + L - 1) / L; }
// Words of a block's panel, and floats of its gradient's.
GATEWISE_INLINE Index forward_panel_size(Index units) { return depth_of(units) * kWide; }
GATEWISE_INLINE Index dweight_panel_size(Index columns) { return columns * kWide; }

inline Index forward_weights_size(Index units) { return forward_panel_size(units) * blocks_of(units); }
inline Index dweight_size(Index units, Index columns) { return dweight_panel_size(columns) * blocks_of(units); }

inline void pack_forward(Index units, const float* weight_hh, Word* packed, Range blocks) {
    for (Index b = blocks.first; b < blocks.last; ++b) {
        Word* panel = packed + forward_panel_size(units) * b;
        const Index n = lanes_of(units, b), wide = gate_vectors(units, b) * L;
        for (Index k0 = 0; k0 < units; k0 += L) {  // L columns at a time: a cache line of each row of W is read once
            const Index columns = lanes_of(units, k0 / L), k = k0 / kPair, depth = words(columns);
            for (Index gate = 0; gate < kGates; ++gate)
                for (Index l = 0; l < n; ++l) {
                    Word column[L];
                    store_numbers(
                        column, 0, load_partial(weight_hh + (gate * units + b * L + l) * units + k0, columns), L);
                    for (Index d = 0; d < depth; ++d) panel[(k + d) * wide + gate * n + l] = column[d];
                }
            for (Index d = 0; d < depth; ++d)
                for (Index j = kGates * n; j < wide; ++j) panel[(k + d) * wide + j] = Word{};
        }
        for (Index at = words(units) * wide; at < depth_of(units) * wide; ++at) panel[at] = Word{};
    }
}

// Rows of some blocks of a gradient (4H, columns), from the threads' packed partial sums.
inline void unpack_dweight(Index units, Index columns, PartialSums packed, float* dweight, Range blocks) {
    for (Index b = blocks.first; b < blocks.last; ++b) {
        const float* panel = packed.first + dweight_panel_size(columns) * b;
        const Index n = lanes_of(units, b), wide = gate_vectors(units, b) * L;
        for (Index k0 = 0; k0 < columns; k0 += L) {
            const Index k1 = min(columns, k0 + L);
            float square[L][kWide];  // [k - k0][gate and unit]
            for (Index k = k0; k < k1; ++k)
                for (Index j = 0; j < wide; j += L) {
                    V sum = load(panel + k * wide + j);
                    for (Index part = 1; part < packed.count; ++part)
                        sum += load(panel + k * wide + j + packed.stride * part);
                    store(square[k - k0] + j, sum);
                }
            for (Index gate = 0; gate < kGates; ++gate)
                for (Index l = 0; l < n; ++l) {
                    float* to = dweight + (gate * units + b * L + l) * columns;
                    for (Index k = k0; k < k1; ++k) to[k] = square[k - k0][gate * n + l];
                }
        }
    }
}

// Words of one vector's column of a backward panel.
GATEWISE_INLINE Index backward_column_size(Index units) { return depth_of(kGates * units) * L; }

inline Index backward_weights_size(Index units, Index columns) {
    return backward_column_size(units) * blocks_of(columns);
}

// The gradient of the bias (4H,) from the threads' partial sums: [block][gate][L units].
inline void unpack_dbias(Index units, PartialSums packed, float* dbias) {
    for (Index b = 0; b < blocks_of(units); ++b)
        for (Index gate = 0; gate < kGates; ++gate) {
            const float* from = packed.first + b * kWide + gate * L;
            V sum = load(from);
            for (Index share = 1; share < packed.count; ++share) sum += load(from + packed.stride * share);
            store_partial(dbias + gate * units + b * L, sum, lanes_of(units, b));
        }
}

// The rows of a weight (4H, columns) of some blocks of units, in all panels.
inline void pack_backward(Index units, Index columns, const float* weight, Word* packed, Range blocks) {
    const Index column_blocks = blocks_of(columns), last_block = blocks_of(units);
    // Row j of the 4 n of block b.
    const auto row_of = [&](Index b, Index j) {
        const Index n = lanes_of(units, b), gate = j / n;
        return weight + (gate * units + b * L + j - gate * n) * columns;
    };
    for (Index first = 0; first < column_blocks; first += kVectors) {
        const Index vectors = min(kVectors, column_blocks - first);
        Word* to = packed + backward_column_size(units) * first + words(kGates * blocks.first * L) * vectors * L;
        for (Index b = blocks.first; b < blocks.last; ++b)
            for (Index j = 0; j < kGates * lanes_of(units, b); j += kPair)
                for (Index v = first; v < first + vectors; ++v, to += L) {
                    const V row = load_partial(row_of(b, j) + v * L, lanes_of(columns, v));
#if GATEWISE_BF16
                    store(to, pack_pairs(row, load_partial(row_of(b, j + 1) + v * L, lanes_of(columns, v))));
#else
                    store(to, row);
#endif
                }
        if (blocks.last == last_block)
            for (Index j = words(kGates * units) * vectors; j < depth_of(kGates * units) * vectors; ++j, to += L)
                store(to, V{});
    }
}

}  // namespace gatewise::GATEWISE_ISA
