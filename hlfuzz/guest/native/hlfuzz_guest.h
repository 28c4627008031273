/* hlfuzz_guest.h: native guests for hlfuzz, in C11 or C++17, freestanding, x86-64. No libc, no linker script.
 *
 *     #define HLFUZZ_GUEST_IMPLEMENTATION
 *     #include "hlfuzz_guest.h"
 *
 *     HLG_IMPORT("env", "log", void, env_log, const char *, uint32_t);
 *
 *     int32_t add(int32_t a, int32_t b) { return a + b; }
 *     HLG_EXPORT(int32_t, add, int32_t, int32_t);
 *
 *     gcc -O2 -g -ffreestanding -fno-stack-protector -fcf-protection=none -nostdlib -static -fno-pie -no-pie \
 *         -Wl,--build-id=none -o add.elf add.c
 *
 * One file of a guest defines HLFUZZ_GUEST_IMPLEMENTATION before the include, or hlfuzz_guest.c (beside this file) is
 * compiled into it. docs/native-guests.md has the whole story: build lines, rules, the protocol. */
#ifndef HLFUZZ_GUEST_H
#define HLFUZZ_GUEST_H

#if !defined(__x86_64__) || !defined(__ELF__)
#error "hlfuzz_guest.h is for native guests: compile for x86-64 ELF (for Wasm use the language's own exports)"
#endif

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Values, tables: the same text is in the code that `hlfuzz generate --lang c` writes ------------------- */
#ifndef HL_BYTES
#define HL_BYTES 1
/* Bytes that belong to somebody else. */
typedef struct hl_bytes { const uint8_t *data; uint32_t len; } hl_bytes;
#endif
#ifndef HL_NATIVE_ABI
#define HL_NATIVE_ABI 1
/* The result of an export that gives bytes, and of a host function that does: address and length in two registers. */
typedef hl_bytes hl_result;
/* One line of the tables that the host reads. `name` is the export's, or the import's inside its module; `type` is
 * parameters, ':', result, one character each (i I f F: int32, int64, float, double; p: pointer; r: hl_result);
 * `detail` is the export's function, or the name of the import's module; `zero` is 0. */
typedef struct hl_entry { const char *name; const char *type; const void *detail; uint64_t zero; } hl_entry;
#define HL_TABLE(section_name) __attribute__((used HL_RETAIN, section(section_name), aligned(32)))
#if defined(__has_attribute)
#if __has_attribute(retain)
#define HL_RETAIN , retain /* the linker's --gc-sections leaves it alone */
#endif
#endif
#ifndef HL_RETAIN
#define HL_RETAIN
#endif
/* Calls a host function. `values` has its `count` arguments, one in each word, and room for two words: the result's,
 * of hl_result address and length. Does not return when the host function fails: the guest's call ends there. */
void hl_host_call(const hl_entry *import, uint64_t *values, uint32_t count);
#endif
#ifndef HL_RETURNED
#define HL_RETURNED 1
static inline hl_result hl_returned(const void *data, uint32_t len) {
    hl_result result = {(const uint8_t *)data, len};
    return result;
}
#endif

/* ---- What a guest may define ------------------------------------------------------------------------------- */

/* Called once, before the snapshot that every call starts from. May call host functions. Optional. */
void hl_guest_init(void);

/* ---- What a guest may use ---------------------------------------------------------------------------------- */

/* Ends the call as a trap of kind "guest-fault" with this text (zero-terminated, 4088 bytes at most). */
void hl_guest_abort(const char *text) __attribute__((noreturn));

/* `size` bytes of the heap, not cleared, aligned to 16; NULL when there is no room. What hl_guest_init took stays for
 * good. The rest is given back all at once, by the first hlfuzz_alloc after a call from outside has ended: keep what a
 * call context has to remember in statics. In a guest of generated code the heap belongs to that: use hl_alloc. */
void *hlg_alloc(size_t size);

/* The allocator that the host uses for byte vectors. To be exported by HLG_ALLOCATOR; generated code brings and exports
 * its own. Weak, as the memory functions are: a file of the guest that is not the implementation's may have another. */
void *hlfuzz_alloc(uint32_t len);
#define HLG_ALLOCATOR HLG_EXPORT(void *, hlfuzz_alloc, uint32_t)

/* HLG_EXPORT(int32_t, add, int32_t, int32_t); at file scope, after the function's declaration: the host may call it by
 * its name. HLG_EXPORT_AS("name", int32_t, add, int32_t, int32_t); gives another one. Types are those of `hl_entry`:
 * 32-bit and 64-bit integers, float, double, pointers, and as result also void and hl_result. At most 6 integers and
 * pointers, and 8 floats and doubles. It does not compile when the function has another type. */
#define HLG_EXPORT(result, ...) HLG_EXPORT_AS(HLG_STRING(HLG_FIRST(__VA_ARGS__, ~)), result, __VA_ARGS__)
#define HLG_EXPORT_AS(label, result, ...) \
    HLG_EXPORT_ID(__LINE__, HLG_COUNT(__VA_ARGS__), label, result, HLG_FIRST(__VA_ARGS__, ~), __VA_ARGS__)

/* HLG_IMPORT("env", "log", void, env_log, const char *, uint32_t); defines the function env_log, which calls the host
 * function "log" of the module "env". The host refuses a guest with an import that it has not been given. */
#define HLG_IMPORT(module, field, result, ...) \
    HLG_IMPORT_ID(HLG_COUNT(__VA_ARGS__), module, field, result, HLG_FIRST(__VA_ARGS__, ~), __VA_ARGS__)

#ifdef __cplusplus
}
#endif

/* ---- How the macros work ----------------------------------------------------------------------------------- */

#define HLG_CAT(a, b) HLG_CAT_(a, b)
#define HLG_CAT_(a, b) a##b
#define HLG_STRING(a) HLG_STRING_(a)
#define HLG_STRING_(a) #a
#define HLG_FIRST(first, ...) first
/* How many types follow the first argument. */
#define HLG_COUNT(...) HLG_COUNT_(__VA_ARGS__, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, ~)
#define HLG_COUNT_(x, a, b, c, d, e, f, g, h, i, j, k, l, m, n, count, ...) count

/* M(position, type) for each type after the name: one behind the other, and with commas. */
#define HLG_EACH_0(M, x)
#define HLG_EACH_1(M, x, a) M(0, a)
#define HLG_EACH_2(M, x, a, b) HLG_EACH_1(M, x, a) M(1, b)
#define HLG_EACH_3(M, x, a, b, c) HLG_EACH_2(M, x, a, b) M(2, c)
#define HLG_EACH_4(M, x, a, b, c, d) HLG_EACH_3(M, x, a, b, c) M(3, d)
#define HLG_EACH_5(M, x, a, b, c, d, e) HLG_EACH_4(M, x, a, b, c, d) M(4, e)
#define HLG_EACH_6(M, x, a, b, c, d, e, f) HLG_EACH_5(M, x, a, b, c, d, e) M(5, f)
#define HLG_EACH_7(M, x, a, b, c, d, e, f, g) HLG_EACH_6(M, x, a, b, c, d, e, f) M(6, g)
#define HLG_EACH_8(M, x, a, b, c, d, e, f, g, h) HLG_EACH_7(M, x, a, b, c, d, e, f, g) M(7, h)
#define HLG_EACH_9(M, x, a, b, c, d, e, f, g, h, i) HLG_EACH_8(M, x, a, b, c, d, e, f, g, h) M(8, i)
#define HLG_EACH_10(M, x, a, b, c, d, e, f, g, h, i, j) HLG_EACH_9(M, x, a, b, c, d, e, f, g, h, i) M(9, j)
#define HLG_EACH_11(M, x, a, b, c, d, e, f, g, h, i, j, k) HLG_EACH_10(M, x, a, b, c, d, e, f, g, h, i, j) M(10, k)
#define HLG_EACH_12(M, x, a, b, c, d, e, f, g, h, i, j, k, l) \
    HLG_EACH_11(M, x, a, b, c, d, e, f, g, h, i, j, k) M(11, l)
#define HLG_EACH_13(M, x, a, b, c, d, e, f, g, h, i, j, k, l, m) \
    HLG_EACH_12(M, x, a, b, c, d, e, f, g, h, i, j, k, l) M(12, m)
#define HLG_EACH_14(M, x, a, b, c, d, e, f, g, h, i, j, k, l, m, n) \
    HLG_EACH_13(M, x, a, b, c, d, e, f, g, h, i, j, k, l, m) M(13, n)
#define HLG_LIST_0(M, x) void
#define HLG_LIST_1(M, x, a) M(0, a)
#define HLG_LIST_2(M, x, a, b) HLG_LIST_1(M, x, a), M(1, b)
#define HLG_LIST_3(M, x, a, b, c) HLG_LIST_2(M, x, a, b), M(2, c)
#define HLG_LIST_4(M, x, a, b, c, d) HLG_LIST_3(M, x, a, b, c), M(3, d)
#define HLG_LIST_5(M, x, a, b, c, d, e) HLG_LIST_4(M, x, a, b, c, d), M(4, e)
#define HLG_LIST_6(M, x, a, b, c, d, e, f) HLG_LIST_5(M, x, a, b, c, d, e), M(5, f)
#define HLG_LIST_7(M, x, a, b, c, d, e, f, g) HLG_LIST_6(M, x, a, b, c, d, e, f), M(6, g)
#define HLG_LIST_8(M, x, a, b, c, d, e, f, g, h) HLG_LIST_7(M, x, a, b, c, d, e, f, g), M(7, h)
#define HLG_LIST_9(M, x, a, b, c, d, e, f, g, h, i) HLG_LIST_8(M, x, a, b, c, d, e, f, g, h), M(8, i)
#define HLG_LIST_10(M, x, a, b, c, d, e, f, g, h, i, j) HLG_LIST_9(M, x, a, b, c, d, e, f, g, h, i), M(9, j)
#define HLG_LIST_11(M, x, a, b, c, d, e, f, g, h, i, j, k) HLG_LIST_10(M, x, a, b, c, d, e, f, g, h, i, j), M(10, k)
#define HLG_LIST_12(M, x, a, b, c, d, e, f, g, h, i, j, k, l) \
    HLG_LIST_11(M, x, a, b, c, d, e, f, g, h, i, j, k), M(11, l)
#define HLG_LIST_13(M, x, a, b, c, d, e, f, g, h, i, j, k, l, m) \
    HLG_LIST_12(M, x, a, b, c, d, e, f, g, h, i, j, k, l), M(12, m)
#define HLG_LIST_14(M, x, a, b, c, d, e, f, g, h, i, j, k, l, m, n) \
    HLG_LIST_13(M, x, a, b, c, d, e, f, g, h, i, j, k, l, m), M(13, n)

#define HLG_TYPE(position, type) type
#define HLG_PARAMETER(position, type) type a##position
#define HLG_PUT(position, type) __builtin_memcpy(&values[position], &a##position, sizeof a##position);
#define HLG_CODE_OF(position, type) HLG_CODE(type),

/* The code that follows when `result` is void (1) and when it is not (0). */
#define HLG_IS_VOID(result) HLG_SECOND(HLG_CAT_(HLG_PROBE_, result)(), 0, ~)
#define HLG_PROBE_void() ~, 1
#define HLG_SECOND(...) HLG_SECOND_(__VA_ARGS__)
#define HLG_SECOND_(first, second, ...) second

#define HLG_EXPORT_ID(line, n, label, result, function, ...) \
    HLG_EXPORT_N(HLG_ID(line, function), n, label, result, function, __VA_ARGS__)
#define HLG_EXPORT_N(id, n, label, result, function, ...) HLG_EXPORT_IT(id, n, label, result, function, __VA_ARGS__)
#define HLG_IMPORT_ID(n, module, field, result, function, ...) \
    HLG_IMPORT_N(function, n, module, field, result, function, __VA_ARGS__)

#define HLG_IMPORT_N(id, n, module, field, result, function, ...) \
    HLG_TYPE_TEXT(id, n, result, function, __VA_ARGS__) \
    static const hl_entry hlg_import_##id HL_TABLE("hlfuzz_imports") = { \
        field, HLG_TYPE_NAME(id, n, result, __VA_ARGS__), module, 0}; \
    __attribute__((unused)) static result function(HLG_LIST_##n(HLG_PARAMETER, __VA_ARGS__)) { \
        uint64_t values[(n) > 2 ? (n) : 2] = {0}; \
        HLG_EACH_##n(HLG_PUT, __VA_ARGS__) \
        hl_host_call(&hlg_import_##id, values, n); \
        HLG_CAT(HLG_RETURN_, HLG_IS_VOID(result))(result) \
    } \
    HLG_CHECK_TYPES(id, n, result, __VA_ARGS__)
#define HLG_RETURN_1(result)
#define HLG_RETURN_0(result) \
    result answer; \
    __builtin_memcpy(&answer, values, sizeof answer); \
    return answer;

#define HLG_NOT_CALLABLE "hlfuzz_guest.h: parameters are 32-bit and 64-bit integers, float, double and pointers; results " \
    "those, void and hl_result"
#define HLG_TOO_MANY "hlfuzz_guest.h: at most 6 integers and pointers, and 8 floats and doubles"
#define HLG_OTHER_TYPE "hlfuzz_guest.h: the function has another type than its HLG_EXPORT says"

#ifdef __cplusplus

namespace hlg {

template <class T> struct code { static constexpr char value = '?'; };
template <class T> struct code<T *> { static constexpr char value = 'p'; };
template <> struct code<int> { static constexpr char value = 'i'; };
template <> struct code<unsigned> { static constexpr char value = 'i'; };
template <> struct code<long> { static constexpr char value = 'I'; };
template <> struct code<unsigned long> { static constexpr char value = 'I'; };
template <> struct code<long long> { static constexpr char value = 'I'; };
template <> struct code<unsigned long long> { static constexpr char value = 'I'; };
template <> struct code<float> { static constexpr char value = 'f'; };
template <> struct code<double> { static constexpr char value = 'F'; };
template <> struct code<hl_result> { static constexpr char value = 'r'; };
template <> struct code<void> { static constexpr char value = 0; };

constexpr bool is_float(char c) { return c == 'f' || c == 'F'; }

template <class F> struct signature;
template <class R, class... T> struct signature<R(T...)> {
    using plain = R(T...);
    static constexpr char text[] = {code<T>::value..., ':', code<R>::value, 0};
    static constexpr bool callable =
        code<R>::value != '?' && ((code<T>::value != '?' && code<T>::value != 'r') && ... && true);
    static constexpr int floats = (0 + ... + (is_float(code<T>::value) ? 1 : 0));
    static constexpr bool fits = floats <= 8 && static_cast<int>(sizeof...(T)) - floats <= 6;
};
template <class R, class... T> struct signature<R(T...) noexcept> : signature<R(T...)> {};

template <class A, class B> struct same { static constexpr bool value = false; };
template <class A> struct same<A, A> { static constexpr bool value = true; };

/* `hl_entry` with a function whose address is a constant in C++, too. */
template <class F> struct entry {
    const char *name;
    const char *type;
    F *function;
    uint64_t zero;
};

} /* namespace hlg */

#define HLG_ID(line, function) line /* a function's name may have a namespace in front */
#define HLG_EXPORT_IT(id, n, label, result, function, ...) \
    static_assert(hlg::same<hlg::signature<decltype(function)>::plain, \
                            result(HLG_LIST_##n(HLG_TYPE, __VA_ARGS__))>::value, HLG_OTHER_TYPE); \
    static constexpr hlg::entry<decltype(function)> hlg_export_##id HL_TABLE("hlfuzz_exports") = { \
        label, hlg::signature<decltype(function)>::text, &function, 0}; \
    HLG_CHECK_TYPES(id, n, result, __VA_ARGS__)
#define HLG_SIGNATURE(n, result, ...) hlg::signature<result(HLG_LIST_##n(HLG_TYPE, __VA_ARGS__))>
#define HLG_TYPE_TEXT(id, n, result, ...)
#define HLG_TYPE_NAME(id, n, result, ...) HLG_SIGNATURE(n, result, __VA_ARGS__)::text
#define HLG_CHECK_TYPES(id, n, result, ...) \
    static_assert(HLG_SIGNATURE(n, result, __VA_ARGS__)::callable, HLG_NOT_CALLABLE); \
    static_assert(HLG_SIGNATURE(n, result, __VA_ARGS__)::fits, HLG_TOO_MANY)

#else

#define HLG_CODE(type) \
    _Generic((__typeof__(type) *)0, int *: 'i', unsigned *: 'i', long *: 'I', unsigned long *: 'I', long long *: 'I', \
        unsigned long long *: 'I', float *: 'f', double *: 'F', hl_result *: 'r', void *: 0, default: 'p')
/* What `default` let through: 5 is a pointer. */
#define HLG_IS_POINTER(expression) (__builtin_classify_type(expression) == 5)
#define HLG_PARAMETER_FITS(position, type) \
    &&HLG_CODE(type) != 'r' && (HLG_CODE(type) != 'p' || HLG_IS_POINTER(*(__typeof__(type) *)0))
#define HLG_FLOATS(position, type) +(HLG_CODE(type) == 'f' || HLG_CODE(type) == 'F')
#define HLG_RESULT_FITS_1(result) 1
#define HLG_RESULT_FITS_0(result) (HLG_CODE(result) != 'p' || HLG_IS_POINTER(*(__typeof__(result) *)0))

#define HLG_ID(line, function) function##_##line
#define HLG_EXPORT_IT(id, n, label, result, function, ...) \
    _Static_assert(__builtin_types_compatible_p(__typeof__(function), result(HLG_LIST_##n(HLG_TYPE, __VA_ARGS__))), \
                   HLG_OTHER_TYPE); \
    HLG_TYPE_TEXT(id, n, result, function, __VA_ARGS__) \
    static const hl_entry hlg_export_##id HL_TABLE("hlfuzz_exports") = { \
        label, hlg_type_##id, __extension__(const void *)function, 0}; \
    HLG_CHECK_TYPES(id, n, result, __VA_ARGS__)
#define HLG_TYPE_TEXT(id, n, result, function, ...) \
    static const char hlg_type_##id[] = {HLG_EACH_##n(HLG_CODE_OF, __VA_ARGS__) ':', HLG_CODE(result), 0};
#define HLG_TYPE_NAME(id, n, result, ...) hlg_type_##id
#define HLG_CHECK_TYPES(id, n, result, ...) \
    _Static_assert(HLG_CAT(HLG_RESULT_FITS_, HLG_IS_VOID(result))(result) HLG_EACH_##n(HLG_PARAMETER_FITS, __VA_ARGS__), \
                   HLG_NOT_CALLABLE); \
    _Static_assert((0 HLG_EACH_##n(HLG_FLOATS, __VA_ARGS__)) <= 8 && \
                   (n) - (0 HLG_EACH_##n(HLG_FLOATS, __VA_ARGS__)) <= 6, HLG_TOO_MANY)

#endif
#endif /* HLFUZZ_GUEST_H */

#if defined(HLFUZZ_GUEST_IMPLEMENTATION) && !defined(HLFUZZ_GUEST_IMPLEMENTED)
#define HLFUZZ_GUEST_IMPLEMENTED 1

#ifdef __cplusplus
extern "C" {
#endif

/* ---- The boundary: numbers of crates/abi, which a test compares -------------------------------------------- */

enum {
    HLG_BOOT_HEAP = 0x1ff000, /* u64 */
    HLG_BOOT_HEAP_LEN = 0x1ff008,

    /* Inside the mailbox. A value is 16 bytes, of which the first 8 count here. */
    HLG_VALUE_BYTES = 16,
    HLG_REQUEST = 0x0,
    HLG_REQUEST_INDEX = 0x4,
    HLG_REQUEST_N = 0x8,
    HLG_REQUEST_VALUES = 0x10,
    HLG_ANSWER = 0x4000,
    HLG_ANSWER_AUX = 0x4004,
    HLG_ANSWER_N = 0x4008,
    HLG_ANSWER_POSTED = 0x400c,
    HLG_ANSWER_MEMORY = 0x4010,
    HLG_ANSWER_MEMORY_LEN = 0x4018,
    HLG_ANSWER_VALUES = 0x4020,
    HLG_TRANSPORT = 0x8000,
    HLG_IDLE_TICKS = 0x8008,
    HLG_TEXT_LEN = 0x9000,
    HLG_TEXT_DATA = 0x9008,
    HLG_TEXT_BYTES = 4088,
    HLG_VECTOR_ALLOC = 0x1b000,
    HLG_VECTOR_N_ALLOC = 0x1b004,
    HLG_VECTOR_AT = 0x1b008,
    HLG_VECTOR_LEN = 0x1b00c,
    HLG_VECTOR_SCRATCH = 0x1b010,
    HLG_VECTOR_ALLOC_ARGS = 0x1b018,
    HLG_VECTOR_DATA = 0x1b040,
    HLG_VECTOR_BYTES = 65472,
    HLG_VECTOR_MAX_ALLOC_ARGS = 4,
    HLG_NO_ALLOCATOR = -1,

    HLG_OP_CALL = 1,
    HLG_OP_RESUME = 2,
    HLG_OP_FAIL = 3,
    HLG_OP_MEMORY = 4,
    HLG_OP_NOP = 7,
    HLG_OP_BYTES = 8,

    HLG_DONE = 1,
    HLG_HOSTCALL = 2,
    HLG_HOST_FAILED = 4,
    HLG_REFUSED = 5,
    HLG_FATAL = 6,
    HLG_NO_ROOM = 8,

    HLG_BELL_ANSWER = 1,
    HLG_BELL_IDLE = 2,
    HLG_BELL_FATAL = 3,
    HLG_TRANSPORT_EXIT = 1,

    HLG_QUICK_LOOKS = 4096,
    HLG_PARAMETERS = 14 /* 6 in general registers, 8 in xmm registers */
};
#define HLG_MAILBOX UINT64_C(0x100000000)
#define HLG_DOORBELL UINT64_C(0x200000000)

static inline volatile uint32_t *hlg_word(uint64_t at) { return (volatile uint32_t *)(uintptr_t)(HLG_MAILBOX + at); }
static inline volatile uint64_t *hlg_wide(uint64_t at) { return (volatile uint64_t *)(uintptr_t)(HLG_MAILBOX + at); }
static inline uint64_t hlg_boot(uint64_t at) { return *(const volatile uint64_t *)(uintptr_t)at; }
/* The value at a position of either side: the low half of 16 bytes. */
static inline volatile uint64_t *hlg_value_in(uint32_t position) {
    return hlg_wide(HLG_REQUEST_VALUES + HLG_VALUE_BYTES * (uint64_t)position);
}
static inline volatile uint64_t *hlg_value_out(uint32_t position) {
    return hlg_wide(HLG_ANSWER_VALUES + HLG_VALUE_BYTES * (uint64_t)position);
}

/* Tables and what the linker knows; hidden, so that addresses are constants. */
#define HLG_LINKER(name) __asm__(name) __attribute__((weak, visibility("hidden")))
extern const hl_entry hlg_exports[] HLG_LINKER("__start_hlfuzz_exports");
extern const hl_entry hlg_exports_end[] HLG_LINKER("__stop_hlfuzz_exports");
extern const hl_entry hlg_imports[] HLG_LINKER("__start_hlfuzz_imports");
extern const uint8_t hlg_elf[] HLG_LINKER("__ehdr_start");
extern void (*const hlg_constructors[])(void) HLG_LINKER("__init_array_start");
extern void (*const hlg_constructors_end[])(void) HLG_LINKER("__init_array_end");
extern void hlg_user_init(void) HLG_LINKER("hl_guest_init");
extern void hlg_generated_memory(void *memory, size_t size) HLG_LINKER("hl_guest_memory");

/* Where the tables are: an ELF note, owner "hlfuzz", type 2; version 1. */
__asm__(".weak __start_hlfuzz_exports, __stop_hlfuzz_exports, __start_hlfuzz_imports, __stop_hlfuzz_imports\n"
        ".pushsection .note.hlfuzz,\"a\",@note\n"
        ".balign 4\n.long 7, 40, 2\n.asciz \"hlfuzz\"\n.balign 4\n"
        ".long 1, 0\n"
        ".quad __start_hlfuzz_exports, __stop_hlfuzz_exports, __start_hlfuzz_imports, __stop_hlfuzz_imports\n"
        ".popsection\n");

/* ---- Memory functions that compilers call; weak: a guest may have its own ---------------------------------- */

#define HLG_WEAK(name) __asm__(name) __attribute__((weak, used))
void *hlg_memcpy(void *to, const void *from, size_t len) HLG_WEAK("memcpy");
void *hlg_memmove(void *to, const void *from, size_t len) HLG_WEAK("memmove");
void *hlg_memset(void *to, int value, size_t len) HLG_WEAK("memset");
int hlg_memcmp(const void *a, const void *b, size_t len) HLG_WEAK("memcmp");
int hlg_bcmp(const void *a, const void *b, size_t len) HLG_WEAK("bcmp");
size_t hlg_strlen(const char *text) HLG_WEAK("strlen");

void *hlg_memcpy(void *to, const void *from, size_t len) {
    void *out = to;
    __asm__ volatile("rep movsb" : "+D"(out), "+S"(from), "+c"(len) : : "memory");
    return to;
}

void *hlg_memmove(void *to, const void *from, size_t len) {
    const uint8_t *in = (const uint8_t *)from;
    uint8_t *out = (uint8_t *)to;
    if ((uintptr_t)out - (uintptr_t)in >= len) return hlg_memcpy(to, from, len);
    while (len > 0) {
        len--;
        out[len] = in[len];
        __asm__ volatile("" ::: "memory"); /* or the compiler sees a memmove, and calls it */
    }
    return to;
}

void *hlg_memset(void *to, int value, size_t len) {
    void *out = to;
    __asm__ volatile("rep stosb" : "+D"(out), "+c"(len) : "a"(value) : "memory");
    return to;
}

int hlg_memcmp(const void *a, const void *b, size_t len) {
    const uint8_t *x = (const uint8_t *)a, *y = (const uint8_t *)b;
    for (size_t i = 0; i < len; i++) {
        if (x[i] != y[i]) return x[i] < y[i] ? -1 : 1;
        __asm__ volatile("" ::: "memory");
    }
    return 0;
}

int hlg_bcmp(const void *a, const void *b, size_t len) { return hlg_memcmp(a, b, len); }

size_t hlg_strlen(const char *text) {
    size_t len = 0;
    while (text[len]) {
        len++;
        __asm__ volatile("" ::: "memory");
    }
    return len;
}

/* What C++ compilers call: destructors of statics never run, a pure virtual function has no body. */
int hlg_cxa_atexit(void (*function)(void *), void *argument, void *handle) HLG_WEAK("__cxa_atexit");
void hlg_cxa_pure_virtual(void) HLG_WEAK("__cxa_pure_virtual");

int hlg_cxa_atexit(void (*function)(void *), void *argument, void *handle) {
    (void)function;
    (void)argument;
    (void)handle;
    return 0;
}

void hlg_cxa_pure_virtual(void) { hl_guest_abort("a pure virtual function was called"); }

extern void *hlg_dso_handle __asm__("__dso_handle") __attribute__((weak));
void *hlg_dso_handle = 0;

/* ---- The exchange ------------------------------------------------------------------------------------------- */

/* Publishes an answer and waits for a request; returns its op. One block that writes no stack: the host restores the
 * guest's memory while it waits here. x86 keeps stores to the mailbox in order. */
static uint32_t hlg_exchange(uint32_t answer) {
    uint32_t op;
    uint64_t start;
    __asm__ volatile("cld\n\t"
                     "movl %[answer], %c[from](%[mailbox])\n\t"
                     "cmpl %[exit], %c[transport](%[mailbox])\n\t"
                     "jne 2f\n\t"
                     "movl %[bell_answer], (%[doorbell])\n"
                     /* At first without a pause, which would cost the next call half its length on average. */
                     "2:\n\t"
                     "movl %[quick], %%ecx\n"
                     "3:\n\t"
                     "movl (%[mailbox]), %[op]\n\t"
                     "testl %[op], %[op]\n\t"
                     "jnz 6f\n\t"
                     "decl %%ecx\n\t"
                     "jnz 3b\n\t"
                     /* Then with pauses; the clock is asked every 1024 looks. */
                     "rdtsc\n\t"
                     "shlq $32, %%rdx\n\t"
                     "orq %%rax, %%rdx\n\t"
                     "movq %%rdx, %[start]\n"
                     "4:\n\t"
                     "movl $1024, %%ecx\n"
                     "5:\n\t"
                     "movl (%[mailbox]), %[op]\n\t"
                     "testl %[op], %[op]\n\t"
                     "jnz 6f\n\t"
                     "pause\n\t"
                     "decl %%ecx\n\t"
                     "jnz 5b\n\t"
                     "rdtsc\n\t"
                     "shlq $32, %%rdx\n\t"
                     "orq %%rdx, %%rax\n\t"
                     "subq %[start], %%rax\n\t"
                     "cmpq %c[idle](%[mailbox]), %%rax\n\t"
                     "jb 4b\n\t"
                     "movl %[bell_idle], (%[doorbell])\n\t"
                     "jmp 2b\n"
                     "6:\n\t"
                     "movl $0, (%[mailbox])"
                     : [op] "=&r"(op), [start] "=&r"(start)
                     : [mailbox] "r"(HLG_MAILBOX), [doorbell] "r"(HLG_DOORBELL), [answer] "r"(answer),
                       [from] "i"(HLG_ANSWER), [transport] "i"(HLG_TRANSPORT), [idle] "i"(HLG_IDLE_TICKS),
                       [exit] "i"(HLG_TRANSPORT_EXIT), [bell_answer] "i"(HLG_BELL_ANSWER),
                       [bell_idle] "i"(HLG_BELL_IDLE), [quick] "i"(HLG_QUICK_LOOKS)
                     : "rax", "rcx", "rdx", "memory", "cc");
    return op;
}

static void hlg_set_text(const char *text) {
    volatile uint8_t *to = (volatile uint8_t *)hlg_word(HLG_TEXT_DATA);
    uint32_t len = 0;
    for (; len < HLG_TEXT_BYTES && text[len]; len++) to[len] = (uint8_t)text[len];
    *hlg_word(HLG_TEXT_LEN) = len;
}

void hl_guest_abort(const char *text) {
    hlg_set_text(text);
    for (;;) {
        *hlg_word(HLG_ANSWER) = HLG_FATAL;
        *(volatile uint32_t *)(uintptr_t)HLG_DOORBELL = HLG_BELL_FATAL;
    }
}

/* ---- Calling a function by its type ------------------------------------------------------------------------- */

/* Arguments as the System V ABI wants them; afterwards rax and rdx are in `integers`, xmm0 is in `floats`. */
typedef struct hlg_registers { uint64_t integers[6]; uint64_t floats[8]; } hlg_registers;
/* An open call: the stack pointer inside hlg_enter. */
typedef struct hlg_frame { uint64_t stack; struct hlg_frame *outer; } hlg_frame;

static struct {
    hlg_frame *innermost;
    uint8_t *base, *top, *end; /* what is never given back is below `base` */
    uint64_t memory_end;
    uint32_t ended; /* a call from outside has ended: everything may be given back */
} hlg_state;

/* Calls `function`; 1 when it returned, 0 when hlg_unwind ended it. Callee-saved registers are as before, both ways. */
uint32_t hlg_enter(const void *function, hlg_registers *registers, uint64_t *stack);
/* Ends the call whose hlg_enter left `stack`. */
void hlg_unwind(uint64_t stack) __attribute__((noreturn));
void hlg_start(void) __attribute__((noreturn, used));

__asm__(".pushsection .text.hlfuzz_guest,\"ax\",@progbits\n"
        ".globl _start\n.type _start, @function\n"
        "_start:\n\t"
        "xorl %ebp, %ebp\n\t" /* a backtrace ends here */
        "andq $-16, %rsp\n\t"
        "call hlg_start\n\t"
        "ud2\n"
        ".size _start, . - _start\n"
        ".globl hlg_enter\n.hidden hlg_enter\n.type hlg_enter, @function\n"
        "hlg_enter:\n\t"
        "pushq %rbp\n\tpushq %rbx\n\tpushq %r12\n\tpushq %r13\n\tpushq %r14\n\tpushq %r15\n\t"
        "subq $8, %rsp\n\t"
        "movq %rsp, (%rdx)\n\t"
        "movq %rsi, (%rsp)\n\t"
        "movq %rdi, %rax\n\t"
        "movq 48(%rsi), %xmm0\n\tmovq 56(%rsi), %xmm1\n\tmovq 64(%rsi), %xmm2\n\tmovq 72(%rsi), %xmm3\n\t"
        "movq 80(%rsi), %xmm4\n\tmovq 88(%rsi), %xmm5\n\tmovq 96(%rsi), %xmm6\n\tmovq 104(%rsi), %xmm7\n\t"
        "movq (%rsi), %rdi\n\tmovq 16(%rsi), %rdx\n\tmovq 24(%rsi), %rcx\n\t"
        "movq 32(%rsi), %r8\n\tmovq 40(%rsi), %r9\n\tmovq 8(%rsi), %rsi\n\t"
        "call *%rax\n\t"
        "movq (%rsp), %rcx\n\t"
        "movq %rax, (%rcx)\n\tmovq %rdx, 8(%rcx)\n\tmovq %xmm0, 48(%rcx)\n\t"
        "movl $1, %eax\n"
        "1:\n\t"
        "cld\n\t"
        "addq $8, %rsp\n\t"
        "popq %r15\n\tpopq %r14\n\tpopq %r13\n\tpopq %r12\n\tpopq %rbx\n\tpopq %rbp\n\t"
        "ret\n"
        ".size hlg_enter, . - hlg_enter\n"
        ".globl hlg_unwind\n.hidden hlg_unwind\n.type hlg_unwind, @function\n"
        "hlg_unwind:\n\t"
        "movq %rdi, %rsp\n\t"
        "xorl %eax, %eax\n\t"
        "jmp 1b\n"
        ".size hlg_unwind, . - hlg_unwind\n"
        ".popsection\n");

static uint32_t hlg_parameters(const char *type) {
    uint32_t n = 0;
    while (type[n] && type[n] != ':') n++;
    return n;
}

static uint64_t hlg_as(char type, uint64_t bits) { return type == 'I' || type == 'F' ? bits : (uint32_t)bits; }

/* The host knows addresses of 32 bits. */
static uint64_t hlg_address(uint64_t address, const char *what) {
    if (address >> 32) hl_guest_abort(what);
    return address;
}

static int hlg_is_float(char type) { return type == 'f' || type == 'F'; }

/* Runs an export; its result is in `bits`. The answer word. */
static uint32_t hlg_run(const hl_entry *it, const uint64_t *arguments, uint32_t n, uint64_t *bits) {
    hlg_registers registers = {{0}, {0}};
    uint32_t integers = 0, floats = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t value = hlg_as(it->type[i], arguments[i]);
        if (hlg_is_float(it->type[i]) && floats < 8) registers.floats[floats++] = value;
        else if (!hlg_is_float(it->type[i]) && integers < 6) registers.integers[integers++] = value;
    }
    hlg_frame frame = {0, hlg_state.innermost};
    hlg_state.innermost = &frame;
    uint32_t returned = hlg_enter(it->detail, &registers, &frame.stack);
    hlg_state.innermost = frame.outer;
    if (!frame.outer && it->detail != __extension__(const void *)hlfuzz_alloc) hlg_state.ended = 1;
    if (!returned) return HLG_HOST_FAILED;
    char type = it->type[n] ? it->type[n + 1] : 0;
    if (hlg_is_float(type)) *bits = hlg_as(type, registers.floats[0]);
    else if (type == 'r')
        *bits = hlg_address(registers.integers[0], "the address of a result is above 4 GiB") << 32 |
                (uint32_t)registers.integers[1];
    else if (type == 'p') *bits = hlg_address(registers.integers[0], "a pointer as result is above 4 GiB");
    else *bits = hlg_as(type, registers.integers[0]);
    return HLG_DONE;
}

/* ---- Serving requests --------------------------------------------------------------------------------------- */

static void hlg_header(uint32_t aux, uint32_t n) {
    *hlg_word(HLG_ANSWER_AUX) = aux;
    *hlg_word(HLG_ANSWER_N) = n;
    *hlg_word(HLG_ANSWER_POSTED) = 0;
    *hlg_wide(HLG_ANSWER_MEMORY) = 0;
    *hlg_wide(HLG_ANSWER_MEMORY_LEN) = hlg_state.memory_end;
}

static uint32_t hlg_answer(uint32_t answer, uint32_t aux, uint32_t n, uint64_t value) {
    if (n) {
        hlg_value_out(0)[0] = value;
        hlg_value_out(0)[1] = 0;
    }
    hlg_header(aux, n);
    return answer;
}

static uint32_t hlg_refuse(const char *why) {
    hlg_set_text(why);
    return hlg_answer(HLG_REFUSED, 0, 0, 0);
}

static const hl_entry *hlg_export(uint32_t index) {
    return index < (uint64_t)(hlg_exports_end - hlg_exports) ? &hlg_exports[index] : (const hl_entry *)0;
}

/* The end of an export's call: its result, or that a host function failed. */
static uint32_t hlg_finish(const hl_entry *it, const uint64_t *arguments, uint32_t n, uint32_t aux) {
    uint64_t bits = 0;
    uint32_t answer = hlg_run(it, arguments, n, &bits);
    if (answer != HLG_DONE) return hlg_answer(answer, 0, 0, 0);
    return hlg_answer(HLG_DONE, aux, it->type[n] && it->type[n + 1] ? 1 : 0, bits);
}

/* The arguments of a request for `it`; -1 when their number is wrong. */
static int32_t hlg_arguments(const hl_entry *it, uint64_t *arguments) {
    uint32_t n = *hlg_word(HLG_REQUEST_N);
    if (n != hlg_parameters(it->type) || n > HLG_PARAMETERS) return -1;
    for (uint32_t i = 0; i < n; i++) arguments[i] = hlg_value_in(i)[0];
    return (int32_t)n;
}

static uint32_t hlg_call(const hl_entry *it) {
    uint64_t arguments[HLG_PARAMETERS];
    int32_t n = it ? hlg_arguments(it, arguments) : 0;
    if (!it) return hlg_refuse("no exported function at that position");
    if (n < 0) return hlg_refuse("wrong number of arguments");
    return hlg_finish(it, arguments, (uint32_t)n, 0);
}

static int hlg_inside(uint64_t start, uint64_t end, uint64_t address, uint64_t len) {
    return address >= start && address <= end && len <= end - address;
}

/* Whether bytes may be put there: the heap, and the program's writable segments. */
static int hlg_writable(uint64_t address, uint64_t len) {
    if (hlg_inside(hlg_boot(HLG_BOOT_HEAP), hlg_state.memory_end, address, len)) return 1;
    if (!hlg_elf[0]) return 0;
    uint64_t table;
    uint16_t count;
    __builtin_memcpy(&table, hlg_elf + 32, sizeof table);
    __builtin_memcpy(&count, hlg_elf + 56, sizeof count);
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *header = hlg_elf + table + 56 * (uint64_t)i;
        uint32_t kind, flags;
        uint64_t start, size;
        __builtin_memcpy(&kind, header, sizeof kind);
        __builtin_memcpy(&flags, header + 4, sizeof flags);
        __builtin_memcpy(&start, header + 16, sizeof start);
        __builtin_memcpy(&size, header + 40, sizeof size);
        if (kind == 1 && (flags & 2) && hlg_inside(start, start + size, address, len)) return 1;
    }
    return 0;
}

/* A call with a byte vector: room from the allocator, the bytes, the call, in one exchange. */
static uint32_t hlg_call_bytes(const hl_entry *it) {
    uint64_t arguments[HLG_PARAMETERS];
    int32_t n = it ? hlg_arguments(it, arguments) : 0;
    if (!it) return hlg_refuse("no exported function at that position");
    uint32_t allocator = *hlg_word(HLG_VECTOR_ALLOC), n_alloc = *hlg_word(HLG_VECTOR_N_ALLOC);
    uint32_t at = *hlg_word(HLG_VECTOR_AT), len = *hlg_word(HLG_VECTOR_LEN);
    if (n < 2 || at > (uint32_t)n - 2 || len > HLG_VECTOR_BYTES || n_alloc > HLG_VECTOR_MAX_ALLOC_ARGS)
        return hlg_refuse("wrong number of arguments");
    uint64_t address = *hlg_wide(HLG_VECTOR_SCRATCH);
    if (allocator != (uint32_t)HLG_NO_ALLOCATOR) {
        const hl_entry *alloc = hlg_export(allocator);
        uint64_t wanted[HLG_VECTOR_MAX_ALLOC_ARGS], given = 0;
        if (!alloc || hlg_parameters(alloc->type) != n_alloc || !alloc->type[n_alloc] || !alloc->type[n_alloc + 1])
            return hlg_refuse("no allocator at that position");
        for (uint32_t i = 0; i < n_alloc; i++) wanted[i] = *hlg_wide(HLG_VECTOR_ALLOC_ARGS + 8 * (uint64_t)i);
        uint32_t answer = hlg_run(alloc, wanted, n_alloc, &given);
        if (answer != HLG_DONE) return hlg_answer(answer, 0, 0, 0);
        address = (uint32_t)given;
    }
    if (len && !hlg_writable(address, len)) return hlg_answer(HLG_NO_ROOM, 0, 1, address);
    hlg_memcpy((void *)(uintptr_t)address, (const void *)(uintptr_t)(HLG_MAILBOX + HLG_VECTOR_DATA), len);
    arguments[at] = address;
    arguments[at + 1] = len;
    return hlg_finish(it, arguments, (uint32_t)n, (uint32_t)address);
}

/* Serves a request that may come at any time: while idle, or while a host function runs. The answer word. */
static uint32_t hlg_serve(uint32_t op) {
    uint32_t index = *hlg_word(HLG_REQUEST_INDEX);
    switch (op) {
    case HLG_OP_CALL: return hlg_call(hlg_export(index));
    case HLG_OP_BYTES: return hlg_call_bytes(hlg_export(index));
    case HLG_OP_MEMORY:
        if (index != (uint64_t)(hlg_exports_end - hlg_exports)) return hlg_refuse("no exported memory at that position");
        hlg_value_out(0)[0] = 0;
        hlg_value_out(0)[1] = hlg_state.memory_end;
        hlg_header(0, 1);
        return HLG_DONE;
    case HLG_OP_NOP: return hlg_answer(HLG_DONE, 0, 0, 0);
    default: return hlg_refuse("a native guest does not know this request");
    }
}

void hl_host_call(const hl_entry *import, uint64_t *values, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (import->type[i] == 'p') hlg_address(values[i], "a pointer for a host function is above 4 GiB");
        hlg_value_out(i)[0] = values[i];
        hlg_value_out(i)[1] = 0;
    }
    hlg_header((uint32_t)(import - hlg_imports), count);
    uint32_t answer = HLG_HOSTCALL;
    for (;;) {
        uint32_t op = hlg_exchange(answer);
        if (op == HLG_OP_RESUME) break;
        if (op == HLG_OP_FAIL) {
            if (hlg_state.innermost) hlg_unwind(hlg_state.innermost->stack);
            /* While starting: there is no call to end. */
            for (;;) hlg_exchange(hlg_answer(HLG_HOST_FAILED, 0, 0, 0));
        }
        answer = hlg_serve(op);
    }
    char type = import->type[count] ? import->type[count + 1] : 0;
    uint64_t bits = hlg_value_in(0)[0];
    if (type == 'r') {
        values[0] = bits >> 32;
        values[1] = (uint32_t)bits;
    } else if (type) {
        values[0] = hlg_as(type, bits);
    }
}

/* ---- Starting ----------------------------------------------------------------------------------------------- */

void *hlg_alloc(size_t size) {
    uint8_t *at = hlg_state.top;
    if (size > (size_t)(hlg_state.end - at)) return 0;
    size_t taken = (size + 15) & ~(size_t)15;
    hlg_state.top = taken > (size_t)(hlg_state.end - at) ? hlg_state.end : at + taken;
    return at;
}

void *hlg_allocate(uint32_t len) HLG_WEAK("hlfuzz_alloc");
void *hlg_allocate(uint32_t len) {
    if (hlg_state.ended) hlg_state.top = hlg_state.base;
    hlg_state.ended = 0;
    return hlg_alloc(len);
}

void hlg_start(void) {
    uint8_t *heap = (uint8_t *)(uintptr_t)hlg_boot(HLG_BOOT_HEAP);
    uint64_t size = hlg_boot(HLG_BOOT_HEAP_LEN);
    hlg_state.memory_end = (uintptr_t)heap + size;
    hlg_state.top = heap;
    hlg_state.end = heap + size;
    if (hlg_generated_memory) {
        hlg_generated_memory(heap, size);
        hlg_state.end = heap;
    }
    for (void (*const *it)(void) = hlg_constructors; it != hlg_constructors_end; it++) (*it)();
    if (hlg_user_init) hlg_user_init();
    hlg_state.base = hlg_state.top;
    uint32_t answer = hlg_answer(HLG_DONE, 0, 0, 0);
    for (;;) answer = hlg_serve(hlg_exchange(answer));
}

#ifdef __cplusplus
}
#endif
#endif /* HLFUZZ_GUEST_IMPLEMENTATION */
