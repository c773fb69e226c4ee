// A thread pool. Threads start when they are first needed and sleep when there is no work.

#pragma once

#include <type_traits>

#include "kernel.h"

namespace gatewise {

// Run work(data, 0) to work(data, parts - 1), each once and on a thread of its own, one of them the caller's. Return when
// all have finished. Denormals count as zero in all of them. Where the pool is busy with another caller's work, the
// parts run here one after the other, so parts must not wait for each other. The first exception of a part is thrown
// here.
void run_parts(Index parts, void (*work)(void* data, Index part), void* data);

template <class F>
void run_parts(Index parts, F&& f) {
    using Plain = std::remove_reference_t<F>;
    run_parts(
        parts, [](void* data, Index part) { (*static_cast<Plain*>(data))(part); },
        const_cast<void*>(static_cast<const void*>(&f)));
}

}  // namespace gatewise
