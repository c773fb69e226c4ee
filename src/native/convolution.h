// The features of MiniRocket: dilated convolutions of series with 84 kernels of nine taps, and the number of steps above
// each threshold. See src/gatewise/kernels/convolution.py, whose NumPy functions give the same bits: both add in the
// same order, and 3x is (x + x) + x, which rounds once, as no product may be fused into the sums.

#pragma once

#include "simd.h"

namespace gatewise::GATEWISE_ISA {

constexpr Index kTaps = 9, kCentre = 4, kKernels = 84;
constexpr int kThresholds = 4;  // that share the loads of a row

static Index dilation_of(const ConvolutionJob& job, Index bank, Index length) {
    return min(job.dilations[bank], length);  // from there on, all taps but the centre read zeros
}

// Per channel the padded series times 3 and the sum of its taps, and one row of a convolution.
static Index convolution_scratch_size(Index channels, Index longest) {
    return channels * (2 * (kTaps * longest + L) + longest + L) + longest + 2 * L;
}

// How many of conv[first .. last) are above each of `n` thresholds.
template <int N>
GATEWISE_INLINE void count_row(const float* conv, Index count, const float* thresholds, int32_t* counts) {
    I sums[N] = {};
    V limits[N];
    for (int n = 0; n < N; ++n) limits[n] = broadcast(thresholds[n]);
    Index t = 0;
    for (; t + L <= count; t += L) {
        const V v = load(conv + t);
        for (int n = 0; n < N; ++n) sums[n] -= v > limits[n];
    }
    if (t < count) {
        const V v = load_partial(conv + t, count - t);
        const I mask = lane_mask(count - t);
        for (int n = 0; n < N; ++n) sums[n] -= (v > limits[n]) & mask;
    }
    for (int n = 0; n < N; ++n) {
        int32_t total = 0;
        for (int l = 0; l < L; ++l) total += sums[n][l];
        counts[n] = total;
    }
}

static void count_thresholds(const float* conv, Index count, const float* thresholds, Index n, int32_t* counts) {
    for (; n >= kThresholds; n -= kThresholds, thresholds += kThresholds, counts += kThresholds)
        count_row<kThresholds>(conv, count, thresholds, counts);
    for (; n > 0; --n) count_row<1>(conv, count, thresholds++, counts++);
}

// The counts of the series `rows`.
static void count_above(const ConvolutionJob& job, Range rows, float* scratch) {
    const Index channels = job.channels;
    for (Index row = rows.first; row < rows.last; ++row) {
        const Index start = job.starts[row], length = job.starts[row + 1] - start;
        const float* const x = job.values + start * channels;
        const float* thresholds = job.thresholds;
        int32_t* counts = job.counts + row * job.features;
        const Index sum_size = length + L, flat_size = kTaps * length + L;
        float* const conv = scratch + channels * (2 * flat_size + sum_size);
        for (Index bank = 0; bank < job.banks; ++bank) {
            const Index d = dilation_of(job, bank, length), edge = kCentre * d, per_kernel = job.per_kernel[bank];
            const bool fits = length > 2 * edge;
            for (Index c = 0; c < channels; ++c) {
                float* const flat = scratch + c * (2 * flat_size + sum_size);
                float* const three = flat + flat_size;
                float* const sum = three + flat_size;
                const Index size = length + 2 * edge;
                std::memset(flat, 0, sizeof(float) * static_cast<size_t>(size));
                for (Index t = 0; t < length; ++t) flat[edge + t] = x[t * channels + c];
                for (Index t = 0; t < size; ++t) three[t] = (flat[t] + flat[t]) + flat[t];
                for (Index t = 0; t < length; ++t) sum[t] = flat[t];
                for (Index j = 1; j < kTaps; ++j)
                    for (Index t = 0; t < length; ++t) sum[t] += flat[j * d + t];
            }
            Index kernel = 0;
            for (Index i = 0; i < kTaps; ++i)
                for (Index j = i + 1; j < kTaps; ++j)
                    for (Index k = j + 1; k < kTaps; ++k, ++kernel) {
                        const bool every = !fits || (bank + kernel) % 2 == 0;
                        const Index first = every ? 0 : edge, last = every ? length : length - edge;
                        const uint8_t* const used = job.masks + (bank * kKernels + kernel) * channels;
                        bool any = false;
                        for (Index c = 0; c < channels; ++c) {
                            if (!used[c]) continue;
                            const float* const three = scratch + c * (2 * flat_size + sum_size) + flat_size;
                            const float *const a = three + i * d, *const b = three + j * d, *const e = three + k * d;
                            const float* const sum = three + flat_size;
                            if (any)
                                for (Index t = first; t < last; ++t) conv[t] += ((a[t] - sum[t]) + b[t]) + e[t];
                            else
                                for (Index t = first; t < last; ++t) conv[t] = ((a[t] - sum[t]) + b[t]) + e[t];
                            any = true;
                        }
                        if (!any) std::memset(conv, 0, sizeof(float) * static_cast<size_t>(length));
                        count_thresholds(conv + first, last - first, thresholds, per_kernel, counts);
                        thresholds += per_kernel;
                        counts += per_kernel;
                    }
        }
    }
}

}  // namespace gatewise::GATEWISE_ISA
