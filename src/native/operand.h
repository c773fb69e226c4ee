// What the register tile multiplies: float32 numbers, or, in a build with GATEWISE_BF16, bfloat16 ones.
//
// An operand is a row of 32-bit words. A word is one float32 number, or two bfloat16 numbers that are neighbours in
// depth (the k of tile.h): the instruction multiplies two pairs and adds both products to a float32 sum, so a tile of
// the same shape does twice the depth. Everything but operands (sums, gates, c, h as it is given out, gradients) is
// float32 in both builds.
//
// Numbers are rounded to the nearest bfloat16, ties to even. The intrinsics are bfloat16's: the vector extension has no
// such type.
//
// With GATEWISE_AMX the tile (amx.h) takes kDepth words at a time, so operands are as long as a multiple of it, zeros
// behind, and the rows of a tile lie one after another even where they are numbers of a row ("across").

#pragma once

#include "simd.h"

namespace gatewise::GATEWISE_ISA {

#if GATEWISE_BF16
constexpr int kPair = 2;
#else
constexpr int kPair = 1;
#endif

#if GATEWISE_AMX
constexpr int kDepth = 16;
#else
constexpr int kDepth = 1;
#endif

constexpr int words(int numbers) { return (numbers + kPair - 1) / kPair; }
constexpr int whole_depth(int words) { return (words + kDepth - 1) / kDepth * kDepth; }
// Words that a tile multiplies for so many numbers, and those of a row of them that is written in whole vectors.
constexpr int depth_of(int numbers) { return whole_depth(words(numbers)); }
constexpr int operand_row(int numbers) { return whole_depth(words(padded(numbers))); }

// The word at p in all lanes.
GATEWISE_INLINE V all_words(const float* p) {
#if GATEWISE_BF16
    int32_t bits;
    std::memcpy(&bits, p, sizeof bits);
    return (V)(bits - I{});
#else
    return all(*p);
#endif
}

// sum + number * w, lane by lane; of pairs, both products.
GATEWISE_INLINE V multiply_add(V sum, V number, V w) {
#if GATEWISE_BF16
    return (V)_mm512_dpbf16_ps((__m512)sum, (__m512bh)number, (__m512bh)w);
#else
    return sum + number * w;
#endif
}

// The first n lanes of v as numbers `at` to `at + n - 1` of a row of operands.
GATEWISE_INLINE void store_numbers(float* row, int at, V v, int n) {
#if GATEWISE_BF16
    const __m256i rounded = (__m256i)_mm512_cvtneps_pbh((__m512)v);
    char* const to = reinterpret_cast<char*>(row) + 2 * at;
    if (n == L) return _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), rounded);
    _mm256_mask_storeu_epi16(to, (__mmask16)((1u << n) - 1), rounded);
#else
    store_first(row + at, v, n);
#endif
}

// And back: L numbers from `at`.
GATEWISE_INLINE V load_numbers(const float* row, int at) {
#if GATEWISE_BF16
    const char* const from = reinterpret_cast<const char*>(row) + 2 * at;
    return (V)((I)_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))) << 16);
#else
    return load(row + at);
#endif
}

#if GATEWISE_AMX
// A square of words, its rows made its columns: in steps of 1, 2, 4 and 8, each exchanging two corners of squares.
GATEWISE_INLINE void turn(I (&square)[L]) {
    I next[L];
    GATEWISE_UNROLL_ALL
    for (int r = 0; r < L; r += 2) {
        next[r] = (I)_mm512_unpacklo_epi32((__m512i)square[r], (__m512i)square[r + 1]);
        next[r + 1] = (I)_mm512_unpackhi_epi32((__m512i)square[r], (__m512i)square[r + 1]);
    }
    GATEWISE_UNROLL_ALL
    for (int r = 0; r < L; r += 4)
        GATEWISE_UNROLL_ALL
    for (int half = 0; half < 2; ++half) {
        square[r + 2 * half] = (I)_mm512_unpacklo_epi64((__m512i)next[r + half], (__m512i)next[r + half + 2]);
        square[r + 2 * half + 1] = (I)_mm512_unpackhi_epi64((__m512i)next[r + half], (__m512i)next[r + half + 2]);
    }
    // Now quarter q of row 4 n + j holds column 4 q + j of rows 4 n to 4 n + 3.
    GATEWISE_UNROLL_ALL
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

#if GATEWISE_BF16
// Words from the rounded lanes of two vectors: a's the first of each pair.
GATEWISE_INLINE V paired(V a, V b) {
    const I first = (I)_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)a));
    const I second = (I)_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)b));
    return (V)(first | second << 16);
}
#endif

// `count` rows of `row` words, as an operand whose depth is those rows: in float32 they are that already. Of pairs,
// `joined` gets (depth_of(count), 2 row) words, each made of one number of a row and the one below it.
GATEWISE_INLINE const float* across_rows(const float* rows, int row, int count, float* joined) {
#if GATEWISE_BF16
    for (int r = 0; r < count; r += 2) {
        const float *above = rows + r * row, *below = above + row;
        float* to = joined + r * row;
        for (int w = 0; w < row; w += L / 2, to += L) {
            const I first = (I)_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(above + w)));
            I second{};
            if (r + 1 < count)
                second = (I)_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(below + w)));
            store(to, (V)(first | second << 16));
        }
    }
    const int done = words(count), behind = depth_of(count) - done;
    std::memset(joined + done * 2 * row, 0, sizeof(float) * static_cast<size_t>(behind * 2 * row));
    return joined;
#else
    static_cast<void>(row), static_cast<void>(count), static_cast<void>(joined);
    return rows;
#endif
}

// The same as the rows of a tile: where number n of word k is, from `words`: at n row + k depth.
struct Across {
    const float* words;
    ptrdiff_t row, depth;
};
// Words of room for it, of rows of `row` words of which there are at most `most`.
constexpr size_t across_size(int row, int most) {
    return kPair == 1 ? 0 : 2 * static_cast<size_t>(row) * static_cast<size_t>(depth_of(most));
}

GATEWISE_INLINE Across across_numbers(const float* rows, int row, int count, float* joined) {
#if GATEWISE_AMX
    // 16 numbers of 16 pairs of rows at a time, turned over.
    const int depth = depth_of(count);
    for (int k0 = 0; k0 < depth; k0 += L)
        for (int w = 0; w < row; w += L / 2) {
            I square[L];
            for (int k = 0; k < L; ++k) {
                const int r = 2 * (k0 + k);
                const float* above = rows + r * row + w;
                I first{}, second{};
                if (r < count)
                    first = (I)_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(above)));
                if (r + 1 < count)
                    second = (I)_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(above + row)));
                square[k] = first | second << 16;
            }
            turn(square);
            for (int n = 0; n < L; ++n) store(joined + (2 * w + n) * depth + k0, (V)square[n]);
        }
    return {joined, depth, 1};
#else
    return {across_rows(rows, row, count, joined), 1, kPair * row};
#endif
}

// A row of `units` numbers as an operand, zeros behind up to a multiple of L; times a mask, if there is one.
GATEWISE_INLINE void copy_operand(float* to, const float* from, const float* mask, int units) {
    for (int b = 0; b < blocks_of(units); ++b) {
        const int n = lanes_of(units, b);
        V v = load_first(from + b * L, n);
        if (mask != nullptr) v *= load_first(mask + b * L, n);
        store_numbers(to, b * L, v, L);
    }
    for (int w = words(padded(units)); w < operand_row(units); ++w) to[w] = 0.0f;
}

}  // namespace gatewise::GATEWISE_ISA
