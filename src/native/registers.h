// The tile of tile.h in vector registers.
//
//                      k ->                  w[k]: NV vectors side by side         acc: R x NV vectors, in registers
//   a   row 0   . . . a0k . . .        x     [ w0 | w1 | w2 | w3 ]         +=      [ 00 | 01 | 02 | 03 ]
//       row 1   . . . a1k . . .                                                    [ 10 | 11 | 12 | 13 ]
//        ...                                                                         ...
//       row R-1                                                                    [ R-1 ...           ]
//
// A step k costs NV loads, R broadcasts and R NV multiply-adds: 10 and 24 for the 6 x 4 of AVX-512 and NEON (32
// registers), 7 and 12 for the 3 x 4 of AVX2 (16 registers). SSE2 needs a register for a product before it is added, so
// it has 2 x 4.
//
// The sums go to memory (a few lines of L1) instead of staying in registers for the activations: where a tile and the
// activations are one function, GCC spills an accumulator inside the loop, which costs twice as much as these stores.

#pragma once

#include "tile.h"

namespace gatewise::GATEWISE_ISA {

// What a thread sets up before it multiplies: nothing, in ordinary registers.
struct TileRegisters {
    TileRegisters() {}
};

// Transposed: a_row is 1, and one pointer moves along k. Otherwise a_k is 1, and each row has a pointer.
//
// What is added to may lie in the third-level cache (dW). It is fetched while the tile multiplies, and added at the end.
template <int R, int NV, bool Transposed>
GATEWISE_NOINLINE void multiply(const Tile& tile) {
    float* const out = tile.out;
    const Index out_row = tile.out_row;
    const bool add = tile.add;
    V acc[R][NV];
    GATEWISE_UNROLL
    for (int r = 0; r < R; ++r) GATEWISE_UNROLL
    for (int v = 0; v < NV; ++v) {
        acc[r][v] = V{};
        if (add) prefetch_for_write(out + r * out_row + v * L);
    }
    const Word* a[R];
    GATEWISE_UNROLL
    for (int r = 0; r < R; ++r) a[r] = tile.a + r * tile.a_row;
    const Word *w = tile.w, *a_column = tile.a;
    const Index w_k = tile.w_k, a_k = tile.a_k;
    const Index depth = tile.depth;
    GATEWISE_UNROLL_BY_2
    for (Index k = 0; k < depth; ++k) {
        // The fewer of the two stay in registers while the others pass: 3 x 4 sums, 3 of a and 1 of w are just 16.
        if constexpr (R < NV) {
            V a_rk[R];
            GATEWISE_UNROLL
            for (int r = 0; r < R; ++r) a_rk[r] = broadcast_word(Transposed ? a_column + r : a[r] + k);
            GATEWISE_UNROLL
            for (int v = 0; v < NV; ++v) {
                const V w_kv = load(w + v * L);
                GATEWISE_UNROLL
                for (int r = 0; r < R; ++r) acc[r][v] = multiply_add(acc[r][v], a_rk[r], w_kv);
            }
        } else {
            V w_kv[NV];
            GATEWISE_UNROLL
            for (int v = 0; v < NV; ++v) w_kv[v] = load(w + v * L);
            GATEWISE_UNROLL
            for (int r = 0; r < R; ++r) {
                const V a_rk = broadcast_word(Transposed ? a_column + r : a[r] + k);
                GATEWISE_UNROLL
                for (int v = 0; v < NV; ++v) acc[r][v] = multiply_add(acc[r][v], a_rk, w_kv[v]);
            }
        }
        w += w_k;
        a_column += a_k;
    }
    GATEWISE_UNROLL
    for (int r = 0; r < R; ++r) GATEWISE_UNROLL
    for (int v = 0; v < NV; ++v) {
        float* const to = out + r * out_row + v * L;
        store(to, add ? load(to) + acc[r][v] : acc[r][v]);
    }
}

// Call `multiply` with `rows` (1 to MaxRows) as a constant.
template <int MaxRows, int NV, bool Transposed>
GATEWISE_INLINE void dispatch_rows(Index rows, const Tile& tile) {
    if constexpr (MaxRows > 1) {
        if (rows < MaxRows) return dispatch_rows<MaxRows - 1, NV, Transposed>(rows, tile);
    }
    multiply<MaxRows, NV, Transposed>(tile);
}

// A tile of `rows` (1 to kRows) by `vectors` (1 to kVectors).
template <bool Transposed, int NV = kVectors>
GATEWISE_INLINE void multiply_tile(Index rows, Index vectors, const Tile& tile) {
    if constexpr (NV > 1) {
        if (vectors < NV) return multiply_tile<Transposed, NV - 1>(rows, vectors, tile);
    }
    dispatch_rows<kRows, NV, Transposed>(rows, tile);
}

}  // namespace gatewise::GATEWISE_ISA
