// What the instruction-set builds offer to the rest: plain data and function pointers, so that nothing is shared
// inline.
//
//   bind.cpp                     Python in and out             kernel.cpp   compiled once per instruction set
//   driver.cpp, linear_driver    plan, scratch, threads  --->    simd.h  operand.h  activations.h  tile.h  pack.h
//   plan, pool, arena, flush                                     forward.h  backward.h  sum_rows.h  linear.h
//                                                                all in namespace gatewise::<isa>
//
// Why so strict: an inline function or template that two of those builds emit under one name is merged by the linker,
// and then an AVX-512 copy may run on a machine without it. So the files on the right include no C++ standard library,
// and meet the left side only here.

#pragma once

#include <cstddef>
#include <cstdint>

namespace gatewise {

// One sequence of the batch.
struct Sequence {
    int64_t start;   // its first row in (N, ...)
    int64_t length;  // steps
    int64_t number;  // which of the B
};

// Sequences that one thread owns for all of time, longest first.
struct Share {
    const Sequence* sequences;
    int64_t count;
};

struct ForwardJob {
    int units;
    bool reverse, binary;
    bool stream;           // gates past the cache: for a tape that would not stay in it till backward
    const float* pre;      // (U, 4H)
    const int32_t* index;  // (N,) or null: row n of pre
    const float* h0;       // (B, H)
    const float* c0;
    const float* mask;     // (B, H) or null: ones. Times h_{t-1} where W multiplies it, at every step
    const int32_t* base;   // (B,) or null: the row of pre that a sequence's rows are drawn from,
    const float* along;    // (B,) and how far: base + along (row - base)
    const float* weights;  // packed, see pack.h
    float* h;              // (N, H)
    float* h_T;            // (B, H)
    float* c_T;
    float* c;      // (N, H) or null: no tape
    float* gates;  // (N, blocks, 4, L) or null
};

struct BackwardJob {
    int units;
    bool reverse, binary;
    bool stream;      // dpre past the cache
    const float* h0;  // (B, H)
    const float* c0;
    const float* mask;  // as it was in forward
    const float* h;     // (N, H)
    const float* c;
    const float* dh;    // (N, H) or null: zeros
    const float* dc;    // (N, H) or null: zeros
    const float* dh_T;  // (B, H)
    const float* dc_T;
    const float* weights;  // packed, see pack.h
    float* gates;          // (N, blocks, 4, L): in the gates, out their gradients where dpre is null
    float* dpre;           // (N, 4H) where every step has a row of its own, else null
    float* dh0;            // (B, H)
    float* dc0;
};

// The rows of dpre from those of the steps: row u is the sum of `gates[order[offsets[u]] .. order[offsets[u + 1]])`.
struct SumJob {
    int units;
    const float* gates;      // (N, blocks, 4, L)
    const int32_t* order;    // (N,) rows, sorted by index
    const int64_t* offsets;  // (U + 1,)
    float* dpre;             // (U, 4H)
};

// y (M, N) = x (M, K) Wᵀ + b, see linear.h: N outputs, K inputs.
struct LinearJob {
    int outputs, inputs;
    const float* x;
    const float* bias;
    const float* weights;  // packed
    float* y;
};

struct LinearBackJob {
    int outputs, inputs;
    const float* x;
    const float* dy;
    const float* weights;  // packed for dx
    float* dx;             // or null
};

// One build of the kernel. Sizes are in floats; scratch is aligned to 64 bytes and need not be zero unless it says so.
struct Isa {
    const char* name;
    int lanes;

    size_t (*forward_weights_size)(int units);
    void (*pack_forward)(int units, const float* weight_hh, float* packed, int first_block, int last_block);
    size_t (*forward_scratch)(int units);
    void (*forward)(const ForwardJob& job, Share share, float* scratch);

    size_t (*backward_weights_size)(int units);
    void (*pack_backward)(int units, const float* weight_hh, float* packed, int first_block, int last_block);
    size_t (*backward_scratch)(int units);
    size_t (*dweight_size)(int units);
    void (*backward)(const BackwardJob& job, Share share, float* scratch, float* dweight);  // dweight starts zeroed

    // dweight_hh (4H, H) from `parts` packed ones, `stride` floats apart, added in that order; for some blocks of
    // units.
    void (*unpack_dweight)(
        int units, const float* packed, size_t stride, int parts, float* dweight, int first_block, int last_block);
    size_t (*sum_scratch)(int units);
    void (*sum_rows)(const SumJob& job, int64_t first, int64_t last, float* scratch);  // dpre rows first to last

    size_t (*linear_weights_size)(int outputs, int inputs);
    void (*pack_linear)(int outputs, int inputs, const float* weight, float* packed, int first_panel, int last_panel);
    size_t (*linear_scratch)(int outputs, int inputs);
    void (*linear)(const LinearJob& job, int64_t first, int64_t last, float* scratch);  // rows first to last
    size_t (*linear_back_weights_size)(int outputs, int inputs);
    void (*pack_linear_back)(int outputs, int inputs, const float* weight, float* packed);
    size_t (*linear_back_scratch)(int outputs, int inputs);
    size_t (*linear_dweight_size)(int outputs, int inputs);
    void (*linear_back)(const LinearBackJob& job, int64_t first, int64_t last, float* scratch, float* dweight);
    // dweight (N, K) and dbias (N,) from `parts` packed ones, `stride` floats apart; for some rows.
    void (*unpack_linear)(
        int outputs, int inputs, const float* packed, size_t stride, int parts, float* dweight, float* dbias, int first,
        int last);

    void (*activate)(const float* x, float* sigmoid, float* tanh, int64_t count);  // for tests
};

// Null where this build of the extension has no such kernel.
const Isa* isa_v4();
const Isa* isa_v4_bf16();  // operands in bfloat16
const Isa* isa_amx_bf16();  // and products in tile registers
const Isa* isa_v3();
const Isa* isa_neon();
const Isa* isa_portable();

}  // namespace gatewise
