// A caching allocator for results and scratch: a training loop's second batch has no page faults.

#pragma once

#include <cstddef>

#include "kernel.h"

namespace gatewise {

struct Block {
    void* data;
    size_t size;  // bytes, at least as many as were asked for
};

// At least `size` bytes, aligned to kAlignment. Large blocks are aligned to 2 MB and lie in huge pages where the system
// has them. The contents are arbitrary. Throws std::bad_alloc.
Block allocate(size_t size);

// Returns a block to the cache. Where the cache grows over its limit, the blocks released first go to the system.
void release(Block block) noexcept;

size_t cached_bytes();
void set_cache_limit(size_t bytes);  // 0 returns all cached blocks to the system

// Scratch: floats that live as long as this object.
class Floats {
  public:
    explicit Floats(Index count) : block_(allocate(static_cast<size_t>(count) * sizeof(float))) {}
    ~Floats() { release(block_); }
    Floats(const Floats&) = delete;
    Floats& operator=(const Floats&) = delete;
    float* data() const { return static_cast<float*>(block_.data); }
    Word* words() const { return static_cast<Word*>(block_.data); }

  private:
    Block block_;
};

}  // namespace gatewise
