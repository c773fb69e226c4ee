// The arrays that Python passes in and gets back. They are read without a copy; new ones are in the arena.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <initializer_list>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "arena.h"
#include "checks.h"

namespace nb = nanobind;

namespace gatewise {

template <class T>
using In = nb::ndarray<const T, nb::c_contig, nb::device::cpu>;
using InOut = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
template <class T>
using Maybe = std::optional<In<T>>;
using Out = nb::ndarray<nb::numpy, float>;

template <class T>
const T* data_or_null(const Maybe<T>& array) {
    return array ? array->data() : nullptr;
}
inline float* data_or_null(const std::optional<Out>& array) { return array ? array->data() : nullptr; }

// A new array of this shape. The arena gets its memory back when its last owner is gone.
inline Out new_array(std::initializer_list<Index> shape) {
    const std::vector<size_t> sizes(shape.begin(), shape.end());
    size_t bytes = sizeof(float);
    for (const Index n : shape) {
        require(n >= 0, "a size must not be negative");
        if (__builtin_mul_overflow(bytes, static_cast<size_t>(n), &bytes)) throw std::bad_alloc();
    }
    auto block = std::make_unique<Block>(allocate(bytes));
    Block* held = block.get();
    const nb::capsule owner(held, [](void* p) noexcept {
        const std::unique_ptr<Block> owned(static_cast<Block*>(p));
        release(*owned);
    });
    block.release();
    return Out(held->data, sizes.size(), sizes.data(), owner);
}

// The array behind an object, without a copy.
inline InOut float32_array(const char* name, const nb::object& object) {
    InOut array;
    if (!nb::try_cast(object, array, false))
        throw std::invalid_argument(std::string(name) + ": expected a writable float32 array in C order");
    check_aligned(array);
    return array;
}

}  // namespace gatewise
