// Checks of the arrays that Python passes to bind.cpp. What does not fit throws std::invalid_argument, a ValueError in
// Python, before anything is allocated or computed.
//
// kernels/interface.py has checked the arrays of the LSTM already, with messages for users. These checks hold for
// direct callers of the extension too, and for arrays that another thread changes during the call: numbers that select
// memory (lengths, rows) are copied, and the copy is checked and used.

#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "kernel.h"

namespace gatewise {

constexpr Index kMostSteps = std::numeric_limits<std::int32_t>::max();  // row numbers have 32 bits
constexpr Index kConvolutionKernels = 84;                               // of a bank, see convolution.h
constexpr Index kMostThreads = 1024;                                    // MOST_THREADS of kernels/threads.py

inline void require(bool fits, const char* message) {
    if (!fits) throw std::invalid_argument(message);
}

inline void check_threads(Index threads) {
    require(threads >= 1 && threads <= kMostThreads, "threads must be from 1 to 1024");
}

template <class Array>
bool is_aligned(const Array& array) {
    return reinterpret_cast<std::uintptr_t>(array.data()) % alignof(std::remove_reference_t<decltype(*array.data())>) == 0;
}

template <class Array>
bool is_aligned(const std::optional<Array>& array) {
    return !array || is_aligned(*array);
}

// An array of NumPy can start at any byte, as a part of a file does.
template <class... Arrays>
void check_aligned(const Arrays&... arrays) {
    require((is_aligned(arrays) && ...), "the address of an array must be a multiple of the size of its numbers");
}

template <class Array>
Index extent(const Array& array, size_t axis) {
    return static_cast<Index>(array.shape(axis));
}

template <class Array>
void check_axes(const char* name, const Array& array, size_t axes) {
    if (array.ndim() != axes)
        throw std::invalid_argument(
            std::string(name) + ": expected " + std::to_string(axes) + " axes, got " + std::to_string(array.ndim()));
}

template <class Array>
void check_shape(const char* name, const Array& array, std::initializer_list<Index> shape) {
    check_axes(name, array, shape.size());
    size_t axis = 0;
    for (const Index wanted : shape) {
        if (extent(array, axis) != wanted)
            throw std::invalid_argument(
                std::string(name) + ": expected " + std::to_string(wanted) + " along axis " + std::to_string(axis) +
                ", got " + std::to_string(extent(array, axis)));
        ++axis;
    }
}

template <class Array>
void check_shape(const char* name, const std::optional<Array>& array, std::initializer_list<Index> shape) {
    if (array) check_shape(name, *array, shape);
}

// H of weight_hh (4H, H).
template <class Array>
Index checked_units(const Array& weight_hh) {
    check_axes("weight_hh", weight_hh, 2);
    const Index units = extent(weight_hh, 1);
    require(units > 0, "weight_hh: expected (4H, H), got no units");
    check_shape("weight_hh", weight_hh, {kGates * units, units});
    return units;
}

// D of weight_ih (4H, D); 0 where there is none.
template <class Array>
Index checked_inputs(const std::optional<Array>& weight_ih, Index units) {
    if (!weight_ih) return 0;
    check_axes("weight_ih", *weight_ih, 2);
    const Index inputs = extent(*weight_ih, 1);
    require(inputs > 0, "weight_ih: expected (4H, D), got no elements");
    check_shape("weight_ih", *weight_ih, {kGates * units, inputs});
    return inputs;
}

// A copy of the lengths (B,): none is negative, and their sum is `steps`, which the loop cannot exceed or wrap around.
template <class Array>
std::vector<Index> checked_lengths(const Array& lengths, Index steps) {
    check_axes("lengths", lengths, 1);
    std::vector<Index> copy(lengths.data(), lengths.data() + lengths.size());
    Index left = steps;
    for (const Index length : copy) {
        require(length >= 0 && length <= left, "lengths: they must be at least 0 and sum to the number of steps");
        left -= length;
    }
    require(left == 0, "lengths: they must sum to the number of steps");
    return copy;
}

// A copy of an array (n,) of numbers from `first` to below `last`. Its data is never null.
template <class Array>
auto checked_range(const char* name, const Array& numbers, Index first, Index last) {
    check_axes(name, numbers, 1);
    std::vector<std::remove_cvref_t<decltype(*numbers.data())>> copy;
    copy.reserve(numbers.size() + 1);
    copy.assign(numbers.data(), numbers.data() + numbers.size());
    bool fits = true;
    for (const auto number : copy) fits &= number >= first && number < last;
    if (!fits)
        throw std::invalid_argument(
            std::string(name) + ": numbers must be at least " + std::to_string(first) + " and below " +
            std::to_string(last));
    return copy;
}

// The same for an array that may be missing: row numbers below `rows`.
template <class Array>
auto checked_rows(const char* name, const std::optional<Array>& numbers, Index rows) {
    return numbers ? checked_range(name, *numbers, 0, rows) : decltype(checked_range(name, *numbers, 0, rows)){};
}

}  // namespace gatewise
