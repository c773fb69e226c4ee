// One vector of L floats, by GCC's and Clang's vector extension: one source for all instruction sets.
//
// The intrinsics here do what the extension cannot: masked loads and stores of a row's last units, and stores past the
// cache. The masks are needed because the rows of h and c are exactly H long: a whole vector would reach into the next
// row or past the end of the array.

#pragma once

#include <cstring>
#if defined(__SSE__)
#include <immintrin.h>
#endif

#include "kernel.h"

// GATEWISE_ISA: the namespace of this build. GATEWISE_LANES: floats in a vector. GATEWISE_ROWS: rows of a tile.
#define GATEWISE_INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define GATEWISE_NOINLINE __attribute__((noinline))
#define GATEWISE_UNROLL _Pragma("unroll")
#define GATEWISE_UNROLL_BY_2 _Pragma("unroll 2")
#else
#define GATEWISE_NOINLINE __attribute__((noinline, noclone))
#define GATEWISE_UNROLL _Pragma("GCC unroll 32")
#define GATEWISE_UNROLL_BY_2 _Pragma("GCC unroll 2")
#endif

namespace gatewise::GATEWISE_ISA {

constexpr Index L = GATEWISE_LANES;
constexpr int kRows = GATEWISE_ROWS;

typedef float V __attribute__((vector_size(4 * L)));
typedef int32_t I __attribute__((vector_size(4 * L)));
typedef float Unaligned __attribute__((vector_size(4 * L), aligned(4), may_alias));

static_assert(L >= kGates && (L & (L - 1)) == 0, "a vector's length is a power of two");
static_assert(sizeof(V) <= kAlignment, "a vector at the start of an array is aligned");

constexpr Index blocks_of(Index units) { return (units + L - 1) / L; }
constexpr Index padded(Index units) { return blocks_of(units) * L; }
GATEWISE_INLINE Index min(Index a, Index b) { return a < b ? a : b; }
GATEWISE_INLINE Index lanes_of(Index units, Index block) { return min(L, units - block * L); }  // units in this block

GATEWISE_INLINE V load(const float* p) { return *reinterpret_cast<const Unaligned*>(p); }
GATEWISE_INLINE V load(const Word* p) { return *reinterpret_cast<const Unaligned*>(p); }
GATEWISE_INLINE void store(float* p, V v) { *reinterpret_cast<Unaligned*>(p) = v; }
GATEWISE_INLINE void store(Word* p, V v) { *reinterpret_cast<Unaligned*>(p) = v; }
GATEWISE_INLINE V broadcast(float x) { return x - V{}; }

GATEWISE_INLINE I lane_numbers() {
    I numbers{};
    for (int l = 0; l < L; ++l) numbers[l] = l;
    return numbers;
}

// All bits set in the first n lanes, none in the others.
GATEWISE_INLINE I lane_mask(Index n) { return lane_numbers() < static_cast<int32_t>(n); }

// v in the first n lanes, zero in the others.
GATEWISE_INLINE V first_lanes(V v, Index n) { return lane_mask(n) ? v : V{}; }

#if defined(__AVX512F__)
GATEWISE_INLINE __mmask16 mask_bits(Index n) { return static_cast<__mmask16>((1u << n) - 1); }
#endif

// n floats, and zero in the other lanes. Reads nothing after p[n - 1].
GATEWISE_INLINE V load_partial(const float* p, Index n) {
    if (n == L) return load(p);
#if defined(__AVX512F__)
    return (V)_mm512_maskz_loadu_ps(mask_bits(n), p);
#elif defined(__AVX__)
    return (V)_mm256_maskload_ps(p, (__m256i)lane_mask(n));
#else
    V v{};
    for (Index l = 0; l < n; ++l) v[l] = p[l];
    return v;
#endif
}

// The first n lanes. Writes nothing after p[n - 1].
GATEWISE_INLINE void store_partial(float* p, V v, Index n) {
    if (n == L) return store(p, v);
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(p, mask_bits(n), (__m512)v);
#elif defined(__AVX__)
    _mm256_maskstore_ps(p, (__m256i)lane_mask(n), (__m256)v);
#else
    for (Index l = 0; l < n; ++l) p[l] = v[l];
#endif
}

// Correctly rounded.
GATEWISE_INLINE V square_root(V v) {
#if defined(__AVX512F__)
    return (V)_mm512_sqrt_ps((__m512)v);
#elif defined(__AVX__)
    return (V)_mm256_sqrt_ps((__m256)v);
#elif defined(__SSE__)
    return (V)_mm_sqrt_ps((__m128)v);
#else
    for (int l = 0; l < L; ++l) v[l] = __builtin_sqrtf(v[l]);
    return v;
#endif
}

// Prefetch the cache line of p: the rows of a batch are more streams than the hardware prefetcher follows. Any address
// is allowed.
GATEWISE_INLINE void prefetch(const void* p) { __builtin_prefetch(p); }
// To the second-level cache only. On Intel's processors such a prefetch does not occupy one of the few fill buffers of
// the first level until the line arrives, so two to three times as many lines per second come from memory.
GATEWISE_INLINE void prefetch_to_l2(const void* p) { __builtin_prefetch(p, 0, 2); }
GATEWISE_INLINE void prefetch_for_write(const void* p) { __builtin_prefetch(p, 1); }

// A non-temporal store of a whole vector to an aligned address: it does not read the line first and keeps nothing in
// the caches. Other threads may see it late, so `stream_fence` comes before they are told.
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
GATEWISE_INLINE void stream_fence() {
#if defined(__SSE__)
    _mm_sfence();
#endif
}

// A row of `units` floats to one that is padded with zeros to a multiple of L, and back.
GATEWISE_INLINE void copy_padded(float* to, const float* from, Index units) {
    for (Index b = 0; b < blocks_of(units); ++b) store(to + b * L, load_partial(from + b * L, lanes_of(units, b)));
}
GATEWISE_INLINE void copy_unpadded(float* to, const float* from, Index units) {
    std::memcpy(to, from, sizeof(float) * static_cast<size_t>(units));
}

// A thread's scratch, cut into arrays from its start.
struct Scratch {
    float* next;

    float* floats(Index count) {
        float* const array = next;
        next += count;
        return array;
    }
    Word* words(Index count) { return reinterpret_cast<Word*>(floats(count)); }
};

}  // namespace gatewise::GATEWISE_ISA
