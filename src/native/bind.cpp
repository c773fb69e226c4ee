// gatewise.kernels._native: arrays in without a copy, arrays out of the arena. Its caller, native.py, checks the
// shapes.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <initializer_list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "arena.h"
#include "driver.h"
#include "flush.h"
#include "isas.h"
#include "linear_driver.h"

namespace nb = nanobind;

namespace gatewise {

namespace {

template <class T>
using In = nb::ndarray<const T, nb::c_contig, nb::device::cpu>;
using InOut = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
using Maybe = std::optional<In<float>>;
using Out = nb::ndarray<nb::numpy, float>;

const float* data_or_null(const Maybe& array) { return array ? array->data() : nullptr; }

// A fresh array of this shape; its memory goes back to the arena with its last owner.
Out fresh(std::initializer_list<size_t> shape) {
    size_t count = 1;
    for (const size_t n : shape) count *= n;
    auto block = std::make_unique<Block>(take_block(count * sizeof(float)));
    Block* held = block.get();
    const nb::capsule owner(held, [](void* p) noexcept {
        const std::unique_ptr<Block> mine(static_cast<Block*>(p));
        give_block(*mine);
    });
    block.release();
    return Out(held->data, shape, owner);
}

const Isa& find(const std::string& name) {
    for (const Isa* isa : isas_here())
        if (name == isa->name) return *isa;
    for (const Isa* isa : bf16_here())
        if (name == isa->name) return *isa;
    throw std::invalid_argument("instruction set '" + name + "' cannot run here");
}

std::vector<std::string> names_of(const std::vector<const Isa*>& isas) {
    std::vector<std::string> names;
    for (const Isa* isa : isas) names.emplace_back(isa->name);
    return names;
}

nb::tuple forward(
    const std::string& isa_name, int threads, const In<float>& pre, const std::optional<In<int32_t>>& index,
    const In<int64_t>& lengths, const In<float>& weight_hh, const In<float>& h0, const In<float>& c0, const Maybe& mask,
    int64_t steps, bool reverse, bool binary, bool keep, const Maybe& packed, const std::optional<In<int32_t>>& base,
    const Maybe& along) {
    const Isa& isa = find(isa_name);
    const size_t units = weight_hh.shape(1), batch = lengths.shape(0), rows = static_cast<size_t>(steps);
    const size_t lanes = static_cast<size_t>(isa.lanes), blocks = (units + lanes - 1) / lanes;
    const Out h = fresh({rows, units}), h_T = fresh({batch, units}), c_T = fresh({batch, units});
    std::optional<Out> c, gates;
    if (keep) c = fresh({rows, units}), gates = fresh({rows, blocks, 4, lanes});
    ForwardJob job{};
    job.units = static_cast<int>(units);
    job.reverse = reverse;
    job.binary = binary;
    job.pre = pre.data();
    job.index = index ? index->data() : nullptr;
    job.h0 = h0.data();
    job.c0 = c0.data();
    job.mask = data_or_null(mask);
    job.base = base ? base->data() : nullptr;
    job.along = data_or_null(along);
    job.h = h.data();
    job.h_T = h_T.data();
    job.c_T = c_T.data();
    job.c = c ? c->data() : nullptr;
    job.gates = gates ? gates->data() : nullptr;
    job.weights = data_or_null(packed);
    {
        const nb::gil_scoped_release released;
        run_forward(isa, {lengths.data(), static_cast<int64_t>(batch), steps, threads}, job, weight_hh.data());
    }
    return nb::make_tuple(h, h_T, c_T, c, gates);
}

// weight_hh as forward reads it, to be given to it.
Out pack(const std::string& isa_name, const In<float>& weight_hh) {
    const Isa& isa = find(isa_name);
    const int units = static_cast<int>(weight_hh.shape(1));
    const Out packed = fresh({isa.forward_weights_size(units)});
    isa.pack_forward(units, weight_hh.data(), packed.data(), 0, (units + isa.lanes - 1) / isa.lanes);
    return packed;
}

nb::tuple backward(
    const std::string& isa_name, int threads, const InOut& gates, const std::optional<In<int32_t>>& index,
    const In<int64_t>& lengths, const In<float>& weight_hh, const In<float>& h0, const In<float>& c0, const Maybe& mask,
    const In<float>& h, const In<float>& c, const Maybe& dh, const Maybe& dc, const In<float>& dh_T,
    const In<float>& dc_T, int64_t pre_rows, bool reverse, bool binary, bool with_dweight) {
    const Isa& isa = find(isa_name);
    const size_t units = weight_hh.shape(1), batch = lengths.shape(0);
    const Out dpre = fresh({static_cast<size_t>(pre_rows), 4 * units});
    std::optional<Out> dweight;
    if (with_dweight) dweight = fresh({4 * units, units});
    const Out dh0 = fresh({batch, units}), dc0 = fresh({batch, units});
    BackwardJob job{};
    job.units = static_cast<int>(units);
    job.reverse = reverse;
    job.binary = binary;
    job.h0 = h0.data();
    job.c0 = c0.data();
    job.mask = data_or_null(mask);
    job.h = h.data();
    job.c = c.data();
    job.dh = data_or_null(dh);
    job.dc = data_or_null(dc);
    job.dh_T = dh_T.data();
    job.dc_T = dc_T.data();
    job.gates = gates.data();
    job.dh0 = dh0.data();
    job.dc0 = dc0.data();
    {
        const nb::gil_scoped_release released;
        run_backward(
            isa, {lengths.data(), static_cast<int64_t>(batch), static_cast<int64_t>(h.shape(0)), threads}, job,
            weight_hh.data(), index ? index->data() : nullptr, pre_rows, dpre.data(),
            dweight ? dweight->data() : nullptr);
    }
    return nb::make_tuple(dpre, dweight, dh0, dc0);
}

Out linear(
    const std::string& isa_name, int threads, const In<float>& x, const In<float>& weight, const In<float>& bias) {
    const Isa& isa = find(isa_name);
    const Out y = fresh({x.shape(0), weight.shape(0)});
    const LinearShape shape{
        static_cast<int64_t>(x.shape(0)), static_cast<int>(weight.shape(0)), static_cast<int>(weight.shape(1)),
        threads};
    {
        const nb::gil_scoped_release released;
        run_linear(isa, shape, x.data(), weight.data(), bias.data(), y.data());
    }
    return y;
}

nb::tuple linear_backward(
    const std::string& isa_name, int threads, const In<float>& x, const In<float>& weight, const In<float>& dy,
    bool with_dx) {
    const Isa& isa = find(isa_name);
    std::optional<Out> dx;
    if (with_dx) dx = fresh({x.shape(0), x.shape(1)});
    const Out dweight = fresh({weight.shape(0), weight.shape(1)}), dbias = fresh({weight.shape(0)});
    const LinearShape shape{
        static_cast<int64_t>(x.shape(0)), static_cast<int>(weight.shape(0)), static_cast<int>(weight.shape(1)),
        threads};
    {
        const nb::gil_scoped_release released;
        run_linear_back(
            isa, shape, x.data(), weight.data(), dy.data(), dx ? dx->data() : nullptr, dweight.data(), dbias.data());
    }
    return nb::make_tuple(dx, dweight, dbias);
}

nb::tuple activate(const std::string& isa_name, const In<float>& x) {
    const Isa& isa = find(isa_name);
    const Out sigmoid = fresh({x.size()}), tanh = fresh({x.size()});
    const FlushDenormals flush;
    isa.activate(x.data(), sigmoid.data(), tanh.data(), static_cast<int64_t>(x.size()));
    return nb::make_tuple(sigmoid, tanh);
}

}  // namespace

NB_MODULE(_native, m) {
    using namespace nb::literals;
    m.def("isas", [] { return names_of(isas_here()); });
    m.def("bf16", [] { return names_of(bf16_here()); });
    m.def("vector_bf16_pays", vector_bf16_pays);
    m.def("lanes", [](const std::string& isa) { return find(isa).lanes; });
    m.def(
        "forward", &forward, "isa"_a, "threads"_a, "pre"_a.noconvert(), "index"_a.noconvert().none(),
        "lengths"_a.noconvert(), "weight_hh"_a.noconvert(), "h0"_a.noconvert(), "c0"_a.noconvert(),
        "mask"_a.noconvert().none(), "steps"_a, "reverse"_a, "binary"_a, "keep"_a, "packed"_a.noconvert().none(),
        "base"_a.noconvert().none(), "along"_a.noconvert().none());
    m.def("pack", &pack, "isa"_a, "weight_hh"_a.noconvert());
    m.def(
        "backward", &backward, "isa"_a, "threads"_a, "gates"_a.noconvert(), "index"_a.noconvert().none(),
        "lengths"_a.noconvert(), "weight_hh"_a.noconvert(), "h0"_a.noconvert(), "c0"_a.noconvert(),
        "mask"_a.noconvert().none(), "h"_a.noconvert(), "c"_a.noconvert(), "dh"_a.noconvert().none(),
        "dc"_a.noconvert().none(), "dh_T"_a.noconvert(), "dc_T"_a.noconvert(), "pre_rows"_a, "reverse"_a, "binary"_a,
        "with_dweight"_a);
    m.def("linear", &linear, "isa"_a, "threads"_a, "x"_a.noconvert(), "weight"_a.noconvert(), "bias"_a.noconvert());
    m.def(
        "linear_backward", &linear_backward, "isa"_a, "threads"_a, "x"_a.noconvert(), "weight"_a.noconvert(),
        "dy"_a.noconvert(), "with_dx"_a);
    m.def("activate", &activate, "isa"_a, "x"_a.noconvert());
    m.def("kept_bytes", &kept_bytes);
    m.def("keep_blocks", &keep_blocks, "bytes"_a);
}

}  // namespace gatewise
