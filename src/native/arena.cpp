#include "arena.h"

#include <cstddef>
#include <limits>
#include <list>
#include <mutex>
#include <new>
#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(__SANITIZE_ADDRESS__)  // GCC
#define GATEWISE_ASAN
#elif defined(__has_feature)  // Clang
#if __has_feature(address_sanitizer)
#define GATEWISE_ASAN
#endif
#endif
#if defined(GATEWISE_ASAN)
#include <sanitizer/asan_interface.h>
#endif

#include "system.h"

namespace gatewise {

namespace {

constexpr size_t kHugePage = size_t{1} << 21;
constexpr size_t kSmallest = 4096;  // bytes of a block
constexpr size_t kLargest = std::numeric_limits<std::ptrdiff_t>::max();  // of any object; `rounded` cannot wrap around
static_assert(kHugePage % kAlignment == 0);

// AddressSanitizer does not see inside blocks. Tell it that of a block only the first `size` bytes may be used: those
// asked for while it is allocated, none while it is cached.
void allow([[maybe_unused]] const Block& block, [[maybe_unused]] size_t size) {
#if defined(GATEWISE_ASAN)
    __asan_unpoison_memory_region(block.data, block.size);
    __asan_poison_memory_region(static_cast<char*>(block.data) + size, block.size - size);
#endif
}

void free_block(const Block& block) {
    allow(block, block.size);
    free_aligned(block.data);
}

struct Arena {
    std::mutex mutex;
    std::list<Block> cached;  // the one released last comes first
    size_t bytes = 0;
    size_t limit = size_t{1} << 30;

    // Remove the smallest block that has room for `size` and is not far too large. Its data is null if there is none.
    Block take(size_t size) {
        auto best = cached.end();
        for (auto it = cached.begin(); it != cached.end(); ++it)
            if (it->size >= size && it->size / 2 <= size + kSmallest && (best == cached.end() || it->size < best->size))
                best = it;
        if (best == cached.end()) return {.data = nullptr, .size = 0};
        const Block block = *best;
        bytes -= block.size;
        cached.erase(best);
        return block;
    }
    // Free the largest block that is a little too small for `size`: it will be too small again. Without this, every
    // batch that is the largest so far would leave its predecessor's blocks in the cache.
    void evict_outgrown(size_t size) {
        auto largest = cached.end();
        for (auto it = cached.begin(); it != cached.end(); ++it)
            if (it->size < size && it->size >= size / 2 && (largest == cached.end() || it->size > largest->size))
                largest = it;
        if (largest == cached.end()) return;
        bytes -= largest->size;
        free_block(*largest);
        cached.erase(largest);
    }
    void shrink_to(size_t size) {
        while (bytes > size) {
            free_block(cached.back());
            bytes -= cached.back().size;
            cached.pop_back();
        }
    }
};

// It is never destroyed, since arrays may be released while the interpreter shuts down. It is locked during a fork, so
// that the child finds it in a consistent state.
Arena& arena() {
    static Arena* const instance = [] {
        auto* created = new Arena;
        at_fork([] { arena().mutex.lock(); }, [] { arena().mutex.unlock(); }, [] { arena().mutex.unlock(); });
        return created;
    }();
    return *instance;
}

// Sizes in steps of a sixteenth of a power of two: batches of slightly different size can use each other's blocks, for
// three hundredths of the memory on average.
size_t rounded(size_t size) {
    if (size < kSmallest) return kSmallest;
    size_t step = size_t{1} << (63 - __builtin_clzll(size));
    step /= 16;
    return (size + step - 1) / step * step;
}

}  // namespace

Block allocate(size_t size) {
    if (size > kLargest) throw std::bad_alloc();
    Arena& here = arena();
    {
        std::lock_guard<std::mutex> lock(here.mutex);
        const Block block = here.take(size);
        if (block.data != nullptr) {
            allow(block, size);
            return block;
        }
        here.evict_outgrown(size);
    }
    Block block{.data = nullptr, .size = rounded(size)};
    const bool large = block.size >= kHugePage;
    block.data = allocate_aligned(large ? kHugePage : kAlignment, block.size);
    if (block.data == nullptr) throw std::bad_alloc();
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (large) static_cast<void>(madvise(block.data, block.size, MADV_HUGEPAGE));  // a refusal does no harm
#endif
    allow(block, size);
    return block;
}

void release(Block block) noexcept {
    if (block.data == nullptr) return;
    Arena& here = arena();
    std::lock_guard<std::mutex> lock(here.mutex);
    allow(block, 0);
    try {
        here.cached.push_front(block);
    } catch (...) {
        free_block(block);
        return;
    }
    here.bytes += block.size;
    here.shrink_to(here.limit);
}

size_t cached_bytes() {
    Arena& here = arena();
    std::lock_guard<std::mutex> lock(here.mutex);
    return here.bytes;
}

void set_cache_limit(size_t bytes) {
    Arena& here = arena();
    std::lock_guard<std::mutex> lock(here.mutex);
    here.limit = bytes;
    here.shrink_to(bytes);
}

}  // namespace gatewise
