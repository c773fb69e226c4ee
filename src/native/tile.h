// The register tile: all the multiplications of the kernel are this one loop.
//
//                      k ->                  w[k]: V vectors side by side          acc: R x V vectors, in registers
//   a   row 0   . . . a0k . . .        x     [ w0 | w1 | w2 | w3 ]         +=      [ 00 | 01 | 02 | 03 ]
//       row 1   . . . a1k . . .                                                    [ 10 | 11 | 12 | 13 ]
//        ...                                                                         ...
//       row R-1                                                                    [ R-1 ...           ]
//
// A step k costs V loads, R broadcasts and R V multiply-adds. 6 x 4 fills 24 of the 32 registers of AVX-512 and NEON
// (10 loads for 24 multiply-adds), 3 x 4 fills 12 of the 16 of AVX2 and SSE2. With one row there would be too few
// independent sums to hide a multiply-add's latency, so few rows take more vectors (two blocks of weights at once).
//
//   who            row of a                  k                       w
//   forward        a sequence: h_{t-1}       unit of h_{t-1}         the four gates of L units
//   backward, dh   a sequence: dgates        gate and unit           4 L units of h_{t-1}
//   backward, dW   unit of h_{t-1}           row of the chunk        dgates: the four gates of L units

#pragma once

#include "simd.h"

namespace gatewise::GATEWISE_ISA {

constexpr int kVectors = 4;          // vectors of a tile: one for each gate
constexpr int kWide = 4 * L;         // floats of a block's four gates
constexpr int kFewRows = kRows / 2;  // up to so many rows, two blocks fit side by side

// acc[r][v] += a(r, k) * w(k)[v] for k = 0 .. depth - 1. `a` gives the number to broadcast, `w` where vector v of step k is.
template <int R, int NV, class A, class W>
GATEWISE_INLINE void multiply_add(V (&acc)[R][NV], const A& a, const W& w, int depth) {
    GATEWISE_UNROLL_4
    for (int k = 0; k < depth; ++k) {
        V row_of_w[NV];
        GATEWISE_UNROLL_ALL
        for (int v = 0; v < NV; ++v) row_of_w[v] = load(w(k, v));
        GATEWISE_UNROLL_ALL
        for (int r = 0; r < R; ++r) {
            const V broadcast = all(a(r, k));
            GATEWISE_UNROLL_ALL
            for (int v = 0; v < NV; ++v) acc[r][v] += broadcast * row_of_w[v];
        }
    }
}

// Cut `rows` into tiles of at most `most` rows, as even as they go (a last tile of one row would cost as much as of three),
// and call f(first, rows of this tile).
template <class F>
GATEWISE_INLINE void for_each_tile(int rows, int most, const F& f) {
    const int tiles = (rows + most - 1) / most;
    for (int t = 0, first = 0; t < tiles; ++t) {
        const int size = (rows - first + tiles - t - 1) / (tiles - t);
        f(first, size);
        first += size;
    }
}

// Call f.template operator()<R>() with the constant R = rows, 1 <= rows <= Most.
template <int Most, class F>
GATEWISE_INLINE void with_rows(int rows, const F& f) {
    if constexpr (Most > 1) {
        if (rows < Most) return with_rows<Most - 1>(rows, f);
    }
    f.template operator()<Most>();
}

}  // namespace gatewise::GATEWISE_ISA
