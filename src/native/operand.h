// Operands: what the tile multiplies, in float32 or, in a build with GATEWISE_BF16, in bfloat16.
//
// An operand is a row of words. A word is one float32 number, or two bfloat16 numbers that are neighbours in depth (the
// k of tile.h): the instruction multiplies two pairs and adds both products to a float32 sum, so a tile of the same
// shape does twice the depth. Only operands are bfloat16. Sums, gates, c, h as a result, and gradients are float32 in
// both builds.
//
// Numbers are rounded to the nearest bfloat16, ties to even. Intrinsics do it, since the vector extension has no
// bfloat16.
//
// With GATEWISE_AMX the tile (amx.h) takes kDepthStep words at a time. Operands are therefore padded with zeros to a
// multiple of it, and the rows of a tile's `a` are contiguous even where they are the columns of an array.

#pragma once

#include "simd.h"

namespace gatewise::GATEWISE_ISA {

#if GATEWISE_BF16
constexpr Index kPair = 2;  // numbers of a word
static_assert(L == 16, "the intrinsics for bfloat16 are those of AVX-512");
#else
constexpr Index kPair = 1;
#endif

#if GATEWISE_AMX
constexpr Index kDepthStep = 16;  // words
static_assert(GATEWISE_BF16 && kDepthStep == L, "transposed_a transposes squares of kDepthStep words");
#else
constexpr Index kDepthStep = 1;
#endif

constexpr Index words(Index numbers) { return (numbers + kPair - 1) / kPair; }
constexpr Index padded_depth(Index words) { return (words + kDepthStep - 1) / kDepthStep * kDepthStep; }
// Words that a tile multiplies for so many numbers, and words of a row of them that is written in whole vectors.
constexpr Index depth_of(Index numbers) { return padded_depth(words(numbers)); }
constexpr Index operand_row(Index numbers) { return padded_depth(words(padded(numbers))); }

static_assert(padded(1) % kPair == 0, "a padded row is a whole number of words");

// One word in all lanes.
GATEWISE_INLINE V broadcast_word(const Word* p) {
#if GATEWISE_BF16
    return (V)(static_cast<int32_t>(*p) - I{});
#else
    float number;
    std::memcpy(&number, p, sizeof number);
    return broadcast(number);
#endif
}

// sum + a * w, lane by lane; for pairs, the sum of both products.
GATEWISE_INLINE V multiply_add(V sum, V a, V w) {
#if GATEWISE_BF16
    return (V)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)w);
#else
    return sum + a * w;
#endif
}

#if GATEWISE_BF16
// L bfloat16 numbers from p, each in the lower half of a lane.
GATEWISE_INLINE I load_bf16(const void* p) {
    return (I)_mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
}

// Words from the rounded lanes of two vectors.
GATEWISE_INLINE V pack_pairs(V first, V second) {
    const I low = (I)_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)first));
    const I high = (I)_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)second));
    return (V)(low | high << 16);
}
#endif

// The first n lanes of v as numbers `at` to `at + n - 1` of an operand.
GATEWISE_INLINE void store_numbers(Word* row, Index at, V v, Index n) {
#if GATEWISE_BF16
    const __m256i rounded = (__m256i)_mm512_cvtneps_pbh((__m512)v);
    char* const to = reinterpret_cast<char*>(row) + 2 * at;
    if (n == L) return _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), rounded);
    _mm256_mask_storeu_epi16(to, mask_bits(n), rounded);
#else
    store_partial(reinterpret_cast<float*>(row) + at, v, n);
#endif
}

// The L numbers of an operand from number `at`.
GATEWISE_INLINE V load_numbers(const Word* row, Index at) {
#if GATEWISE_BF16
    return (V)(load_bf16(reinterpret_cast<const char*>(row) + 2 * at) << 16);
#else
    return load(row + at);
#endif
}

#if GATEWISE_AMX
// Transpose a square of words in place: in steps of 1, 2, 4 and 8, each of which exchanges two quarters of squares.
GATEWISE_INLINE void transpose_16x16(I (&square)[L]) {
    I next[L];
    GATEWISE_UNROLL
    for (int r = 0; r < L; r += 2) {
        next[r] = (I)_mm512_unpacklo_epi32((__m512i)square[r], (__m512i)square[r + 1]);
        next[r + 1] = (I)_mm512_unpackhi_epi32((__m512i)square[r], (__m512i)square[r + 1]);
    }
    GATEWISE_UNROLL
    for (int r = 0; r < L; r += 4) GATEWISE_UNROLL
    for (int half = 0; half < 2; ++half) {
        square[r + 2 * half] = (I)_mm512_unpacklo_epi64((__m512i)next[r + half], (__m512i)next[r + half + 2]);
        square[r + 2 * half + 1] = (I)_mm512_unpackhi_epi64((__m512i)next[r + half], (__m512i)next[r + half + 2]);
    }
    // Now quarter q of row 4 n + j holds column 4 q + j of rows 4 n to 4 n + 3.
    GATEWISE_UNROLL
    for (int j = 0; j < 4; ++j) {
        const __m512i a = (__m512i)square[j], b = (__m512i)square[4 + j], c = (__m512i)square[8 + j],
                      d = (__m512i)square[12 + j];
        const __m512i ab_even = _mm512_shuffle_i32x4(a, b, 0x88), ab_odd = _mm512_shuffle_i32x4(a, b, 0xdd);
        const __m512i cd_even = _mm512_shuffle_i32x4(c, d, 0x88), cd_odd = _mm512_shuffle_i32x4(c, d, 0xdd);
        next[j] = (I)_mm512_shuffle_i32x4(ab_even, cd_even, 0x88);
        next[4 + j] = (I)_mm512_shuffle_i32x4(ab_odd, cd_odd, 0x88);
        next[8 + j] = (I)_mm512_shuffle_i32x4(ab_even, cd_even, 0xdd);
        next[12 + j] = (I)_mm512_shuffle_i32x4(ab_odd, cd_odd, 0xdd);
    }
    std::memcpy(square, next, sizeof next);
}
#endif

// Backward's weight gradients sum over rows, so their depth is the rows of an array whose words are pairs along a row.
// In float32 that needs no copy: a tile reads the array along its columns. In bfloat16 the pairs are made anew, of each
// number and the one below it.

// `count` rows of `row` words as the operand `w` of a tile whose depth is those rows. In bfloat16 it is `buffer`, with
// (depth_of(count), 2 row) words.
GATEWISE_INLINE const Word* transposed_w(
    const Word* rows, [[maybe_unused]] Index row, [[maybe_unused]] Index count, [[maybe_unused]] Word* buffer) {
#if GATEWISE_BF16
    for (Index r = 0; r < count; r += 2) {
        const Word *first = rows + r * row, *second = first + row;
        Word* to = buffer + r * row;
        for (Index w = 0; w < row; w += L / 2, to += L) {
            const I low = load_bf16(first + w);
            I high{};
            if (r + 1 < count) high = load_bf16(second + w);
            store(to, (V)(low | high << 16));
        }
    }
    const Index filled = words(count), padding = depth_of(count) - filled;
    std::memset(buffer + filled * 2 * row, 0, sizeof(Word) * static_cast<size_t>(padding * 2 * row));
    return buffer;
#else
    return rows;
#endif
}

// The operand `a` of such a tile: number n of depth k is at data[n * row + k * depth].
struct TransposedA {
    const Word* data;
    Index row, depth;
};

GATEWISE_INLINE TransposedA transposed_a(const Word* rows, Index row, Index count, Word* buffer) {
#if GATEWISE_AMX
    // 16 numbers of 16 pairs of rows at a time.
    const Index depth = depth_of(count);
    for (Index k0 = 0; k0 < depth; k0 += L)
        for (Index w = 0; w < row; w += L / 2) {
            I square[L];
            for (Index k = 0; k < L; ++k) {
                const Index r = 2 * (k0 + k);
                const Word* first = rows + r * row + w;
                I low{}, high{};
                if (r < count) low = load_bf16(first);
                if (r + 1 < count) high = load_bf16(first + row);
                square[k] = low | high << 16;
            }
            transpose_16x16(square);
            for (Index n = 0; n < L; ++n) store(buffer + (2 * w + n) * depth + k0, (V)square[n]);
        }
    return {.data = buffer, .row = depth, .depth = 1};
#else
    return {.data = transposed_w(rows, row, count, buffer), .row = 1, .depth = kPair * row};
#endif
}

// Words of the buffer of either, for at most `most` rows of `row` words.
constexpr Index transposed_size(Index row, Index most) { return kPair == 1 ? 0 : 2 * row * depth_of(most); }

// A sequence's row of the mask (B, H). Null: ones.
struct MaskRow {
    const float* data;

    // v, which is units u to u + n - 1, times the mask.
    __attribute__((always_inline)) V times(V v, Index u, Index n) const {
        if (data != nullptr) v *= load_partial(data + u, n);
        return v;
    }
};

// A row of `units` numbers times its mask as an operand, padded with zeros.
GATEWISE_INLINE void copy_operand(Word* to, const float* from, MaskRow mask, Index units) {
    for (Index b = 0; b < blocks_of(units); ++b) {
        const Index n = lanes_of(units, b);
        store_numbers(to, b * L, mask.times(load_partial(from + b * L, n), b * L, n), L);
    }
    for (Index w = words(padded(units)); w < operand_row(units); ++w) to[w] = Word{};
}

}  // namespace gatewise::GATEWISE_ISA
