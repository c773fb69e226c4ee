// The tile of tile.h in the processor's tile registers (AMX): one instruction multiplies 16 rows of 16 words by 16 words
// of 16 columns, all of them pairs of bfloat16.
//
//               w      6 | 7        two vectors of a panel, 16 words deep
//   a   4   C   0 | 1               up to 16 rows
//       5       2 | 3               and up to 16 more
//
// Two rows by two columns of registers are what eight allow: four loads to four products. Up to 16 rows leave 2 and 3
// free for two more vectors. How many rows a register has is set for all of them at once, and zeroes them: so rows are
// cut into two halves once a tile, and set when their number has changed (`Tiles`).
//
// Per sum, the products of the even numbers of 16 pairs are added up, those of the odd ones likewise, and both to the
// sum so far: another rounding than AVX512_BF16's, the same for every row. Denormals count as zero.

#pragma once

#include "tile.h"

namespace gatewise::GATEWISE_ISA {

constexpr int kHalf = 16;  // rows of a register

struct TileShapes {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

// While one of these lives, the thread's tile registers are ours; behind it they are free, and cost the system nothing.
// What they were set to before is not trusted: another library may have used them.
struct Tiles {
    Tiles() { shape = 0; }
    ~Tiles() { _tile_release(); }
    Tiles(const Tiles&) = delete;
    Tiles& operator=(const Tiles&) = delete;

    // Registers 0, 1 and 4 with `upper` rows; 2, 3 and 5 with `lower`, or where that is 0 like the others.
    static void set(int upper, int lower) {
        if (shape == upper * 32 + lower) return;
        shape = upper * 32 + lower;
        const uint8_t up = static_cast<uint8_t>(upper), low = lower == 0 ? up : static_cast<uint8_t>(lower);
        TileShapes shapes{};
        shapes.palette = 1;
        for (int t = 0; t < 8; ++t) shapes.row_bytes[t] = 64;
        shapes.rows[0] = shapes.rows[1] = shapes.rows[4] = up;
        shapes.rows[2] = shapes.rows[3] = shapes.rows[5] = low;
        shapes.rows[6] = shapes.rows[7] = kDepth;
        _tile_loadconfig(&shapes);
    }

    static inline thread_local int shape = 0;
};

constexpr int in_bytes(ptrdiff_t words) { return static_cast<int>(words) * 4; }

// Up to 16 rows, NV vectors.
template <int NV>
GATEWISE_ONE_COPY void multiply_half(const Tile& tile) {
    const int a_row = in_bytes(tile.a_row), w_k = in_bytes(tile.w_k), out_row = in_bytes(tile.out_row);
    float* const out = tile.out;
    if (tile.add) {
        _tile_loadd(0, out, out_row);
        if constexpr (NV > 1) _tile_loadd(1, out + L, out_row);
        if constexpr (NV > 2) _tile_loadd(2, out + 2 * L, out_row);
        if constexpr (NV > 3) _tile_loadd(3, out + 3 * L, out_row);
    } else {
        _tile_zero(0);
        if constexpr (NV > 1) _tile_zero(1);
        if constexpr (NV > 2) _tile_zero(2);
        if constexpr (NV > 3) _tile_zero(3);
    }
    const float *a = tile.a, *w = tile.w;
    for (int k = 0; k < tile.depth; k += kDepth, w += kDepth * tile.w_k) {
        if (k > 0) a += k % tile.run == 0 ? tile.hop : kDepth;
        _tile_loadd(4, a, a_row);
        _tile_loadd(6, w, w_k);
        _tile_dpbf16ps(0, 4, 6);
        if constexpr (NV > 1) {
            _tile_loadd(7, w + L, w_k);
            _tile_dpbf16ps(1, 4, 7);
        }
        if constexpr (NV > 2) {
            _tile_loadd(6, w + 2 * L, w_k);
            _tile_dpbf16ps(2, 4, 6);
        }
        if constexpr (NV > 3) {
            _tile_loadd(7, w + 3 * L, w_k);
            _tile_dpbf16ps(3, 4, 7);
        }
    }
    _tile_stored(0, out, out_row);
    if constexpr (NV > 1) _tile_stored(1, out + L, out_row);
    if constexpr (NV > 2) _tile_stored(2, out + 2 * L, out_row);
    if constexpr (NV > 3) _tile_stored(3, out + 3 * L, out_row);
}

// Rows in two halves, the first of `upper`; NV vectors from vector `at`.
template <int NV>
GATEWISE_ONE_COPY void multiply_halves(const Tile& tile, int upper, int at) {
    const int a_row = in_bytes(tile.a_row), w_k = in_bytes(tile.w_k), out_row = in_bytes(tile.out_row);
    float *const out = tile.out + at * L, *const below = out + upper * tile.out_row;
    if (tile.add) {
        _tile_loadd(0, out, out_row);
        _tile_loadd(2, below, out_row);
        if constexpr (NV > 1) {
            _tile_loadd(1, out + L, out_row);
            _tile_loadd(3, below + L, out_row);
        }
    } else {
        _tile_zero(0);
        _tile_zero(2);
        if constexpr (NV > 1) {
            _tile_zero(1);
            _tile_zero(3);
        }
    }
    const float *a = tile.a, *w = tile.w + at * L;
    const ptrdiff_t lower_a = upper * tile.a_row;
    for (int k = 0; k < tile.depth; k += kDepth, w += kDepth * tile.w_k) {
        if (k > 0) a += k % tile.run == 0 ? tile.hop : kDepth;
        _tile_loadd(6, w, w_k);
        _tile_loadd(4, a, a_row);
        _tile_loadd(5, a + lower_a, a_row);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(2, 5, 6);
        if constexpr (NV > 1) {
            _tile_loadd(7, w + L, w_k);
            _tile_dpbf16ps(1, 4, 7);
            _tile_dpbf16ps(3, 5, 7);
        }
    }
    _tile_stored(0, out, out_row);
    _tile_stored(2, below, out_row);
    if constexpr (NV > 1) {
        _tile_stored(1, out + L, out_row);
        _tile_stored(3, below + L, out_row);
    }
}

// As in tile.h, whatever AcrossRows says: rows lie one after another here.
template <bool AcrossRows>
GATEWISE_INLINE void multiply_tile(int rows, int vectors, const Tile& tile) {
    if (rows <= kHalf) {
        Tiles::set(rows, 0);
        if (vectors == 4) return multiply_half<4>(tile);
        if (vectors == 3) return multiply_half<3>(tile);
        if (vectors == 2) return multiply_half<2>(tile);
        return multiply_half<1>(tile);
    }
    const int upper = (rows + 1) / 2;
    Tiles::set(upper, rows - upper);
    for (int at = 0; at < vectors; at += 2) {
        if (at + 1 < vectors)
            multiply_halves<2>(tile, upper, at);
        else
            multiply_halves<1>(tile, upper, at);
    }
}

// Two whole panels, one after the other.
GATEWISE_INLINE void multiply_two_panels(int rows, const Tile& tile) {
    Tile panel = tile;
    multiply_tile<false>(rows, kVectors, panel);
    panel.w += tile.w_panel;
    panel.out += kWide;
    multiply_tile<false>(rows, kVectors, panel);
}

}  // namespace gatewise::GATEWISE_ISA
