// The tile of tile.h in the processor's tile registers (AMX). One instruction multiplies 16 rows of 16 words by 16 words
// of 16 columns. A word is a pair of bfloat16 numbers.
//
//               w      6 | 7        two vectors of a panel, 16 words deep
//   a   4   C   0 | 1               up to 16 rows
//       5       2 | 3               and up to 16 more
//
// There are eight registers. Two rows by two columns of sums use them all: four loads serve four products. A tile of up
// to 16 rows leaves 2 and 3 free for two more vectors. The instruction that sets the registers' numbers of rows sets all
// of them and zeroes them. So a tile's rows are cut into two halves once, and the registers are configured again only
// when the halves' sizes change.
//
// For each sum the processor adds up the products of the first numbers of 16 pairs, then those of the second numbers,
// and then adds both to the sum so far. The rounding differs from AVX512_BF16's, and is the same for every row.
// Denormals count as zero.

#pragma once

#include "tile.h"

namespace gatewise::GATEWISE_ISA {

constexpr Index kRegisterRows = 16;
constexpr Index kRegisterBytes = 64;  // of a row
static_assert(kRows == 2 * kRegisterRows, "a tile has two registers of rows");
static_assert(kDepthStep <= kRegisterRows && kDepthStep * sizeof(Word) == kRegisterBytes);
static_assert(sizeof(V) == kRegisterBytes, "a row of sums is a vector");

// The operand of LDTILECFG.
struct TileConfig {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};
static_assert(sizeof(TileConfig) == 64);

// While one of these lives, its thread may use tile registers. Its end releases them, so that the system need not save
// them any more. It does not rely on an earlier configuration: another library may have changed that.
struct TileRegisters {
    TileRegisters() { configured = 0; }
    ~TileRegisters() { _tile_release(); }
    TileRegisters(const TileRegisters&) = delete;
    TileRegisters& operator=(const TileRegisters&) = delete;

    // Registers 0, 1 and 4 get `upper` rows, 2, 3 and 5 `lower`. `lower` is 0 where they are not used.
    static void configure(Index upper, Index lower) {
        if (configured == upper * kRows + lower) return;
        configured = upper * kRows + lower;
        const uint8_t up = static_cast<uint8_t>(upper), low = lower == 0 ? up : static_cast<uint8_t>(lower);
        TileConfig config{};
        config.palette = 1;
        for (int t = 0; t < 8; ++t) config.row_bytes[t] = kRegisterBytes;
        config.rows[0] = config.rows[1] = config.rows[4] = up;
        config.rows[2] = config.rows[3] = config.rows[5] = low;
        config.rows[6] = config.rows[7] = kDepthStep;
        _tile_loadconfig(&config);
    }

    static inline thread_local Index configured = 0;  // both numbers of rows
};

constexpr Index in_bytes(Index words) { return words * static_cast<Index>(sizeof(Word)); }

// Up to 16 rows by NV vectors.
template <int NV>
GATEWISE_NOINLINE void multiply_16_rows(const Tile& tile) {
    const Index a_row = in_bytes(tile.a_row), w_k = in_bytes(tile.w_k), out_row = in_bytes(tile.out_row);
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
    const Word *a = tile.a, *w = tile.w;
    for (Index k = 0; k < tile.depth; k += kDepthStep, w += kDepthStep * tile.w_k) {
        if (k > 0) a += k % tile.a_run == 0 ? tile.a_run_stride : kDepthStep;
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

// Up to 32 rows by NV vectors from vector `at`. The first register has `upper` rows.
template <int NV>
GATEWISE_NOINLINE void multiply_32_rows(const Tile& tile, Index upper, Index at) {
    const Index a_row = in_bytes(tile.a_row), w_k = in_bytes(tile.w_k), out_row = in_bytes(tile.out_row);
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
    const Word *a = tile.a, *w = tile.w + at * L;
    const Index lower_a = upper * tile.a_row;
    for (Index k = 0; k < tile.depth; k += kDepthStep, w += kDepthStep * tile.w_k) {
        if (k > 0) a += k % tile.a_run == 0 ? tile.a_run_stride : kDepthStep;
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

// A tile of `rows` (1 to kRows) by `vectors` (1 to kVectors). Transposed makes no difference: transposed_a makes rows
// contiguous.
template <bool Transposed>
GATEWISE_INLINE void multiply_tile(Index rows, Index vectors, const Tile& tile) {
    if (rows <= kRegisterRows) {
        TileRegisters::configure(rows, 0);
        if (vectors == 4) return multiply_16_rows<4>(tile);
        if (vectors == 3) return multiply_16_rows<3>(tile);
        if (vectors == 2) return multiply_16_rows<2>(tile);
        return multiply_16_rows<1>(tile);
    }
    const Index upper = (rows + 1) / 2;
    TileRegisters::configure(upper, rows - upper);
    for (Index at = 0; at < vectors; at += 2) {
        if (at + 1 < vectors)
            multiply_32_rows<2>(tile, upper, at);
        else
            multiply_32_rows<1>(tile, upper, at);
    }
}

}  // namespace gatewise::GATEWISE_ISA
