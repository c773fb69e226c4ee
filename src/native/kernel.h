// The interface between the instruction-set builds and the rest: plain data and function pointers.
//
//   bind.cpp, bind_training.cpp  Python in and out             kernel.cpp   compiled once per instruction set
//   driver.cpp                   plan, scratch, threads  --->    simd.h  operand.h  activations.h  tile.h  pack.h
//   plan, pool, arena, isas                                      registers.h  amx.h  forward.h  backward.h  linear.h
//                                                                convolution.h
//                                                              adam.cpp     likewise
//                                                                all in namespace gatewise::<isa>
//
// The linker merges an inline function or a template that two of those builds emit under one name, and then an AVX-512
// copy may run on a machine without AVX-512. The files on the right therefore include no C++ standard library, and this
// header defines no inline function. It is the only header that both sides include.

#pragma once

#include <cstddef>
#include <cstdint>

namespace gatewise {

// Every count, offset and stride. Signed: differences may be negative.
using Index = std::int64_t;

// One 32-bit element of an operand (operand.h): a float32 number or a pair of bfloat16 numbers. It is a type of its own
// so that an operand and an array of floats cannot be exchanged.
enum class Word : std::uint32_t {};
static_assert(sizeof(Word) == sizeof(float), "a float32 number is one word");

constexpr Index kGates = 4;       // i, f, g, o, in this order in every array
constexpr Index kGroup = 64;      // sequences of a share that run in the same steps
constexpr Index kCacheLine = 16;  // floats
constexpr Index kAlignment = 64;  // bytes, of every array from the arena

// One sequence of the batch.
struct Sequence {
    Index start;        // its first row in (N, ...)
    Index length;       // steps
    Index batch_index;  // its row in (B, ...)
};

// Sequences that run together from their first step to their last, longest first: the work of one thread.
struct Share {
    const Sequence* sequences;
    Index count;
};

// How far a share has run. A share runs in segments, between which another thread may take it over (pool.h).
struct Progress {
    Index group = 0;   // the first sequence of the group at hand
    Index step = 0;    // steps of the group that have run
    Index active = 0;  // sequences of the group that the last of them had
    Index filled = 0;  // backward: rows of the chunk in use
};

// From `first` up to, but without, `last`.
struct Range {
    Index first, last;
};

struct ForwardJob {
    Index units;
    bool reverse, binary;
    bool stream;           // store gates, c and h past the cache, because they would not stay in it until backward
    const float* pre;      // (U, 4H)
    const int32_t* index;  // (N,): each step's row of pre. Null: step n has row n
    const float* h0;       // (B, H)
    const float* c0;
    const float* mask;  // (B, H): multiplies h_{t-1} where W multiplies it, at every step. Null: ones
    // Interpolation: base + alpha (row - base) takes the place of each row of pre. Both null: none.
    const int32_t* base;  // (B,): each sequence's row of pre
    const float* alpha;   // (B,)
    // Gates that are held at a value. Both null: none.
    const int32_t* held_index;  // (N,): each step's row of held
    const float* held;          // (R, 4H): NaN where a gate is not held
    const Word* weights;  // packed, see pack.h
    float* h;             // (N, H). Null, with x: only the last states are wanted
    float* h_T;           // (B, H)
    float* c_T;
    // The saved activations, besides h. Both null: none are saved.
    float* c;      // (N, H)
    float* gates;  // (N, blocks, 4, L)
    // The input product x W_ihᵀ + bias of some steps at a time, in place of pre, which is null then. It stays in cache.
    const float* x;             // (N, D). Null: pre has the product
    Index inputs;               // D, 0 without x
    const Word* input_weights;  // packed, see linear.h
    const float* bias;          // (4H,)
};

struct BackwardJob {
    Index units;
    bool reverse, binary;
    bool stream;      // store dpre past the cache
    const float* h0;  // (B, H)
    const float* c0;
    const float* mask;  // as in forward
    const float* h;     // (N, H)
    const float* c;
    const float* dh;    // (N, H). Null: zeros
    const float* dc;    // (N, H). Null: zeros
    const float* dh_T;  // (B, H)
    const float* dc_T;
    const Word* weights;  // packed, see pack.h
    float* gates;         // (N, blocks, 4, L). Where dpre and x are null, their gradients replace them, as operands
    float* dpre;          // (N, 4H) where every step has a row of its own. Null: steps share rows, or x is there
    float* dh0;           // (B, H)
    float* dc0;
    // The input of every step. The gradients of the input product are then computed while those of the gates are in
    // cache, and dpre is not wanted.
    const float* x;             // (N, D). Null: dpre or gates take the gradients
    Index inputs;               // D, 0 without x
    const Word* input_weights;  // W_ih packed, see pack.h; not read where dx is null
    float* dx;                  // (N, D). Null: not wanted
};

// What backward writes for a share besides its results.
struct BackwardBuffers {
    float* scratch;
    float* dweight;  // the share's partial sums, zero at the start. Null: not wanted
    float *dweight_ih, *dbias;  // null without x
};

// Row u of dpre is the sum of the steps' rows `order[offsets[u]]` to `order[offsets[u + 1] - 1]`.
struct SumJob {
    Index units;
    const Word* dgates;    // (N, blocks, 4, L) as backward leaves them in `gates`
    const int32_t* order;  // (N,) rows, sorted by index
    const Index* offsets;  // (U + 1,)
    float* dpre;           // (U, 4H)
};

// One partial sum per share, `stride` floats apart. They are always added in this order.
struct PartialSums {
    const float* first;
    Index stride;
    Index count;
};

struct LinearSize {
    Index outputs, inputs;  // N, K
};

// y (M, N) = x (M, K) Wᵀ + b, see linear.h.
struct LinearJob {
    LinearSize size;
    const float* x;
    const float* bias;
    const Word* weights;  // packed
    float* y;
};

struct LinearBackwardJob {
    LinearSize size;
    const float* x;
    const float* dy;
    const Word* weights;  // packed for dx; not read where dx is null
    float* dx;            // Null: not wanted
};

struct LinearGradients {
    float* dweight;  // (N, K)
    float* dbias;    // (N,)
};

// Counts of steps above thresholds, see convolution.h. D banks, F = 84 x the sum of per_kernel.
struct ConvolutionJob {
    Index banks, channels, features;  // D, C, F
    const Index* starts;              // (B + 1,) rows of values
    const float* values;              // (N, C)
    const int32_t* dilations;         // (D,)
    const int32_t* per_kernel;        // (D,): thresholds of each kernel
    const uint8_t* masks;             // (D, 84, C): whether the kernel reads the channel
    const float* thresholds;          // (F,)
    int32_t* counts;                  // (B, F)
};

// Decay rates of Adam's moments, and 1 minus each.
struct Decay {
    float beta_1, rest_1, beta_2, rest_2;
};

// A step of Adam, see adam.h.
struct AdamJob {
    Decay decay;
    float rate, epsilon;
    float scale;          // of the gradient
    const int64_t* rows;  // (R,) of the table (V, columns). Null: all elements have a gradient
    Index columns;
    const float* grad;  // (R, columns), or as weight
    float* weight;
    float* m;
    float* v;
};

// Steps of Adam without a gradient, for rows of a table (V, columns).
struct CatchUpJob {
    Decay decay;
    const float* rates;  // [s] of step s, as epsilons
    const float* epsilons;
    const int64_t* rows;  // (R,). Null: all V
    const int64_t* last;  // (R,): the row's last step so far
    Index now;            // the last step
    Index columns;
    float* weight;
    float* m;
    float* v;
};

struct ActivationJob {
    Index count;
    const float* x;
    float* sigmoid;
    float* tanh;
};

// One build of the kernel. Sizes are in floats. Scratch may hold anything at the start.
struct Isa {
    const char* name;
    Index lanes;

    Index (*forward_weights_size)(Index units);
    void (*pack_forward)(Index units, const float* weight_hh, Word* packed, Range blocks);
    Index (*forward_scratch_size)(Index units, Index inputs);  // inputs: 0 where pre is given
    // Run the share on for about `rows` steps of single sequences. Returns whether something is left of it.
    bool (*forward)(const ForwardJob& job, Share share, Progress& progress, Index rows, float* scratch);

    // columns: of the weight (4H, columns), H or D.
    Index (*backward_weights_size)(Index units, Index columns);
    void (*pack_backward)(Index units, Index columns, const float* weight, Word* packed, Range blocks);
    Index (*backward_scratch_size)(Index units, Index inputs);  // inputs: 0 without x
    Index (*dweight_size)(Index units, Index columns);
    bool (*backward)(const BackwardJob& job, Share share, Progress& progress, Index rows, BackwardBuffers buffers);
    void (*unpack_dweight)(Index units, Index columns, PartialSums packed, float* dweight, Range blocks);
    void (*unpack_dbias)(Index units, PartialSums packed, float* dbias);
    Index (*sum_scratch_size)(Index units);
    void (*sum_rows)(const SumJob& job, Range rows, float* scratch);  // rows of dpre

    Index (*linear_weights_size)(LinearSize size);
    void (*pack_linear)(LinearSize size, const float* weight, Word* packed, Range panels);
    Index (*linear_scratch_size)(LinearSize size);
    void (*linear)(const LinearJob& job, Range rows, float* scratch);
    Index (*linear_backward_weights_size)(LinearSize size);
    void (*pack_linear_backward)(LinearSize size, const float* weight, Word* packed);
    Index (*linear_backward_scratch_size)(LinearSize size);
    Index (*linear_dweight_size)(LinearSize size);
    void (*linear_backward)(const LinearBackwardJob& job, Range rows, BackwardBuffers buffers);
    void (*unpack_linear)(LinearSize size, PartialSums packed, LinearGradients gradients, Range outputs);

    Index (*convolution_scratch_size)(Index channels, Index longest);
    void (*count_above)(const ConvolutionJob& job, Range rows, float* scratch);

    void (*adam_step)(const AdamJob& job, Range elements);
    void (*adam_step_rows)(const AdamJob& job, Range rows);
    void (*adam_catch_up)(const CatchUpJob& job, Range rows);
    double (*sum_of_squares)(const float* x, Index count);

    void (*activate)(const ActivationJob& job);  // for tests
};

// The builds. An extension defines only those that CMakeLists.txt compiles for its processor; isas.cpp calls no other.
const Isa* isa_avx512();
const Isa* isa_avx512_bf16();  // operands in bfloat16
const Isa* isa_amx_bf16();     // operands in bfloat16, products in tile registers
const Isa* isa_avx2();
const Isa* isa_neon();
const Isa* isa_portable();

}  // namespace gatewise
