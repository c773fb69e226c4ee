#include "pooling.h"

#include <algorithm>
#include <vector>

#include "pool.h"

namespace gatewise {

namespace {

constexpr Index kPiece = Index{1} << 15;  // numbers of a piece: less takes no more time than to wake a thread

// Call f(b, first) for each sequence b, whose steps begin at row `first`, in pieces of whole sequences on all threads.
template <class F>
void for_each(const Segments& segments, const F& f) {
    std::vector<Index> starts(segments.size + 1, 0), pieces{0};
    for (Index b = 0; b < segments.size; ++b) {
        starts[b + 1] = starts[b] + segments.lengths[b];
        if ((starts[b + 1] - starts[pieces.back()]) * segments.width >= kPiece) pieces.push_back(b + 1);
    }
    if (pieces.back() != segments.size) pieces.push_back(segments.size);
    run_pieces(segments.threads, static_cast<Index>(pieces.size()) - 1, [&](Index piece) {
        for (Index b = pieces[piece]; b < pieces[piece + 1]; ++b) f(b, starts[b]);
    });
}

}  // namespace

void segment_reduce(const Segments& segments, bool maximum, const float* x, float* out) {
    const Index width = segments.width;
    for_each(segments, [&](Index b, Index first) {
        float* __restrict const to = out + b * width;
        if (segments.lengths[b] == 0) {
            std::fill_n(to, width, 0.0f);
            return;
        }
        std::copy_n(x + first * width, width, to);
        for (Index n = first + 1; n < first + segments.lengths[b]; ++n) {
            const float* __restrict const row = x + n * width;
            if (maximum) {
                for (Index u = 0; u < width; ++u) to[u] = row[u] > to[u] || row[u] != row[u] ? row[u] : to[u];
            } else {
                for (Index u = 0; u < width; ++u) to[u] += row[u];
            }
        }
    });
}

void repeat_rows(const Segments& segments, bool add, const float* grad, float* out) {
    const Index width = segments.width;
    for_each(segments, [&](Index b, Index first) {
        const float* __restrict const from = grad + b * width;
        for (Index n = first; n < first + segments.lengths[b]; ++n) {
            float* __restrict const to = out + n * width;
            if (add) {
                for (Index u = 0; u < width; ++u) to[u] += from[u];
            } else {
                std::copy_n(from, width, to);
            }
        }
    });
}

void max_backward(
    const Segments& segments, bool add, const float* x, const float* largest, const float* grad, float* out) {
    const Index width = segments.width;
    for_each(segments, [&](Index b, Index first) {
        const float* __restrict const top = largest + b * width;
        const Index last = first + segments.lengths[b];
        std::vector<float> share(width, 0.0f);  // first how many steps have the maximum, then the part of each
        float* __restrict const part = share.data();
        for (Index n = first; n < last; ++n) {
            const float* __restrict const row = x + n * width;
            for (Index u = 0; u < width; ++u) part[u] += row[u] == top[u] ? 1.0f : 0.0f;
        }
        for (Index u = 0; u < width; ++u) part[u] = grad[b * width + u] / std::max(part[u], 1.0f);
        for (Index n = first; n < last; ++n) {
            const float* __restrict const row = x + n * width;
            float* __restrict const to = out + n * width;
            if (add) {
                for (Index u = 0; u < width; ++u) to[u] += row[u] == top[u] ? part[u] : 0.0f;
            } else {
                for (Index u = 0; u < width; ++u) to[u] = row[u] == top[u] ? part[u] : 0.0f;
            }
        }
    });
}

}  // namespace gatewise
