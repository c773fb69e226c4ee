// What differs between operating systems. Threads, processor features and huge pages: pool.cpp, isas.cpp, arena.cpp.

#pragma once

#include <cstddef>
#include <cstdlib>
#if defined(_WIN32)
#include <malloc.h>
#else
#include <pthread.h>
#endif

namespace gatewise {

// Memory at a multiple of `alignment`, a power of two; null without it.
inline void* allocate_aligned(size_t alignment, size_t size) {
#if defined(_WIN32)
    return _aligned_malloc(size, alignment);
#else
    void* data = nullptr;
    return posix_memalign(&data, alignment, size) == 0 ? data : nullptr;
#endif
}

inline void free_aligned(void* data) {
#if defined(_WIN32)
    _aligned_free(data);
#else
    std::free(data);
#endif
}

// Calls the functions before a fork, in the parent and in the child; null for none. Windows: has no fork.
inline void at_fork([[maybe_unused]] void (*before)(), [[maybe_unused]] void (*parent)(),
                    [[maybe_unused]] void (*child)()) {
#if !defined(_WIN32)
    pthread_atfork(before, parent, child);
#endif
}

}  // namespace gatewise
