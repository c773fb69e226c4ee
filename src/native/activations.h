// Sigmoid and tanh from one polynomial, with a relative error of a few float32 roundings from the smallest argument to
// the largest.
//
//   exp(x) = 2^n (1 + p)                x = n ln2 + r, |r| <= ln2 / 2, p = expm1(r) = r + r² q(r)
//   expm1(x) = 2^n p + (2^n - 1)
//   sigmoid(x) = 1 / (1 + exp(-x))      tanh(x) = e / (e + 2), e = expm1(2x)
//
// q is a minimax fit of degree 4. benchmarks/fit_activations.py of commit 4a72f05 prints this table for arithmetic
// without fused multiply-add. With it the errors are a little smaller.
//
//   fit alone, exact arithmetic          1.7e-08 relative
//   expm1      1.2e-07 relative, 1.7 ulp
//   sigmoid    1.5e-07 relative, 2.5 ulp
//   tanh       1.9e-07 relative, 2.6 ulp
//
// Arguments of exp are clamped to ±88, where 2^n is still finite, sigmoid is 6e-39 or 1, and tanh is ±1. NaN stays
// NaN.

#pragma once

#include "simd.h"

namespace gatewise::GATEWISE_ISA {

// x between -bound and bound, NaN where x is NaN. It uses intrinsics because GCC makes two instructions of each
// selection.
GATEWISE_INLINE V clamp(V x, float bound) {
#if defined(__AVX512F__)
    return (V)_mm512_max_ps((__m512)broadcast(-bound), _mm512_min_ps((__m512)broadcast(bound), (__m512)x));
#elif defined(__AVX__)
    return (V)_mm256_max_ps((__m256)broadcast(-bound), _mm256_min_ps((__m256)broadcast(bound), (__m256)x));
#elif defined(__SSE__)
    return (V)_mm_max_ps((__m128)broadcast(-bound), _mm_min_ps((__m128)broadcast(bound), (__m128)x));
#else
    x = x > bound ? broadcast(bound) : x;
    return x < -bound ? broadcast(-bound) : x;
#endif
}

// e^x = scale (1 + p), for |x| <= 88 and NaN.
struct Power {
    V scale, p;
};

GATEWISE_INLINE Power power(V x) {
    // 1.5 * 2^23 + 127: the sum rounds x / ln2 to an integer n and leaves n + 127, the exponent of 2^n, in its low
    // bits.
    const float magic = 12583039.0f;
    const V shifted = x * 1.44269504f + magic;
    const V n = shifted - magic;
    // ln2 in two parts. The first has 9 bits, so that n times it is exact.
    const V r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
    V q = broadcast(0.00138825225f);
    q = q * r + 0.008366514f;
    q = q * r + 0.0416672006f;
    q = q * r + 0.166665435f;
    q = q * r + 0.49999997f;
    return {.scale = (V)((I)shifted << 23), .p = (r * r) * q + r};
}

GATEWISE_INLINE V sigmoid(V x) {
    const Power e = power(-clamp(x, 88.0f));
    return 1.0f / (e.scale * e.p + e.scale + 1.0f);
}

GATEWISE_INLINE V tanh(V x) {
    x = clamp(x, 44.0f);
    const Power e = power(x + x);
    const V expm1 = e.scale * e.p + (e.scale - 1.0f);
    return expm1 / (expm1 + 2.0f);
}

// The gate of value 0 or 1 that acts where gate="binary" (cell.py).
GATEWISE_INLINE V binary(V s) { return s > 0.5f ? broadcast(1.0f) : V{}; }

}  // namespace gatewise::GATEWISE_ISA
