// gatewise.kernels._native. Every function first checks that its arguments fit together (checks.h).

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "arena.h"
#include "arrays.h"
#include "checks.h"
#include "driver.h"
#include "isas.h"
#include "pool.h"
#include "pooling.h"

namespace gatewise {

void bind_training(nb::module_& m);  // bind_training.cpp

namespace {

Out pack_linear(const std::string& isa_name, const In<float>& weight);

std::vector<std::string> names_of(const std::vector<const Isa*>& isas) {
    std::vector<std::string> names;
    for (const Isa* isa : isas) names.emplace_back(isa->name);
    return names;
}

// The recurrence of the input product pre (U, 4H), or of inputs x (N, D), whose product with weight_ih is computed with
// it. h is None without `with_h`, c and gates without `keep`. packed, packed_ih: of `pack` and `pack_linear`.
nb::tuple forward(
    const std::string& isa_name, Index threads, const Maybe<float>& pre, const Maybe<int32_t>& index,
    const In<int64_t>& lengths, const In<float>& weight_hh, const In<float>& h0, const In<float>& c0,
    const Maybe<float>& mask, Index steps, bool reverse, bool binary, bool keep, const Maybe<float>& packed,
    const Maybe<int32_t>& base, const Maybe<float>& alpha, const Maybe<int32_t>& held_index, const Maybe<float>& held,
    const Maybe<float>& x, const Maybe<float>& weight_ih, const Maybe<float>& bias, const Maybe<float>& packed_ih,
    bool with_h) {
    check_aligned(pre, index, lengths, weight_hh, h0, c0, mask, packed, base, alpha, held_index, held);
    check_aligned(x, weight_ih, bias, packed_ih);
    const Isa& isa = find(isa_name);
    check_threads(threads);
    const Index units = checked_units(weight_hh), batch = static_cast<Index>(lengths.size());
    require(steps >= 0 && steps <= kMostSteps, "steps must be from 0 to 2^31 - 1");
    const std::vector<Index> counts = checked_lengths(lengths, steps);
    check_shape("h0", h0, {batch, units});
    check_shape("c0", c0, {batch, units});
    check_shape("mask", mask, {batch, units});
    if (packed) check_shape("packed", packed, {isa.forward_weights_size(units)});
    require(with_h || !keep, "keep: activations include h");

    require(pre.has_value() != x.has_value(), "pre and x: give one of them");
    const bool with_inputs = x.has_value();
    require(
        with_inputs == weight_ih.has_value() && with_inputs == bias.has_value() && (with_inputs || !packed_ih),
        "x, weight_ih, bias: give all or none; packed_ih only with them");
    require(with_inputs || with_h, "with_h: only a run with an input product leaves h out");
    require(!with_inputs || (!index && !base && !held), "index, base and held: a run with an input product has none");
    const LinearSize size{.outputs = kGates * units, .inputs = checked_inputs(weight_ih, units)};
    check_shape("x", x, {steps, size.inputs});
    check_shape("bias", bias, {size.outputs});
    if (packed_ih) check_shape("packed_ih", packed_ih, {isa.linear_weights_size(size)});

    if (pre) check_axes("pre", *pre, 2);
    const Index pre_rows = pre ? extent(*pre, 0) : 0;
    check_shape("pre", pre, {index ? pre_rows : steps, kGates * units});
    check_shape("index", index, {steps});
    require(base.has_value() == alpha.has_value(), "base and alpha: give both or neither");
    check_shape("base", base, {batch});
    check_shape("alpha", alpha, {batch});
    require(held_index.has_value() == held.has_value(), "held_index and held: give both or neither");
    check_shape("held_index", held_index, {steps});
    if (held) check_axes("held", *held, 2);
    const Index held_count = held ? extent(*held, 0) : 0;
    check_shape("held", held, {held_count, kGates * units});
    const std::vector<int32_t> rows = checked_rows("index", index, pre_rows);
    const std::vector<int32_t> base_rows = checked_rows("base", base, pre_rows);
    const std::vector<int32_t> held_rows = checked_rows("held_index", held_index, held_count);

    const Out h_T = new_array({batch, units}), c_T = new_array({batch, units});
    std::optional<Out> h, c, gates, input_weights;
    if (with_h) h = new_array({steps, units});
    if (keep) {
        c = new_array({steps, units});
        gates = new_array({steps, blocks_of(isa, units), kGates, isa.lanes});
    }
    const float* packed_inputs = data_or_null(packed_ih);
    if (with_inputs && !packed_ih) {
        input_weights = pack_linear(isa_name, *weight_ih);
        packed_inputs = input_weights->data();
    }
    const ForwardJob job{
        .units = units,
        .reverse = reverse,
        .binary = binary,
        .stream = false,
        .pre = data_or_null(pre),
        .index = index ? rows.data() : nullptr,
        .h0 = h0.data(),
        .c0 = c0.data(),
        .mask = data_or_null(mask),
        .base = base ? base_rows.data() : nullptr,
        .alpha = data_or_null(alpha),
        .held_index = held ? held_rows.data() : nullptr,
        .held = data_or_null(held),
        .weights = reinterpret_cast<const Word*>(data_or_null(packed)),
        .h = data_or_null(h),
        .h_T = h_T.data(),
        .c_T = c_T.data(),
        .c = data_or_null(c),
        .gates = data_or_null(gates),
        .x = data_or_null(x),
        .inputs = size.inputs,
        .input_weights = reinterpret_cast<const Word*>(packed_inputs),
        .bias = data_or_null(bias)};
    {
        const nb::gil_scoped_release released;
        run_forward(
            isa, {.lengths = counts.data(), .size = batch, .steps = steps, .threads = threads}, job, weight_hh.data());
    }
    return nb::make_tuple(h, h_T, c_T, c, gates);
}

// weight_hh packed for `forward`, which takes it as `packed`.
Out pack(const std::string& isa_name, const In<float>& weight_hh) {
    check_aligned(weight_hh);
    const Isa& isa = find(isa_name);
    const Index units = checked_units(weight_hh);
    const Out packed = new_array({isa.forward_weights_size(units)});
    isa.pack_forward(
        units, weight_hh.data(), reinterpret_cast<Word*>(packed.data()), {.first = 0, .last = blocks_of(isa, units)});
    return packed;
}

// The gradients of a run of `forward` that kept its activations: dpre, dweight_hh, dh0, dc0, dx, dweight_ih, dbias.
// A run of x has no dpre, and only it has the last three. dweight_hh is None without `with_dweight`, dx without
// `with_dx`. A run of pre overwrites `gates`, and Python makes them read-only afterwards. A run of x only reads them, but
// must be writable too: gates that a run of pre has overwritten are refused.
nb::tuple backward(
    const std::string& isa_name, Index threads, const InOut& gates, const Maybe<int32_t>& index,
    const In<int64_t>& lengths, const In<float>& weight_hh, const In<float>& h0, const In<float>& c0,
    const Maybe<float>& mask, const In<float>& h, const In<float>& c, const Maybe<float>& dh, const Maybe<float>& dc,
    const In<float>& dh_T, const In<float>& dc_T, Index pre_rows, bool reverse, bool binary, bool with_dweight,
    const Maybe<float>& x, const Maybe<float>& weight_ih, bool with_dx) {
    check_aligned(gates, index, lengths, weight_hh, h0, c0, mask, h, c, dh, dc, dh_T, dc_T, x, weight_ih);
    const Isa& isa = find(isa_name);
    check_threads(threads);
    check_axes("h", h, 2);
    const Index units = checked_units(weight_hh), batch = static_cast<Index>(lengths.size()), steps = extent(h, 0);
    require(steps <= kMostSteps, "h: there must be at most 2^31 - 1 steps");
    const std::vector<Index> counts = checked_lengths(lengths, steps);
    check_shape("h", h, {steps, units});
    check_shape("c", c, {steps, units});
    check_shape("gates", gates, {steps, blocks_of(isa, units), kGates, isa.lanes});
    check_shape("dh", dh, {steps, units});
    check_shape("dc", dc, {steps, units});
    check_shape("h0", h0, {batch, units});
    check_shape("c0", c0, {batch, units});
    check_shape("mask", mask, {batch, units});
    check_shape("dh_T", dh_T, {batch, units});
    check_shape("dc_T", dc_T, {batch, units});
    check_shape("index", index, {steps});

    const bool with_inputs = x.has_value();
    require(with_inputs == weight_ih.has_value(), "x and weight_ih: give both or neither");
    require(!with_inputs || !index, "index: a run with an input product has none");
    const Index inputs = checked_inputs(weight_ih, units);
    check_shape("x", x, {steps, inputs});
    require(pre_rows >= 0 && (index || pre_rows == steps), "pre_rows: without an index, every step has a row");
    const std::vector<int32_t> rows = checked_rows("index", index, pre_rows);

    const Out dh0 = new_array({batch, units}), dc0 = new_array({batch, units});
    std::optional<Out> dpre, dweight_hh, dx, dweight_ih, dbias;
    if (with_dweight) dweight_hh = new_array({kGates * units, units});
    if (!with_inputs) dpre = new_array({pre_rows, kGates * units});
    if (with_inputs && with_dx) dx = new_array({steps, inputs});
    if (with_inputs) {
        dweight_ih = new_array({kGates * units, inputs});
        dbias = new_array({kGates * units});
    }
    const BackwardJob job{
        .units = units,
        .reverse = reverse,
        .binary = binary,
        .stream = false,
        .h0 = h0.data(),
        .c0 = c0.data(),
        .mask = data_or_null(mask),
        .h = h.data(),
        .c = c.data(),
        .dh = data_or_null(dh),
        .dc = data_or_null(dc),
        .dh_T = dh_T.data(),
        .dc_T = dc_T.data(),
        .weights = nullptr,
        .gates = gates.data(),
        .dpre = nullptr,
        .dh0 = dh0.data(),
        .dc0 = dc0.data(),
        .x = data_or_null(x),
        .inputs = inputs,
        .input_weights = nullptr,
        .dx = data_or_null(dx)};
    {
        const nb::gil_scoped_release released;
        run_backward(
            isa, {.lengths = counts.data(), .size = batch, .steps = steps, .threads = threads}, job,
            {.weight_hh = weight_hh.data(),
             .index = index ? rows.data() : nullptr,
             .pre_rows = pre_rows,
             .dpre = data_or_null(dpre),
             .dweight = data_or_null(dweight_hh),
             .weight_ih = data_or_null(weight_ih),
             .dweight_ih = data_or_null(dweight_ih),
             .dbias = data_or_null(dbias)});
    }
    return nb::make_tuple(dpre, dweight_hh, dh0, dc0, dx, dweight_ih, dbias);
}

LinearShape linear_shape(const In<float>& x, const In<float>& weight, Index threads) {
    check_threads(threads);
    check_axes("x", x, 2);
    check_axes("weight", weight, 2);
    require(weight.size() > 0, "weight: expected (N, K), got no elements");
    check_shape("x", x, {extent(x, 0), extent(weight, 1)});
    return {
        .rows = extent(x, 0), .size = {.outputs = extent(weight, 0), .inputs = extent(weight, 1)}, .threads = threads};
}

// weight packed for `linear`, which takes it as `packed`.
Out pack_linear(const std::string& isa_name, const In<float>& weight) {
    check_aligned(weight);
    check_axes("weight", weight, 2);
    require(weight.size() > 0, "weight: expected (N, K), got no elements");
    const Isa& isa = find(isa_name);
    const LinearSize size{.outputs = extent(weight, 0), .inputs = extent(weight, 1)};
    const Out packed = new_array({isa.linear_weights_size(size)});
    isa.pack_linear(
        size, weight.data(), reinterpret_cast<Word*>(packed.data()), {.first = 0, .last = panels_of(isa, size)});
    return packed;
}

Out linear(
    const std::string& isa_name, Index threads, const In<float>& x, const In<float>& weight, const In<float>& bias,
    const Maybe<float>& packed) {
    check_aligned(x, weight, bias, packed);
    const Isa& isa = find(isa_name);
    const LinearShape shape = linear_shape(x, weight, threads);
    check_shape("bias", bias, {shape.size.outputs});
    if (packed) check_shape("packed", packed, {isa.linear_weights_size(shape.size)});
    const Out y = new_array({shape.rows, shape.size.outputs});
    {
        const nb::gil_scoped_release released;
        run_linear(
            isa, shape,
            {.x = x.data(),
             .weight = weight.data(),
             .bias = bias.data(),
             .y = y.data(),
             .packed = reinterpret_cast<const Word*>(data_or_null(packed))});
    }
    return y;
}

nb::tuple linear_backward(
    const std::string& isa_name, Index threads, const In<float>& x, const In<float>& weight, const In<float>& dy,
    bool with_dx) {
    check_aligned(x, weight, dy);
    const Isa& isa = find(isa_name);
    const LinearShape shape = linear_shape(x, weight, threads);
    const Index outputs = shape.size.outputs, inputs = shape.size.inputs;
    check_shape("dy", dy, {shape.rows, outputs});
    std::optional<Out> dx;
    if (with_dx) dx = new_array({shape.rows, inputs});
    const Out dweight = new_array({outputs, inputs}), dbias = new_array({outputs});
    {
        const nb::gil_scoped_release released;
        run_linear_backward(
            isa, shape,
            {.x = x.data(),
             .weight = weight.data(),
             .dy = dy.data(),
             .dx = data_or_null(dx),
             .gradients = {.dweight = dweight.data(), .dbias = dbias.data()}});
    }
    return nb::make_tuple(dx, dweight, dbias);
}

void count_above(
    const std::string& isa_name, Index threads, const In<float>& values, const In<int64_t>& lengths,
    const In<int32_t>& dilations, const In<int32_t>& per_kernel, const In<uint8_t>& masks, const In<float>& thresholds,
    const nb::ndarray<int32_t, nb::c_contig, nb::device::cpu>& counts) {
    check_aligned(values, lengths, dilations, per_kernel, masks, thresholds, counts);
    const Isa& isa = find(isa_name);
    check_threads(threads);
    check_axes("values", values, 2);
    const Index steps = extent(values, 0), channels = extent(values, 1), series = static_cast<Index>(lengths.size());
    const std::vector<Index> steps_of = checked_lengths(lengths, steps);
    const Index banks = static_cast<Index>(dilations.size()), features = static_cast<Index>(thresholds.size());
    const std::vector<int32_t> spacing = checked_range("dilations", dilations, 0, kMostSteps);
    const std::vector<int32_t> counts_of = checked_range("per_kernel", per_kernel, 0, kMostSteps);
    check_shape("per_kernel", per_kernel, {banks});
    check_shape("masks", masks, {banks, kConvolutionKernels, channels});
    check_shape("thresholds", thresholds, {features});
    require(
        kConvolutionKernels * std::accumulate(counts_of.begin(), counts_of.end(), Index{0}) == features,
        "thresholds: expected 84 times the sum of per_kernel");
    check_shape("counts", counts, {series, features});
    const ConvolutionJob job{
        .banks = banks,
        .channels = channels,
        .features = features,
        .starts = nullptr,
        .values = values.data(),
        .dilations = spacing.data(),
        .per_kernel = counts_of.data(),
        .masks = masks.data(),
        .thresholds = thresholds.data(),
        .counts = counts.data()};
    const nb::gil_scoped_release released;
    run_count_above(
        isa, {.lengths = steps_of.data(), .size = series, .steps = steps, .threads = threads}, job);
}

nb::tuple activate(const std::string& isa_name, const In<float>& x) {
    check_aligned(x);
    const Isa& isa = find(isa_name);
    const Index count = static_cast<Index>(x.size());
    const Out sigmoid = new_array({count}), tanh = new_array({count});
    // As one part, for its treatment of denormals.
    run_pieces(1, 1, [&](Index) {
        isa.activate({.count = count, .x = x.data(), .sigmoid = sigmoid.data(), .tanh = tanh.data()});
    });
    return nb::make_tuple(sigmoid, tanh);
}

Segments segments_of(Index threads, const std::vector<Index>& lengths, Index width) {
    check_threads(threads);
    return {.lengths = lengths.data(), .size = std::ssize(lengths), .width = width, .threads = threads};
}

Out segment_reduce(Index threads, bool maximum, const In<float>& x, const In<int64_t>& lengths) {
    check_aligned(x, lengths);
    check_axes("x", x, 2);
    const std::vector<Index> counts = checked_lengths(lengths, extent(x, 0));
    const Segments segments = segments_of(threads, counts, extent(x, 1));
    const Out out = new_array({segments.size, segments.width});
    {
        const nb::gil_scoped_release released;
        segment_reduce(segments, maximum, x.data(), out.data());
    }
    return out;
}

nb::object repeat_rows(
    Index threads, const In<float>& grad, const In<int64_t>& lengths, Index steps, nb::object add_to) {
    check_aligned(grad, lengths);
    check_axes("grad", grad, 2);
    const std::vector<Index> counts = checked_lengths(lengths, steps);
    const Segments segments = segments_of(threads, counts, extent(grad, 1));
    check_shape("grad", grad, {segments.size, segments.width});
    const bool add = !add_to.is_none();
    nb::object out = add ? add_to : nb::cast(new_array({steps, segments.width}));
    const InOut to = float32_array("add_to", out);
    check_shape("add_to", to, {steps, segments.width});
    {
        const nb::gil_scoped_release released;
        repeat_rows(segments, add, grad.data(), to.data());
    }
    return out;
}

nb::object max_backward(
    Index threads, const In<float>& x, const In<float>& largest, const In<float>& grad, const In<int64_t>& lengths,
    nb::object add_to) {
    check_aligned(x, largest, grad, lengths);
    check_axes("x", x, 2);
    const std::vector<Index> counts = checked_lengths(lengths, extent(x, 0));
    const Segments segments = segments_of(threads, counts, extent(x, 1));
    check_shape("largest", largest, {segments.size, segments.width});
    check_shape("grad", grad, {segments.size, segments.width});
    const bool add = !add_to.is_none();
    nb::object out = add ? add_to : nb::cast(new_array({extent(x, 0), segments.width}));
    const InOut to = float32_array("add_to", out);
    check_shape("add_to", to, {extent(x, 0), segments.width});
    {
        const nb::gil_scoped_release released;
        max_backward(segments, add, x.data(), largest.data(), grad.data(), to.data());
    }
    return out;
}

}  // namespace

NB_MODULE(_native, m) {
    using namespace nb::literals;
    m.def("version", [] { return Index{5}; });  // as in native.py
    m.def("isas", [] { return names_of(float32_isas()); });
    m.def("bf16", [] { return names_of(bf16_isas()); });
    m.def("vector_bf16_pays", vector_bf16_pays);
    m.def("lanes", [](const std::string& isa) { return find(isa).lanes; });
    m.def(
        "forward", &forward, "isa"_a, "threads"_a, "pre"_a.noconvert().none(), "index"_a.noconvert().none(),
        "lengths"_a.noconvert(), "weight_hh"_a.noconvert(), "h0"_a.noconvert(), "c0"_a.noconvert(),
        "mask"_a.noconvert().none(), "steps"_a, "reverse"_a, "binary"_a, "keep"_a, "packed"_a.noconvert().none(),
        "base"_a.noconvert().none(), "alpha"_a.noconvert().none(), "held_index"_a.noconvert().none(),
        "held"_a.noconvert().none(), "x"_a.noconvert().none() = nb::none(),
        "weight_ih"_a.noconvert().none() = nb::none(), "bias"_a.noconvert().none() = nb::none(),
        "packed_ih"_a.noconvert().none() = nb::none(), "with_h"_a = true);
    m.def("pack", &pack, "isa"_a, "weight_hh"_a.noconvert());
    m.def(
        "backward", &backward, "isa"_a, "threads"_a, "gates"_a.noconvert(), "index"_a.noconvert().none(),
        "lengths"_a.noconvert(), "weight_hh"_a.noconvert(), "h0"_a.noconvert(), "c0"_a.noconvert(),
        "mask"_a.noconvert().none(), "h"_a.noconvert(), "c"_a.noconvert(), "dh"_a.noconvert().none(),
        "dc"_a.noconvert().none(), "dh_T"_a.noconvert(), "dc_T"_a.noconvert(), "pre_rows"_a, "reverse"_a, "binary"_a,
        "with_dweight"_a, "x"_a.noconvert().none() = nb::none(), "weight_ih"_a.noconvert().none() = nb::none(),
        "with_dx"_a = true);
    m.def("pack_linear", &pack_linear, "isa"_a, "weight"_a.noconvert());
    m.def(
        "linear", &linear, "isa"_a, "threads"_a, "x"_a.noconvert(), "weight"_a.noconvert(), "bias"_a.noconvert(),
        "packed"_a.noconvert().none() = nb::none());
    m.def(
        "linear_backward", &linear_backward, "isa"_a, "threads"_a, "x"_a.noconvert(), "weight"_a.noconvert(),
        "dy"_a.noconvert(), "with_dx"_a);
    m.def(
        "count_above", &count_above, "isa"_a, "threads"_a, "values"_a.noconvert(), "lengths"_a.noconvert(),
        "dilations"_a.noconvert(), "per_kernel"_a.noconvert(), "masks"_a.noconvert(), "thresholds"_a.noconvert(),
        "counts"_a.noconvert());
    bind_training(m);
    m.def("activate", &activate, "isa"_a, "x"_a.noconvert());
    m.def(
        "segment_reduce", static_cast<Out (*)(Index, bool, const In<float>&, const In<int64_t>&)>(&segment_reduce),
        "threads"_a, "maximum"_a, "x"_a.noconvert(), "lengths"_a.noconvert());
    m.def(
        "repeat_rows",
        static_cast<nb::object (*)(Index, const In<float>&, const In<int64_t>&, Index, nb::object)>(&repeat_rows),
        "threads"_a, "grad"_a.noconvert(), "lengths"_a.noconvert(), "steps"_a, "add_to"_a.none());
    m.def(
        "max_backward",
        static_cast<nb::object (*)(
            Index, const In<float>&, const In<float>&, const In<float>&, const In<int64_t>&, nb::object)>(
            &max_backward),
        "threads"_a, "x"_a.noconvert(), "largest"_a.noconvert(), "grad"_a.noconvert(), "lengths"_a.noconvert(),
        "add_to"_a.none());
    m.def("cached_bytes", &cached_bytes);
    m.def("set_cache_limit", &set_cache_limit, "bytes"_a);
}

}  // namespace gatewise
