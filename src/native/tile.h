// The tile: all the multiplications of the kernel are this one loop, in vector registers (registers.h) or in tile
// registers (amx.h).
//
//   who            row of a                  k                       w
//   forward        a sequence: h_{t-1}       unit of h_{t-1}         the four gates of L units
//   backward, dh   a sequence: dgates        gate and unit           4 L units of h_{t-1}
//   backward, dW   unit of h_{t-1}           row of the chunk        dgates: the four gates of L units

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
    // For amx.h alone, whose depth may run over several blocks: words of a row of a that lie together, and from the
    // last kDepth of them to the next.
    int run = 1 << 30;
    ptrdiff_t hop = 0;
};

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

#if GATEWISE_AMX
#include "amx.h"
#else
#include "registers.h"
#endif
