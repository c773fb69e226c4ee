// What training needs besides the LSTM: Adam, the norm of gradients, and the fit of a linear machine (bind.cpp).

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <string>
#include <vector>

#include "arrays.h"
#include "checks.h"
#include "driver.h"
#include "dual.h"
#include "isas.h"

namespace gatewise {

namespace {

void adam_step(
    const std::string& isa_name, Index threads, const InOut& weight, const Maybe<int64_t>& rows, const In<float>& grad,
    const InOut& m, const InOut& v, float beta_1, float rest_1, float beta_2, float rest_2, float rate, float epsilon,
    float scale) {
    check_aligned(weight, rows, grad, m, v);
    const Isa& isa = find(isa_name);
    check_threads(threads);
    require(m.size() == weight.size() && v.size() == weight.size(), "m and v must have the size of weight");
    std::vector<int64_t> selected;
    if (rows) {
        check_axes("weight", weight, 2);
        selected = checked_range("rows", *rows, 0, extent(weight, 0));
        check_shape("grad", grad, {extent(*rows, 0), extent(weight, 1)});
    } else {
        require(grad.size() == weight.size(), "grad must have the size of weight");
    }
    const AdamJob job{
        .decay = {.beta_1 = beta_1, .rest_1 = rest_1, .beta_2 = beta_2, .rest_2 = rest_2},
        .rate = rate,
        .epsilon = epsilon,
        .scale = scale,
        .rows = rows ? selected.data() : nullptr,
        .columns = rows ? extent(weight, 1) : 1,
        .grad = grad.data(),
        .weight = weight.data(),
        .m = m.data(),
        .v = v.data()};
    const nb::gil_scoped_release released;
    run_adam_step(isa, threads, job, rows ? extent(*rows, 0) : static_cast<Index>(weight.size()));
}

void adam_catch_up(
    const std::string& isa_name, Index threads, const InOut& weight, const Maybe<int64_t>& rows, const InOut& m,
    const InOut& v, const In<int64_t>& last, Index now, const In<float>& rates, const In<float>& epsilons,
    float beta_1, float rest_1, float beta_2, float rest_2) {
    check_aligned(weight, rows, m, v, last, rates, epsilons);
    const Isa& isa = find(isa_name);
    check_threads(threads);
    check_axes("weight", weight, 2);
    require(m.size() == weight.size() && v.size() == weight.size(), "m and v must have the size of weight");
    const std::vector<int64_t> selected = checked_rows("rows", rows, extent(weight, 0));
    const Index table_rows = rows ? extent(*rows, 0) : extent(weight, 0);
    check_shape("last", last, {table_rows});
    require(now >= 0, "now must not be negative");
    for (const In<float>* numbers : {&rates, &epsilons})
        require(static_cast<Index>(numbers->size()) > now, "rates and epsilons must reach step `now`");
    const std::vector<int64_t> steps_done = checked_range("last", last, 0, now + 1);
    const CatchUpJob job{
        .decay = {.beta_1 = beta_1, .rest_1 = rest_1, .beta_2 = beta_2, .rest_2 = rest_2},
        .rates = rates.data(),
        .epsilons = epsilons.data(),
        .rows = rows ? selected.data() : nullptr,
        .last = steps_done.data(),
        .now = now,
        .columns = extent(weight, 1),
        .weight = weight.data(),
        .m = m.data(),
        .v = v.data()};
    const nb::gil_scoped_release released;
    run_adam_catch_up(isa, threads, job, table_rows);
}

double sum_of_squares(const std::string& isa_name, Index threads, const In<float>& x) {
    check_aligned(x);
    const Isa& isa = find(isa_name);
    check_threads(threads);
    const nb::gil_scoped_release released;
    return run_sum_of_squares(isa, threads, x.data(), static_cast<Index>(x.size()));
}

double fit_squared_hinge(
    const In<std::int32_t>& starts, const In<std::int32_t>& columns, const In<float>& values, const In<float>& sign,
    const In<double>& cost, int max_passes, double tol, const nb::ndarray<double, nb::c_contig, nb::device::cpu>& w) {
    check_aligned(starts, columns, values, sign, cost, w);
    const Index n = static_cast<Index>(sign.size()), entries = static_cast<Index>(columns.size());
    check_shape("sign", sign, {n});
    check_shape("cost", cost, {n});
    check_shape("starts", starts, {n + 1});
    check_shape("values", values, {entries});
    check_axes("w", w, 1);
    const std::vector<std::int32_t> ends = checked_range("starts", starts, 0, entries + 1);
    require(std::is_sorted(ends.begin(), ends.end()), "starts must not decrease");
    const std::vector<std::int32_t> features = checked_range("columns", columns, 0, extent(w, 0));
    const SparseRows x = {.n = n, .starts = ends.data(), .columns = features.data(), .values = values.data()};
    const nb::gil_scoped_release released;
    return squared_hinge(x, sign.data(), cost.data(), max_passes, tol, w.data());
}

}  // namespace

void bind_training(nb::module_& m) {
    using namespace nb::literals;
    m.def(
        "adam_step", &adam_step, "isa"_a, "threads"_a, "weight"_a.noconvert(), "rows"_a.noconvert().none(),
        "grad"_a.noconvert(), "m"_a.noconvert(), "v"_a.noconvert(), "beta_1"_a, "rest_1"_a, "beta_2"_a, "rest_2"_a,
        "rate"_a, "epsilon"_a, "scale"_a);
    m.def(
        "adam_catch_up", &adam_catch_up, "isa"_a, "threads"_a, "weight"_a.noconvert(), "rows"_a.noconvert().none(),
        "m"_a.noconvert(), "v"_a.noconvert(), "last"_a.noconvert(), "now"_a, "rates"_a.noconvert(),
        "epsilons"_a.noconvert(), "beta_1"_a, "rest_1"_a, "beta_2"_a, "rest_2"_a);
    m.def("sum_of_squares", &sum_of_squares, "isa"_a, "threads"_a, "x"_a.noconvert());
    m.def(
        "fit_squared_hinge", &fit_squared_hinge, "starts"_a.noconvert(), "columns"_a.noconvert(),
        "values"_a.noconvert(), "sign"_a.noconvert(), "cost"_a.noconvert(), "max_passes"_a, "tol"_a,
        "w"_a.noconvert());
}

}  // namespace gatewise
