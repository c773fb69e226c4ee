// One vector of L floats, by GCC's and Clang's vector extension: one source for all instruction sets.
//
// The intrinsics here are what the extension lacks: masked loads and stores of a row's last units (the rows of h and c
// are exactly H long: reading past one's end is a read of the next row, or of nothing), and stores past the cache.

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#if defined(__SSE__)
#include <immintrin.h>
#endif

// GATEWISE_ISA: the namespace of this build. GATEWISE_LANES: floats in a vector. GATEWISE_ROWS: rows of a register
// tile.
#define GATEWISE_INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define GATEWISE_ONE_COPY __attribute__((noinline))
#define GATEWISE_UNROLL_ALL _Pragma("unroll")
#else
#define GATEWISE_ONE_COPY __attribute__((noinline, noclone))
#define GATEWISE_UNROLL_ALL _Pragma("GCC unroll 32")
#endif

namespace gatewise::GATEWISE_ISA {

constexpr int L = GATEWISE_LANES;
constexpr int kRows = GATEWISE_ROWS;

typedef float V __attribute__((vector_size(4 * L)));
typedef int32_t I __attribute__((vector_size(4 * L)));
typedef float Unaligned __attribute__((vector_size(4 * L), aligned(4), may_alias));

constexpr int blocks_of(int units) { return (units + L - 1) / L; }
constexpr int padded(int units) { return blocks_of(units) * L; }
GATEWISE_INLINE int smaller(int a, int b) { return a < b ? a : b; }
GATEWISE_INLINE int lanes_of(int units, int block) { return smaller(L, units - block * L); }  // units in this block

GATEWISE_INLINE V load(const float* p) { return *reinterpret_cast<const Unaligned*>(p); }
GATEWISE_INLINE void store(float* p, V v) { *reinterpret_cast<Unaligned*>(p) = v; }
GATEWISE_INLINE V all(float x) { return x - V{}; }

GATEWISE_INLINE I lane_numbers() {
    I numbers{};
    for (int l = 0; l < L; ++l) numbers[l] = l;
    return numbers;
}

// v in the first n lanes, zero in the others.
GATEWISE_INLINE V first_lanes(V v, int n) { return lane_numbers() < n ? v : V{}; }

// n floats, zero in the lanes behind them. Touches nothing behind p[n - 1].
GATEWISE_INLINE V load_first(const float* p, int n) {
    if (n == L) return load(p);
#if defined(__AVX512F__)
    return (V)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#elif defined(__AVX__)
    return (V)_mm256_maskload_ps(p, (__m256i)(lane_numbers() < n));
#else
    V v{};
    for (int l = 0; l < n; ++l) v[l] = p[l];
    return v;
#endif
}

GATEWISE_INLINE void store_first(float* p, V v, int n) {
    if (n == L) return store(p, v);
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
#elif defined(__AVX__)
    _mm256_maskstore_ps(p, (__m256i)(lane_numbers() < n), (__m256)v);
#else
    for (int l = 0; l < n; ++l) p[l] = v[l];
#endif
}

// Ask for the cache line of p: the rows of a batch are too many streams for the hardware to guess. Never faults.
GATEWISE_INLINE void prefetch(const float* p) { __builtin_prefetch(p); }
GATEWISE_INLINE void prefetch_to_write(const float* p) { __builtin_prefetch(p, 1); }

// A store, of a whole vector at an aligned address, that does not first read the line it overwrites and leaves the
// caches to others. It may be seen late by other threads: `streamed` before they are told.
GATEWISE_INLINE void stream(float* p, V v) {
#if defined(__AVX512F__)
    _mm512_stream_ps(p, (__m512)v);
#elif defined(__AVX__)
    _mm256_stream_ps(p, (__m256)v);
#elif defined(__SSE__)
    _mm_stream_ps(p, (__m128)v);
#else
    store(p, v);
#endif
}
GATEWISE_INLINE void streamed() {
#if defined(__SSE__)
    _mm_sfence();
#endif
}

// A row of `units` floats into one whose length is a multiple of L, zeros behind; and back.
GATEWISE_INLINE void copy_padded(float* to, const float* from, int units) {
    for (int b = 0; b < blocks_of(units); ++b) store(to + b * L, load_first(from + b * L, lanes_of(units, b)));
}
GATEWISE_INLINE void copy_unpadded(float* to, const float* from, int units) {
    std::memcpy(to, from, sizeof(float) * static_cast<size_t>(units));
}

}  // namespace gatewise::GATEWISE_ISA
