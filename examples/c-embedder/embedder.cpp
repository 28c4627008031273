// The same host in C++17: objects close themselves, host functions are lambdas, outcomes are data.
//
//     embedder guest.wasm
//     embedder guest.elf
#include <hlfuzz.hpp>

#include <fstream>
#include <iostream>
#include <iterator>
#include <string_view>

namespace {

std::vector<std::uint8_t> read_file(const char *path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

// A Wasm module, or a native guest: apart from this they are used alike.
hlfuzz::Module load(const std::vector<std::uint8_t> &guest) {
    const bool native = std::string(guest.begin(), guest.end()).rfind("\177ELF", 0) == 0;
    return native ? hlfuzz::Module::native(guest.data(), guest.size()) : hlfuzz::Module(guest.data(), guest.size());
}

// The host function env.price.
std::vector<hl_value> price(const hlfuzz::HostCall &call) {
    switch (call.args.at(0).i32) {
    case 'a':
        return {hlfuzz::i32(120)};
    case 'b':
        return {hlfuzz::i32(250)};
    default:
        throw std::runtime_error("not for sale");
    }
}

class Till {
public:
    explicit Till(const std::vector<std::uint8_t> &guest)
        : module(load(guest)), booted(module), box(booted, options()) {}

    hlfuzz::Outcome with_bytes(const char *name, std::uint32_t form, std::string_view text, std::uint32_t flags) {
        const hl_value none[2] = {hlfuzz::i32(0), hlfuzz::i32(0)};
        auto how = hlfuzz::sized<hl_bytes_call>();
        how.func = module.function(name);
        how.args = none;
        how.n_args = 2;
        how.form = form;
        how.alloc_func = module.function("alloc");
        how.alloc_args = none;
        how.n_alloc_args = 1;
        return box.call_bytes(how, reinterpret_cast<const std::uint8_t *>(text.data()), text.size(), flags, price);
    }

    hlfuzz::Outcome call(const char *name, std::uint32_t flags) {
        return box.call(module.function(name), {}, flags, price);
    }

    hlfuzz::Module module;
    hlfuzz::Template booted;
    hlfuzz::Sandbox box;

private:
    static hl_sandbox_options options() {
        auto options = hlfuzz::Sandbox::defaults();
        options.transport = HL_TRANSPORT_EXIT;
        return options;
    }
};

void show(const char *what, const hlfuzz::Outcome &outcome) {
    std::cout << what << ": ";
    if (outcome)
        std::cout << (outcome.values.empty() ? 0 : outcome.values[0].i32) << '\n';
    else if (outcome.status == HL_TIMEOUT)
        std::cout << "timeout\n";
    else
        std::cout << (outcome.status == HL_TRAP ? "trap: " : "") << outcome.message << '\n';
}

void use(Till &till) {
    show("two a, one b", till.with_bytes("total", HL_BYTES_NONE, "aab", HL_CALL_RESET));
    show("one z", till.with_bytes("total", HL_BYTES_NONE, "az", HL_CALL_RESET));

    const auto receipt = till.with_bytes("receipt", HL_BYTES_PACKED, "thank you", HL_CALL_RESET).bytes;
    std::cout << "receipt: " << std::string(receipt.begin(), receipt.end()) << '\n';

    till.with_bytes("total", HL_BYTES_NONE, "a", 0);
    till.with_bytes("total", HL_BYTES_NONE, "b", 0);
    show("served in the context", till.call("served", 0));
    till.box.reset();
    show("served after it", till.call("served", HL_CALL_RESET));

    show("crash", till.call("crash", HL_CALL_RESET));
    hl_set_deadline(till.box.get(), 20000, 0);
    show("spin", till.call("spin", HL_CALL_RESET));
    hl_set_deadline(till.box.get(), 0, 0);
    show("two b", till.with_bytes("total", HL_BYTES_NONE, "bb", HL_CALL_RESET));
}

} // namespace

int main(int argc, char **argv) {
    if (argc != 2) {
        std::cerr << "usage: embedder GUEST\n";
        return 2;
    }
    try {
        Till till(read_file(argv[1]));
        use(till);
    } catch (const hlfuzz::Error &error) {
        std::cerr << argv[1] << ": " << error.what() << '\n';
        return 1;
    }
    return 0;
}
