#include "arena.h"

#include <pthread.h>

#include <cstdlib>
#include <list>
#include <mutex>
#include <new>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace gatewise {

namespace {

constexpr size_t kHugePage = size_t{1} << 21;

struct Arena {
    std::mutex mutex;
    std::list<Block> kept;  // the one given last in front
    size_t bytes = 0;
    size_t bound = size_t{1} << 30;

    void shrink_to(size_t size) {
        while (bytes > size) {
            std::free(kept.back().data);
            bytes -= kept.back().size;
            kept.pop_back();
        }
    }
};

// Never destroyed: arrays may be given back while the interpreter shuts down. Held over a fork, so that the child finds
// it in order.
Arena& arena() {
    static Arena* const made = [] {
        auto* fresh = new Arena;
        pthread_atfork([] { arena().mutex.lock(); }, [] { arena().mutex.unlock(); }, [] { arena().mutex.unlock(); });
        return fresh;
    }();
    return *made;
}

// Sizes in steps of an eighth of a power of two: batches of slightly different size can use each other's blocks.
size_t rounded(size_t size) {
    if (size < 4096) return 4096;
    size_t step = size_t{1} << (63 - __builtin_clzll(size));
    step /= 8;
    return (size + step - 1) / step * step;
}

}  // namespace

Block take_block(size_t size) {
    Arena& here = arena();
    {
        std::lock_guard<std::mutex> lock(here.mutex);
        auto best = here.kept.end();
        for (auto it = here.kept.begin(); it != here.kept.end(); ++it)
            if (it->size >= size && it->size / 2 <= size + 4096 && (best == here.kept.end() || it->size < best->size))
                best = it;
        if (best != here.kept.end()) {
            const Block block = *best;
            here.bytes -= block.size;
            here.kept.erase(best);
            return block;
        }
    }
    size = rounded(size);
    const bool large = size >= kHugePage;
    if (large) size = (size + kHugePage - 1) / kHugePage * kHugePage;
    void* data = std::aligned_alloc(large ? kHugePage : 64, size);
    if (data == nullptr) throw std::bad_alloc();
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (large) static_cast<void>(madvise(data, size, MADV_HUGEPAGE));  // no matter if it is refused
#endif
    return {data, size};
}

void give_block(Block block) noexcept {
    if (block.data == nullptr) return;
    Arena& here = arena();
    std::lock_guard<std::mutex> lock(here.mutex);
    try {
        here.kept.push_front(block);
    } catch (...) {
        std::free(block.data);
        return;
    }
    here.bytes += block.size;
    here.shrink_to(here.bound);
}

size_t kept_bytes() {
    Arena& here = arena();
    std::lock_guard<std::mutex> lock(here.mutex);
    return here.bytes;
}

void keep_blocks(size_t bytes) {
    Arena& here = arena();
    std::lock_guard<std::mutex> lock(here.mutex);
    here.bound = bytes;
    here.shrink_to(bytes);
}

}  // namespace gatewise
