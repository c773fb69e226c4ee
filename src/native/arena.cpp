#include "arena.h"

#include <pthread.h>

#include <cstdlib>
#include <list>
#include <mutex>
#include <new>
#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace gatewise {

namespace {

constexpr size_t kHugePage = size_t{1} << 21;

// For AddressSanitizer, which sees the blocks from outside: of a block that is lent, only what was asked for may be
// touched, and of one that is kept, nothing.
void allow([[maybe_unused]] const Block& block, [[maybe_unused]] size_t size) {
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(block.data, block.size);
    __asan_poison_memory_region(static_cast<char*>(block.data) + size, block.size - size);
#endif
}

void free_block(const Block& block) {
    allow(block, block.size);
    std::free(block.data);
}

struct Arena {
    std::mutex mutex;
    std::list<Block> kept;  // the one given last in front
    size_t bytes = 0;
    size_t bound = size_t{1} << 30;

    // A block of the kind that `size` is, but too small for it, will be too small again: without this, every batch that
    // is the largest so far would leave its predecessor's blocks behind.
    void drop_outgrown(size_t size) {
        auto largest = kept.end();
        for (auto it = kept.begin(); it != kept.end(); ++it)
            if (it->size < size && it->size >= size / 2 && (largest == kept.end() || it->size > largest->size))
                largest = it;
        if (largest == kept.end()) return;
        bytes -= largest->size;
        free_block(*largest);
        kept.erase(largest);
    }
    void shrink_to(size_t size) {
        while (bytes > size) {
            free_block(kept.back());
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

// Sizes in steps of a sixteenth of a power of two: batches of slightly different size can use each other's blocks, and
// three hundredths of the memory are what that costs on average.
size_t rounded(size_t size) {
    if (size < 4096) return 4096;
    size_t step = size_t{1} << (63 - __builtin_clzll(size));
    step /= 16;
    return (size + step - 1) / step * step;
}

}  // namespace

Block take_block(size_t size) {
    Arena& here = arena();
    const size_t asked = size;
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
            allow(block, asked);
            return block;
        }
        here.drop_outgrown(size);
    }
    size = rounded(size);
    const bool large = size >= kHugePage;
    void* data = nullptr;
    if (posix_memalign(&data, large ? kHugePage : 64, size) != 0) throw std::bad_alloc();
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (large) static_cast<void>(madvise(data, size, MADV_HUGEPAGE));  // no matter if it is refused
#endif
    allow({data, size}, asked);
    return {data, size};
}

void give_block(Block block) noexcept {
    if (block.data == nullptr) return;
    Arena& here = arena();
    std::lock_guard<std::mutex> lock(here.mutex);
    allow(block, 0);
    try {
        here.kept.push_front(block);
    } catch (...) {
        free_block(block);
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
