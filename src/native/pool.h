// Threads that stay: started when first needed, asleep when there is nothing to do.

#pragma once

#include <type_traits>

namespace gatewise {

// Run work(data, 0) to work(data, parts - 1), each once, on as many threads, this one among them; back when all are
// done. Denormals are flushed to zero in all of them (flush.h). Where the pool is busy with another caller's work, the
// parts run here one after the other: they never wait for each other. The first exception of a part is thrown here.
void run_parts(int parts, void (*work)(void* data, int part), void* data);

template <class F>
void run_parts(int parts, F&& f) {
    using Plain = std::remove_reference_t<F>;
    run_parts(
        parts, [](void* data, int part) { (*static_cast<Plain*>(data))(part); },
        const_cast<void*>(static_cast<const void*>(&f)));
}

}  // namespace gatewise
