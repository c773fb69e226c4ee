// W_hh (4H, H) in the order in which the tiles read it; each panel is read from its start to its end.
//
//   forward    panel of block b:      [k: H units of h_{t-1}][gate i f g o][unit b L ... b L + n - 1]
//   backward   panel of 4 L columns:  [j: block, gate, unit][4 L columns], the last panel as many vectors as it needs
//   dW         as forward: the gradient's tile is the forward's weight tile
//
// n = L but for the last block, if H is no multiple of L. Its four gates lie close together and take as many vectors as
// 4 n floats need, zeros behind: with L = 16, H = 100 has 25 vectors a k and no waste. dgates (backward.h) lie the same
// way.

#pragma once

#include "tile.h"

namespace gatewise::GATEWISE_ISA {

GATEWISE_INLINE int vectors_of(int units, int block) { return (4 * lanes_of(units, block) + L - 1) / L; }
GATEWISE_INLINE size_t forward_panel(int units) { return static_cast<size_t>(units) * kWide; }

inline size_t forward_weights_size(int units) { return forward_panel(units) * static_cast<size_t>(blocks_of(units)); }

inline void pack_forward(int units, const float* weight_hh, float* packed, int first_block, int last_block) {
    const size_t row = static_cast<size_t>(units);
    for (int b = first_block; b < last_block; ++b) {
        float* panel = packed + forward_panel(units) * static_cast<size_t>(b);
        const int n = lanes_of(units, b), wide = vectors_of(units, b) * L;
        for (int k0 = 0; k0 < units; k0 += L) {  // L columns at a time: a cache line of each row of W is read once
            const int k1 = smaller(units, k0 + L);
            for (int gate = 0; gate < 4; ++gate)
                for (int l = 0; l < n; ++l) {
                    const float* from = weight_hh + static_cast<size_t>(gate * units + b * L + l) * row;
                    for (int k = k0; k < k1; ++k) panel[k * wide + gate * n + l] = from[k];
                }
            for (int k = k0; k < k1; ++k)
                for (int j = 4 * n; j < wide; ++j) panel[k * wide + j] = 0.0f;
        }
    }
}

// dweight_hh (4H, H), rows of some blocks, as the sum over threads of their packed ones, always in the same order.
inline void unpack_dweight(
    int units, const float* packed, size_t stride, int parts, float* dweight, int first_block, int last_block) {
    const size_t row = static_cast<size_t>(units);
    for (int b = first_block; b < last_block; ++b) {
        const float* panel = packed + forward_panel(units) * static_cast<size_t>(b);
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

inline size_t backward_weights_size(int units) {
    return static_cast<size_t>(4 * units) * static_cast<size_t>(padded(units));
}

inline void pack_backward(int units, const float* weight_hh, float* packed) {
    const int column_blocks = blocks_of(units);
    for (int first = 0; first < column_blocks; first += kVectors) {
        const int vectors = smaller(kVectors, column_blocks - first);
        for (int b = 0; b < column_blocks; ++b)
            for (int gate = 0; gate < 4; ++gate)
                for (int l = 0; l < lanes_of(units, b); ++l) {
                    const float* from =
                        weight_hh + static_cast<size_t>(gate * units + b * L + l) * static_cast<size_t>(units);
                    for (int v = first; v < first + vectors; ++v, packed += L)
                        store(packed, load_first(from + v * L, lanes_of(units, v)));
                }
    }
}

}  // namespace gatewise::GATEWISE_ISA
