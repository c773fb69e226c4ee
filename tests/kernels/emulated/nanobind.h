// What src/native/bind.cpp uses of nanobind, on plain values instead of Python objects: with this header it compiles for
// a processor for which there is no Python. main.cpp reads the values from a pipe.

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace nanobind {

// An array, C-contiguous. type: NumPy's name of its elements, kind and bytes.
struct Array {
    std::string type;
    std::vector<size_t> shape;
    std::shared_ptr<void> data;

    size_t size() const {
        size_t count = 1;
        for (const size_t n : shape) count *= n;
        return count;
    }
    size_t bytes() const { return size() * static_cast<size_t>(type.at(1) - '0'); }
};

using Value = std::variant<std::monostate, std::int64_t, double, std::string, Array>;  // the first: None

struct numpy {};
struct c_contig {};
namespace device {
struct cpu {};
}  // namespace device

struct gil_scoped_release {
    gil_scoped_release() {}
};

struct capsule {
    capsule(void* data, void (*release)(void*) noexcept) : owner(data, release) {}
    std::shared_ptr<void> owner;
};

template <class T, class... Rest>
struct Element {
    using type = T;
};
template <class... Rest>
struct Element<numpy, Rest...> : Element<Rest...> {};

template <class T>
std::string type_name() {
    const char kind = std::is_floating_point_v<T> ? 'f' : std::is_signed_v<T> ? 'i' : 'u';
    return kind + std::to_string(sizeof(T));
}

template <class... Options>
class ndarray {
  public:
    using T = typename Element<Options...>::type;

    ndarray() = default;
    explicit ndarray(Array array) : array_(std::move(array)) {
        const std::string wanted = type_name<std::remove_const_t<T>>();
        if (array_.type != wanted) throw std::invalid_argument("array of " + array_.type + ", not " + wanted);
    }
    ndarray(void* data, size_t axes, const size_t* shape, const capsule& owner)
        : array_{type_name<std::remove_const_t<T>>(), {shape, shape + axes}, {owner.owner, data}} {}

    T* data() const { return static_cast<T*>(array_.data.get()); }
    size_t ndim() const { return array_.shape.size(); }
    size_t shape(size_t axis) const { return array_.shape.at(axis); }
    size_t size() const { return array_.size(); }
    const Array& array() const { return array_; }

  private:
    Array array_;
};

struct object {
    Value value;
    bool is_none() const { return std::holds_alternative<std::monostate>(value); }
};

struct tuple {
    std::vector<Value> values;
};

// From a value to an argument, and from a result to values.
template <class T>
struct Cast {
    static T from(const Value& value) {
        if constexpr (std::is_same_v<T, std::string>)
            return std::get<std::string>(value);
        else if constexpr (std::is_floating_point_v<T>)
            return static_cast<T>(std::get<double>(value));
        else
            return static_cast<T>(std::get<std::int64_t>(value));
    }
    static Value to(const T& result) {
        if constexpr (std::is_floating_point_v<T>)
            return static_cast<double>(result);
        else
            return static_cast<std::int64_t>(result);
    }
    static constexpr bool written = false;  // whether the function may write to the argument
};
template <class... Options>
struct Cast<ndarray<Options...>> {
    using T = ndarray<Options...>;
    static T from(const Value& value) { return T(std::get<Array>(value)); }
    static Value to(const T& result) { return result.array(); }
    static constexpr bool written = !std::is_const_v<typename T::T>;
};
template <class T>
struct Cast<std::optional<T>> {
    static std::optional<T> from(const Value& value) {
        if (std::holds_alternative<std::monostate>(value)) return {};
        return Cast<T>::from(value);
    }
    static Value to(const std::optional<T>& result) { return result ? Cast<T>::to(*result) : Value{}; }
    static constexpr bool written = Cast<T>::written;
};

template <>
struct Cast<object> {
    static object from(const Value& value) { return {value}; }
    static Value to(const object& result) { return result.value; }
    static constexpr bool written = true;
};

template <class T>
object cast(const T& result) {
    return {Cast<T>::to(result)};
}
template <class T>
T cast(const object& argument, [[maybe_unused]] bool convert = true) {
    return Cast<T>::from(argument.value);
}

template <class T>
bool try_cast(const object& argument, T& out, [[maybe_unused]] bool convert = true) noexcept {
    try {
        out = Cast<T>::from(argument.value);
        return true;
    } catch (const std::exception&) {
        return false;
    }
}

template <class... T>
tuple make_tuple(const T&... results) {
    return {{Cast<T>::to(results)...}};
}

struct arg {
    arg noconvert() const { return *this; }
    arg none() const { return *this; }
};
namespace literals {
inline arg operator""_a(const char*, size_t) { return {}; }
}  // namespace literals

struct Function {
    std::function<std::variant<Value, tuple>(const std::vector<Value>&)> call;
    std::vector<bool> written;  // of each argument
};

class module_ {
  public:
    std::map<std::string, Function> functions;

    template <class F, class... Arguments>
    void def(const char* name, const F& f, const Arguments&...) {
        add(name, +f);
    }

  private:
    template <class Result, class... Arguments>
    void add(const char* name, Result (*f)(Arguments...)) {
        const auto call = [f](const std::vector<Value>& values) {
            if (values.size() != sizeof...(Arguments)) throw std::invalid_argument("wrong number of arguments");
            return called(f, values, std::index_sequence_for<Arguments...>{});
        };
        functions[name] = {call, {Cast<std::remove_cvref_t<Arguments>>::written...}};
    }

    template <class Result, class... Arguments, size_t... At>
    static std::variant<Value, tuple> called(
        Result (*f)(Arguments...), [[maybe_unused]] const std::vector<Value>& values, std::index_sequence<At...>) {
        if constexpr (std::is_void_v<Result>) {
            f(Cast<std::remove_cvref_t<Arguments>>::from(values[At])...);
            return Value{};
        } else {
            const Result result = f(Cast<std::remove_cvref_t<Arguments>>::from(values[At])...);
            if constexpr (std::is_same_v<Result, tuple>)
                return result;
            else if constexpr (std::is_same_v<Result, std::vector<std::string>>)
                return tuple{{result.begin(), result.end()}};
            else
                return Cast<Result>::to(result);
        }
    }
};

// Compiles, and is not in the program: its pipe has functions of values only.
template <class T>
struct class_ {
    class_(module_&, const char*) {}
    template <class... Arguments>
    class_& def(const Arguments&...) {
        return *this;
    }
};

}  // namespace nanobind

#define NB_MODULE(name, variable) void register_functions(nanobind::module_& variable)
