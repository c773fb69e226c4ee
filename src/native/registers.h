// The tile of tile.h in vector registers.
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
// Why the sums go through memory (a few lines of L1) and not on in registers into the activations: where a tile and
// what follows it are one function, GCC spills an accumulator inside the loop, at twice the price of all these stores.

#pragma once

#include "tile.h"

namespace gatewise::GATEWISE_ISA {

// What a thread needs while it multiplies: nothing, where the tile is in ordinary registers.
struct Tiles {
    Tiles() {}
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

}  // namespace gatewise::GATEWISE_ISA
