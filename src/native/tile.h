// The register tile: all the multiplications of the kernel are this one loop.
//
//                      k ->                  w[k]: NV vectors side by side         acc: R x NV vectors, in registers
//   a   row 0   . . . a0k . . .        x     [ w0 | w1 | w2 | w3 ]         +=      [ 00 | 01 | 02 | 03 ]
//       row 1   . . . a1k . . .                                                    [ 10 | 11 | 12 | 13 ]
//        ...                                                                         ...
//       row R-1                                                                    [ R-1 ...           ]
//
// A step k costs NV loads, R broadcasts and R NV multiply-adds: 10 and 24 for the 6 x 4 of AVX-512 and NEON (32
// registers), 7 and 12 for the 3 x 4 of AVX2 and SSE2 (16 registers). With one row there would be too few independent
// sums to hide a multiply-add's latency, so few rows take more vectors (two panels of w at once).
//
//   who            row of a                  k                       w
//   forward        a sequence: h_{t-1}       unit of h_{t-1}         the four gates of L units
//   backward, dh   a sequence: dgates        gate and unit           4 L units of h_{t-1}
//   backward, dW   unit of h_{t-1}           row of the chunk        dgates: the four gates of L units
//
// Why the sums go through memory (a few lines of L1) and not on in registers into the activations: where a tile and
// what follows it are one function, GCC spills an accumulator inside the loop, at twice the price of all these stores.

#pragma once

#include "operand.h"

namespace gatewise::GATEWISE_ISA {

constexpr int kVectors = 4;          // vectors of a tile: one for each gate
constexpr int kWide = kVectors * L;  // floats of a block's four gates
constexpr int kFewRows = kRows / 2;  // up to so many rows, two panels fit side by side

// out[r][v] (+)= sum over k of a(r, k) * w[k][v]. a, w and their strides are in words (operand.h), and so is k.
struct Tile {
    const float* a;
    ptrdiff_t a_row, a_k;  // from row to row, from k to k; one of the two is 1
    const float* w;
    ptrdiff_t w_k;      // from k to k: at least NV L
    ptrdiff_t w_panel;  // from panel to panel, where there are two
    int depth;
    float* out;
    ptrdiff_t out_row;  // from row to row; a second panel's vectors are behind the first's
    bool add;           // to what is in out, else to zero
};

// AcrossRows: a_row is 1 (one pointer walks), else a_k is 1 (a pointer a row).
template <int R, int NV, int Panels, bool AcrossRows>
GATEWISE_ONE_COPY void multiply(const Tile& tile) {
    float* const out = tile.out;
    const ptrdiff_t out_row = tile.out_row;
    const bool add = tile.add;
    V acc[R][Panels * NV];
    GATEWISE_UNROLL_ALL
    for (int r = 0; r < R; ++r) GATEWISE_UNROLL_ALL
    for (int v = 0; v < Panels * NV; ++v) acc[r][v] = add ? load(out + r * out_row + v * L) : V{};
    const float* a[R];
    GATEWISE_UNROLL_ALL
    for (int r = 0; r < R; ++r) a[r] = tile.a + r * tile.a_row;
    const float *w = tile.w, *across = tile.a;
    const ptrdiff_t w_panel = tile.w_panel, w_k = tile.w_k, a_k = tile.a_k;
    const int depth = tile.depth;
    static_assert(Panels == 1 || R < Panels * NV);
    for (int k = 0; k < depth; ++k) {
        // The fewer of the two stay in registers over the others: 3 x 4 sums, 3 numbers and 1 vector of w are just 16.
        if constexpr (R < Panels * NV) {
            V number[R];
            GATEWISE_UNROLL_ALL
            for (int r = 0; r < R; ++r) number[r] = all_words(AcrossRows ? across + r : a[r] + k);
            GATEWISE_UNROLL_ALL
            for (int v = 0; v < Panels * NV; ++v) {
                const V w_kv = load(w + (v / NV) * w_panel + (v % NV) * L);
                GATEWISE_UNROLL_ALL
                for (int r = 0; r < R; ++r) acc[r][v] = multiply_add(acc[r][v], number[r], w_kv);
            }
        } else {
            V w_k_all[NV];
            GATEWISE_UNROLL_ALL
            for (int v = 0; v < NV; ++v) w_k_all[v] = load(w + v * L);
            GATEWISE_UNROLL_ALL
            for (int r = 0; r < R; ++r) {
                const V number = all_words(AcrossRows ? across + r : a[r] + k);
                GATEWISE_UNROLL_ALL
                for (int v = 0; v < NV; ++v) acc[r][v] = multiply_add(acc[r][v], number, w_k_all[v]);
            }
        }
        w += w_k;
        across += a_k;
    }
    GATEWISE_UNROLL_ALL
    for (int r = 0; r < R; ++r) GATEWISE_UNROLL_ALL
    for (int v = 0; v < Panels * NV; ++v) store(out + r * out_row + v * L, acc[r][v]);
}

// The tile for `rows` (1 to Most) and `vectors` (1 to kVectors) as a constant.
template <int Most, int NV, int Panels, bool AcrossRows>
GATEWISE_INLINE void with_rows(int rows, const Tile& tile) {
    if constexpr (Most > 1) {
        if (rows < Most) return with_rows<Most - 1, NV, Panels, AcrossRows>(rows, tile);
    }
    multiply<Most, NV, Panels, AcrossRows>(tile);
}

template <bool AcrossRows, int NV = kVectors>
GATEWISE_INLINE void multiply_tile(int rows, int vectors, const Tile& tile) {
    if constexpr (NV > 1) {
        if (vectors < NV) return multiply_tile<AcrossRows, NV - 1>(rows, vectors, tile);
    }
    with_rows<kRows, NV, 1, AcrossRows>(rows, tile);
}

// At most kFewRows rows, two whole panels.
GATEWISE_INLINE void multiply_two_panels(int rows, const Tile& tile) {
    with_rows<kFewRows, kVectors, 2, false>(rows, tile);
}

// Cut `rows` into tiles of at most kRows, as even as they go (a last tile of one row would cost as much as of three),
// and call f(first, rows of this tile).
template <class F>
GATEWISE_INLINE void for_each_tile(int rows, const F& f) {
    const int tiles = (rows + kRows - 1) / kRows;
    for (int t = 0, first = 0; t < tiles; ++t) {
        const int size = (rows - first + tiles - t - 1) / (tiles - t);
        f(first, size);
        first += size;
    }
}

}  // namespace gatewise::GATEWISE_ISA
