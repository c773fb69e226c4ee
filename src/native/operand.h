// What the register tile multiplies: float32 numbers, or, in a build with GATEWISE_BF16, bfloat16 ones.
//
// An operand is a row of 32-bit words. A word is one float32 number, or two bfloat16 numbers that are neighbours in
// depth (the k of tile.h): the instruction multiplies two pairs and adds both products to a float32 sum, so a tile of
// the same shape does twice the depth. Everything but operands (sums, gates, c, h as it is given out, gradients) is
// float32 in both builds.
//
// Numbers are rounded to the nearest bfloat16, ties to even. The intrinsics are bfloat16's: the vector extension has no
// such type.

#pragma once

#include "simd.h"

namespace gatewise::GATEWISE_ISA {

#if GATEWISE_BF16
constexpr int kPair = 2;
#else
constexpr int kPair = 1;
#endif

constexpr int words(int numbers) { return (numbers + kPair - 1) / kPair; }

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

#if GATEWISE_BF16
// Words from the rounded lanes of two vectors: a's the first of each pair.
GATEWISE_INLINE V paired(V a, V b) {
    const I first = (I)_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)a));
    const I second = (I)_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)b));
    return (V)(first | second << 16);
}
#endif

// `count` rows of `row` words, as an operand whose depth is those rows: in float32 they are that already. Of pairs,
// `joined` gets (words(count), 2 row) words, each made of one number of a row and the one below it.
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
    return joined;
#else
    static_cast<void>(row), static_cast<void>(count), static_cast<void>(joined);
    return rows;
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
}

}  // namespace gatewise::GATEWISE_ISA
