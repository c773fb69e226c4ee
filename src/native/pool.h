// A thread pool. Threads start when they are first needed and sleep when there is no work.

#pragma once

#include <algorithm>
#include <atomic>
#include <type_traits>

#include "kernel.h"

namespace gatewise {

// Run work(data, 0) to work(data, parts - 1), each once and on a thread of its own, one of them the caller's. Return when
// all have finished. Denormals count as zero in all of them. Where the pool is busy with another caller's work, the
// parts run here one after the other, so parts must not wait for each other. The first exception of a part is thrown
// here. shared: the parts take pieces of the work in turn, and none is left when part 0 returns; a part that has not
// started by then does not run.
void run_parts(Index parts, void (*work)(void* data, Index part), void* data, bool shared = false);

template <class F>
void run_parts(Index parts, F&& f) {
    using Plain = std::remove_reference_t<F>;
    run_parts(
        parts, [](void* data, Index part) { (*static_cast<Plain*>(data))(part); },
        const_cast<void*>(static_cast<const void*>(&f)));
}

// Run f(0) to f(pieces - 1), each once, on up to `threads` threads that each take the next piece when they have finished
// one. A thread that gets no processor, since another process is busy there, takes none and is not waited for.
template <class F>
void run_pieces(Index threads, Index pieces, const F& f) {
    std::atomic<Index> next{0};
    auto take = [&] {
        for (Index piece; (piece = next.fetch_add(1, std::memory_order_relaxed)) < pieces;) f(piece);
    };
    run_parts(
        std::max<Index>(1, std::min(threads, pieces)),
        [](void* data, Index) { (*static_cast<decltype(take)*>(data))(); }, &take, true);
}

}  // namespace gatewise
