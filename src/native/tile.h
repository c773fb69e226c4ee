// The tile: this one loop does all the multiplications of the kernel, in vector registers (registers.h) or in tile
// registers (amx.h).
//
//   pass           row of a                  k                       w
//   forward        a sequence: h_{t-1}       unit of h_{t-1}         the four gates of L units
//   backward, dh   a sequence: dgates        gate and unit           4 L units of h_{t-1}
//   backward, dW   unit of h_{t-1}           row of the chunk        dgates: the four gates of L units

#pragma once

#include "operand.h"

namespace gatewise::GATEWISE_ISA {

constexpr int kVectors = 4;            // vectors of a tile: one for each gate
constexpr Index kWide = kVectors * L;  // floats of a block's four gates

static_assert(kVectors == kGates);

// out[r][v] (+)= sum over k of a(r, k) * w[k][v]. a, w, their strides and the depth are in words (operand.h).
struct Tile {
    const Word* a;
    Index a_row, a_k;  // strides between rows and between k. One of the two is 1
    const Word* w;
    Index w_k;  // stride between k, at least a panel's width
    Index depth;
    float* out;
    Index out_row;     // stride between rows
    bool add = false;  // to what is in out. False: to zero
    // For amx.h, whose depth may run over several blocks: the length of a contiguous run of a row of a, a multiple of
    // kDepthStep, and the stride from its last kDepthStep words to the next run.
    Index a_run = Index{1} << 30;
    Index a_run_stride = 0;
};

// Cut `rows` into tiles of at most kRows rows, as equal as possible, and call f(first, rows of this tile) for each. (A
// last tile of one row would cost as much as one of three.)
template <class F>
GATEWISE_INLINE void for_each_tile(Index rows, const F& f) {
    const Index tiles = (rows + kRows - 1) / kRows;
    for (Index t = 0, first = 0; t < tiles; ++t) {
        const Index size = (rows - first + tiles - t - 1) / (tiles - t);
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
