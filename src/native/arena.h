// Memory for results and scratch that is used again: a training loop's second batch has no page faults.

#pragma once

#include <cstddef>

namespace gatewise {

struct Block {
    void* data;
    size_t size;  // as allocated, at least what was asked for
};

// At least `size` bytes, aligned to 64 (to 2 MB, in huge pages where the system has them, if large); contents
// arbitrary. Throws std::bad_alloc.
Block take_block(size_t size);

// Give it back: kept for the next one who asks, up to a bound (`keep_blocks`), the oldest given to the system first.
void give_block(Block block) noexcept;

size_t kept_bytes();
void keep_blocks(size_t bytes);  // the bound; 0 gives all back

// Floats that live as long as this: scratch.
class Floats {
  public:
    explicit Floats(size_t count) : block_(take_block(count * sizeof(float))) {}
    ~Floats() { give_block(block_); }
    Floats(const Floats&) = delete;
    Floats& operator=(const Floats&) = delete;
    float* data() const { return static_cast<float*>(block_.data); }

  private:
    Block block_;
};

}  // namespace gatewise
