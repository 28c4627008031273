/// hlfuzz.h for C++17: objects that close themselves, host functions as callables, outcomes as data.
///
/// Header only; link as for C. Threads and life times are those of hlfuzz.h: modules and templates may be used by any
/// number of threads, a sandbox by one at a time, and each lives on when what it was made from is gone.

#ifndef HLFUZZ_HPP
#define HLFUZZ_HPP

#include "hlfuzz.h"

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace hlfuzz {

static_assert(HL_ABI_VERSION == 1, "hlfuzz.hpp and hlfuzz.h are of different versions");

/// Why something could not be made: `code` is one of HL_E_*, the text says what, where and the next step.
class Error : public std::runtime_error {
public:
    Error(std::uint32_t code, const std::string &message) : std::runtime_error(message), code(code) {}
    const std::uint32_t code;
};

/// A zeroed struct of hlfuzz.h whose `size` is set: an option that is not set has its default.
template <typename Struct> Struct sized() {
    Struct it{};
    it.size = sizeof it;
    return it;
}

inline hl_value i32(std::int32_t number) { hl_value it{}; it.i32 = number; return it; }
inline hl_value i64(std::int64_t number) { hl_value it{}; it.i64 = number; return it; }
inline hl_value f32(float number) { hl_value it{}; it.f32 = number; return it; }
inline hl_value f64(double number) { hl_value it{}; it.f64 = number; return it; }

namespace detail {

template <typename T, void (*close)(T *)> struct Close {
    void operator()(T *it) const { close(it); }
};
template <typename T, void (*close)(T *)> using Owned = std::unique_ptr<T, Close<T, close>>;

/// What `make` returns, or its error thrown.
template <typename Make> auto made(Make make) {
    auto error = sized<hl_error>();
    auto *it = make(&error);
    if (it == nullptr)
        throw Error(error.code, error.message);
    return it;
}

} // namespace detail

/// A validated and compiled guest.
class Module {
public:
    /// Throws `Error`.
    Module(const std::uint8_t *bytes, std::size_t len, const hl_module_options &options = sized<hl_module_options>())
        : it(detail::made([&](hl_error *error) { return hl_module_new(bytes, len, &options, error); })) {}

    /// A native guest from the bytes of its ELF program. Throws `Error`.
    static Module native(const std::uint8_t *bytes, std::size_t len,
                         const hl_module_options &options = sized<hl_module_options>()) {
        return Module(detail::made([&](hl_error *error) { return hl_module_new_elf(bytes, len, &options, error); }));
    }

    /// Takes over a module that another function of hlfuzz.h has made.
    explicit Module(hl_module *module) : it(module) {}

    /// Position of an export. Throws `Error` when there is none of this name.
    std::uint32_t function(const char *name) const {
        return found(hl_module_export(get(), name), std::string("the module has no export ") + name);
    }

    /// Position of an import. Throws `Error` when there is none of this name.
    std::uint32_t import(const char *from, const char *name) const {
        return found(hl_module_import(get(), from, name), std::string("the module has no import ") + from + "." + name);
    }

    const hl_module *get() const { return it.get(); }

private:
    static std::uint32_t found(std::int32_t position, const std::string &otherwise) {
        if (position < 0)
            throw Error(HL_E_ARGUMENT, otherwise);
        return static_cast<std::uint32_t>(position);
    }
    detail::Owned<hl_module, hl_module_free> it;
};

/// A booted guest, frozen: what sandboxes are cloned from.
class Template {
public:
    /// Throws `Error`.
    explicit Template(const Module &module, const hl_template_options &options = sized<hl_template_options>())
        : it(detail::made([&](hl_error *error) { return hl_template_new(module.get(), &options, error); })) {}

    /// Takes over a template that another function of hlfuzz.h has made.
    explicit Template(hl_template *booted) : it(booted) {}

    const hl_template *get() const { return it.get(); }

private:
    detail::Owned<hl_template, hl_template_free> it;
};

/// How a call ended. `values` and `bytes` are there with HL_DONE, `trap` with HL_TRAP (its own message pointer is not
/// kept: use `message`), `message` with HL_TRAP, HL_INVALID and HL_DEAD.
struct Outcome {
    std::int32_t status = HL_INVALID;
    std::vector<hl_value> values;
    std::vector<std::uint8_t> bytes;
    hl_trap_info trap{};
    std::string message;

    explicit operator bool() const { return status == HL_DONE; }
};

class Sandbox;

/// A host call that waits for its answer. Into `sandbox` calls may be made meanwhile.
struct HostCall {
    Sandbox &sandbox;
    std::uint32_t import;
    std::vector<hl_value> args;
};

/// Answers host calls: returns the import's results. What it throws as a std::exception fails the host call, and the
/// call ends with HL_TRAP of kind HL_TRAP_HOST and its `what()`; anything else ends the call and goes on to the caller.
using Host = std::function<std::vector<hl_value>(const HostCall &)>;

/// One micro-VM with one guest. One thread at a time.
class Sandbox {
public:
    /// Throws `Error`.
    explicit Sandbox(const Template &booted, const hl_sandbox_options &options = defaults())
        : it(detail::made([&](hl_error *error) { return hl_sandbox_new(booted.get(), &options, error); })) {}

    static hl_sandbox_options defaults() {
        auto options = sized<hl_sandbox_options>();
        options.cpu = -1;
        return options;
    }

    /// Calls an export; `flags` is 0 or HL_CALL_RESET. Without `host` an import that is called fails.
    Outcome call(std::uint32_t func, const std::vector<hl_value> &args, std::uint32_t flags = 0, const Host &host = {}) {
        return finish(hl_call(get(), func, args.data(), static_cast<std::uint32_t>(args.size()), flags), host);
    }

    /// Calls an export with bytes. `how` says what to call and how the results stand for bytes; its `out` is not used.
    Outcome call_bytes(const hl_bytes_call &how, const std::uint8_t *data, std::size_t len, std::uint32_t flags = 0,
                       const Host &host = {}) {
        hl_bytes_call plan = how;
        plan.out = nullptr;
        plan.out_capacity = 0;
        Outcome outcome = finish(hl_call_bytes(get(), &plan, data, len, flags), host);
        if (outcome) {
            std::uint64_t n = 0;
            const std::uint8_t *bytes = hl_result_bytes(get(), &n);
            outcome.bytes.assign(bytes, bytes + n);
        }
        return outcome;
    }

    /// Brings the sandbox back to its snapshot: HL_DONE, HL_BUSY or HL_DEAD.
    std::int32_t reset() { return hl_reset(get()); }

    /// A copy of guest memory (the default one). Throws std::out_of_range.
    std::vector<std::uint8_t> read(std::uint64_t address, std::uint64_t len) {
        std::uint64_t size = 0;
        if (hl_mem_size(get(), HL_DEFAULT_MEMORY, &size) != 0 || address > size || len > size - address)
            throw std::out_of_range("guest memory");
        std::vector<std::uint8_t> copy(len);
        if (hl_mem_read(get(), HL_DEFAULT_MEMORY, address, copy.data(), len) != 0)
            throw std::out_of_range("guest memory");
        return copy;
    }

    hl_sandbox *get() { return it.get(); }

private:
    Outcome finish(std::int32_t status, const Host &host) {
        for (;;) {
            if (status == HL_HOSTCALL)
                status = answer(host);
            else if (status == HL_RUNNING)
                status = hl_wait(get());
            else
                return outcome(status);
        }
    }

    std::int32_t answer(const Host &host) {
        hl_hostcall_info waiting{};
        hl_hostcall(get(), &waiting);
        std::string failure = "there is no host function";
        if (host) {
            try {
                const HostCall call{*this, waiting.import, {waiting.args, waiting.args + waiting.n_args}};
                const std::vector<hl_value> results = host(call);
                const auto n = static_cast<std::uint32_t>(results.size());
                const std::int32_t status = hl_resume(get(), results.data(), n);
                if (status != HL_INVALID)
                    return status;
                failure = hl_message(get());
            } catch (const std::exception &error) {
                failure = error.what();
            } catch (...) {
                hl_kill(get());
                throw;
            }
        }
        return hl_fail(get(), failure.data(), failure.size());
    }

    Outcome outcome(std::int32_t status) {
        Outcome ended;
        ended.status = status;
        if (status == HL_DONE) {
            std::uint32_t n = 0;
            const hl_value *values = hl_results(get(), &n);
            ended.values.assign(values, values + n);
        } else if (status == HL_TRAP) {
            ended.trap.size = sizeof ended.trap;
            if (hl_trap(get(), &ended.trap) == 0)
                ended.message.assign(ended.trap.message, ended.trap.message_len);
            ended.trap.message = nullptr;
        } else if (status == HL_INVALID || status == HL_DEAD) {
            ended.message = hl_message(get());
        }
        return ended;
    }

    detail::Owned<hl_sandbox, hl_sandbox_close> it;
};

} // namespace hlfuzz

#endif // HLFUZZ_HPP
