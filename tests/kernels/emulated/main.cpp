// The functions of src/native/bind.cpp as a program: it reads calls from standard input and answers on standard output.
// extension.py is the other side.
//
//   call     name, number of arguments, arguments
//   answer   'e' and an error message; or 'v' and a value, or 't', a number and a tuple's values. After 'v' and 't': the
//            number of arrays that the function may write to, and each with its position among the arguments
//   value    'n' None; 'i' int64; 'd' float64; 's' string; 'a' array: type as string, axes, shape, bytes;
//            'g' the given argument at this position
//
// Numbers are int64, little endian. A string is its length and its bytes. The call "functions" returns the names.

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "nanobind.h"

namespace gatewise {
void register_functions(nanobind::module_& m);
}

namespace {

using nanobind::Array, nanobind::Value, nanobind::tuple;

// Ends the program where the input has ended.
void read(void* to, size_t bytes) {
    if (std::fread(to, 1, bytes, stdin) != bytes) std::exit(std::feof(stdin) ? 0 : 1);
}
template <class T>
T read() {
    T value;
    read(&value, sizeof value);
    return value;
}
std::string read_string() {
    std::string text(static_cast<size_t>(read<std::int64_t>()), '\0');
    read(text.data(), text.size());
    return text;
}
// Memory that ends where a page begins that cannot be read, so that a read after its end is a segmentation fault.
std::shared_ptr<void> allocate(size_t bytes) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE)), whole = (bytes + page - 1) / page * page;
    void* const first = mmap(nullptr, whole + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (first == MAP_FAILED || (whole > 0 && mprotect(first, whole, PROT_READ | PROT_WRITE) != 0)) std::exit(1);
    return {static_cast<char*>(first) + whole - bytes, [=](void*) { munmap(first, whole + page); }};
}
Array read_array() {
    Array array{.type = read_string(), .shape = {}, .data = {}};
    array.shape.resize(static_cast<size_t>(read<std::int64_t>()));
    for (size_t& n : array.shape) n = static_cast<size_t>(read<std::int64_t>());
    array.data = allocate(array.bytes());
    read(array.data.get(), array.bytes());
    return array;
}
Value read_value() {
    switch (read<char>()) {
        case 'i':
            return read<std::int64_t>();
        case 'd':
            return read<double>();
        case 's':
            return read_string();
        case 'a':
            return read_array();
        default:
            return {};
    }
}

void write(const void* from, size_t bytes) {
    if (std::fwrite(from, 1, bytes, stdout) != bytes) std::exit(1);
}
template <class T>
void write(T value) {
    write(&value, sizeof value);
}
void write_string(const std::string& text) {
    write(static_cast<std::int64_t>(text.size()));
    write(text.data(), text.size());
}
void write_value(const Value& value) {
    if (const auto* number = std::get_if<std::int64_t>(&value)) {
        write('i');
        write(*number);
    } else if (const auto* real = std::get_if<double>(&value)) {
        write('d');
        write(*real);
    } else if (const auto* text = std::get_if<std::string>(&value)) {
        write('s');
        write_string(*text);
    } else if (const auto* array = std::get_if<Array>(&value)) {
        write('a');
        write_string(array->type);
        write(static_cast<std::int64_t>(array->shape.size()));
        for (const size_t n : array->shape) write(static_cast<std::int64_t>(n));
        write(array->data.get(), array->bytes());
    } else {
        write('n');
    }
}
// Whether arithmetic of this thread has denormals.
bool denormals_count() {
    const volatile float small = 1e-38f, factor = 0.01f;
    return small * factor > 0;
}

// A result. Where it is one of the arrays that were given, its position.
void write_result(const Value& result, const std::vector<Value>& arguments) {
    const auto* array = std::get_if<Array>(&result);
    for (size_t n = 0; array != nullptr && n < arguments.size(); ++n) {
        const auto* given = std::get_if<Array>(&arguments[n]);
        if (given == nullptr || given->data != array->data) continue;
        write('g');
        return write(static_cast<std::int64_t>(n));
    }
    write_value(result);
}

void write_answer(
    const std::variant<Value, tuple>& answer, const std::vector<Value>& arguments, const std::vector<bool>& written) {
    if (const auto* several = std::get_if<tuple>(&answer)) {
        write('t');
        write(static_cast<std::int64_t>(several->values.size()));
        for (const Value& value : several->values) write_result(value, arguments);
    } else {
        write('v');
        write_result(std::get<Value>(answer), arguments);
    }
    std::vector<size_t> changed;
    for (size_t n = 0; n < arguments.size(); ++n)
        if (written[n] && std::holds_alternative<Array>(arguments[n])) changed.push_back(n);
    write(static_cast<std::int64_t>(changed.size()));
    for (const size_t n : changed) {
        write(static_cast<std::int64_t>(n));
        write_value(arguments[n]);
    }
}

}  // namespace

int main() {
    nanobind::module_ m;
    gatewise::register_functions(m);
    tuple names;
    for (const auto& entry : m.functions) names.values.emplace_back(entry.first);
    for (;;) {
        const std::string name = read_string();
        std::vector<Value> arguments(static_cast<size_t>(read<std::int64_t>()));
        for (Value& argument : arguments) argument = read_value();
        try {
            if (name == "functions") {
                write_answer(names, {}, {});
            } else {
                const nanobind::Function& function = m.functions.at(name);
                const auto answer = function.call(arguments);
                if (!denormals_count()) throw std::runtime_error(name + " left the caller without denormals");
                write_answer(answer, arguments, function.written);
            }
        } catch (const std::exception& error) {
            write('e');
            write_string(error.what());
        }
        std::fflush(stdout);
    }
}
