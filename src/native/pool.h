// A thread pool. Threads start when they are first needed and sleep when there is no work.

#pragma once

#include <algorithm>
#include <atomic>

#include "kernel.h"

namespace gatewise {

// Call work(data, 0) here, and work(data, n) for n up to threads - 1 on other threads at the same time. The calls take
// the work in turn until none is left: a thread that has not started when work(data, 0) returns does not start any more,
// and none does where the pool is busy with another caller's work. Return when all that have started have finished.
// Denormals count as zero in all of them. The first exception of a call is thrown here.
void run_threads(Index threads, void (*work)(void* data, Index thread), void* data);

// Run f(0) to f(pieces - 1), each once, on up to `threads` threads that each take the next piece when they have finished
// one. A thread that gets no processor, since another process is busy there, takes none and is not waited for.
template <class F>
void run_pieces(Index threads, Index pieces, const F& f) {
    std::atomic<Index> next{0};
    auto take = [&] {
        for (Index piece; (piece = next.fetch_add(1, std::memory_order_relaxed)) < pieces;) f(piece);
    };
    const auto call = [](void* data, Index) { (*static_cast<decltype(take)*>(data))(); };
    run_threads(std::max<Index>(1, std::min(threads, pieces)), call, &take);
}

// Run shares 0 to shares - 1, each on a thread of its own, by calls of advance(share), which run a segment of the share
// and return whether there is another. A thread that has finished its share takes over another one: one that has not
// started or, between two segments, one whose thread is slower because another process is busy on its processor. The
// result must not depend on the thread of a segment. advance must not throw.
void run_shares(Index shares, bool (*advance)(void* data, Index share), void* data);

template <class F>
void run_shares(Index shares, const F& f) {
    run_shares(
        shares, [](void* data, Index share) { return (*static_cast<const F*>(data))(share); },
        const_cast<void*>(static_cast<const void*>(&f)));
}

}  // namespace gatewise
