#ifndef HL_RUNTIME
#define HL_RUNTIME 1
/* What every generated guest interface shares. Needs no libc: these three headers come with the compiler. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a method returns: 0, one of the codes below, or a code of its own from HL_APPLICATION on. */
typedef uint32_t hl_status;
enum {
    HL_OK = 0,
    HL_ERROR = 1,       /* failed, no code of its own */
    HL_INVALID = 2,     /* the bytes do not verify */
    HL_UNKNOWN = 3,     /* not implemented */
    HL_NO_MEMORY = 4,
    HL_APPLICATION = 16 /* first code that an interface may give a meaning */
};

/* Slices: `data` of an optional text or byte vector is NULL when it is absent. They own nothing. */
#ifndef HL_BYTES
#define HL_BYTES 1
typedef struct hl_bytes { const uint8_t *data; uint32_t len; } hl_bytes;
#endif
typedef struct hl_string { const char *data; uint32_t len; } hl_string; /* UTF-8, no zero at its end */
typedef struct hl_string_vec { const hl_string *data; uint32_t len; } hl_string_vec;
typedef struct hl_bytes_vec { const hl_bytes *data; uint32_t len; } hl_bytes_vec;
typedef struct hl_bool_vec { const bool *data; uint32_t len; } hl_bool_vec;
typedef struct hl_i8_vec { const int8_t *data; uint32_t len; } hl_i8_vec;
typedef struct hl_u8_vec { const uint8_t *data; uint32_t len; } hl_u8_vec;
typedef struct hl_i16_vec { const int16_t *data; uint32_t len; } hl_i16_vec;
typedef struct hl_u16_vec { const uint16_t *data; uint32_t len; } hl_u16_vec;
typedef struct hl_i32_vec { const int32_t *data; uint32_t len; } hl_i32_vec;
typedef struct hl_u32_vec { const uint32_t *data; uint32_t len; } hl_u32_vec;
typedef struct hl_i64_vec { const int64_t *data; uint32_t len; } hl_i64_vec;
typedef struct hl_u64_vec { const uint64_t *data; uint32_t len; } hl_u64_vec;
typedef struct hl_f32_vec { const float *data; uint32_t len; } hl_f32_vec;
typedef struct hl_f64_vec { const double *data; uint32_t len; } hl_f64_vec;

/* The slice of a string literal. */
#define HL_TEXT(literal) ((hl_string){("" literal), (uint32_t)(sizeof(literal) - 1)})

/* Why something failed; the text may be empty. */
typedef struct hl_failure { hl_status code; hl_string text; } hl_failure;

/* Memory that is given back as a whole. `failure` says why the last decode or encode in it returned false. */
typedef struct hl_arena {
    uint8_t *start, *top, *end;
    bool grows; /* linear memory may be grown beyond `end` */
    hl_failure failure;
} hl_arena;

void hl_arena_init(hl_arena *arena, void *memory, size_t size);
void hl_arena_reset(hl_arena *arena);
/* `size` bytes, not cleared, aligned to 8; NULL when there is no room. */
void *hl_alloc(hl_arena *arena, size_t size);

/* One call in progress. What is allocated in its arena lasts until the call's result has been read. */
typedef struct hl_call {
    hl_arena *arena;
    hl_status status;
    hl_failure failure;
} hl_call;

/* Sets the text that goes with an error code (it is copied; zero-terminated) and returns the code. */
hl_status hl_fail(hl_call *call, hl_status code, const char *text);
hl_status hl_fail_text(hl_call *call, hl_status code, hl_string text);
/* The last failure in this call: of a host function, or set by hl_fail. */
static inline hl_failure hl_error(const hl_call *call) { return call->failure; }

bool hl_equal(hl_string a, hl_string b);
/* The slice of a zero-terminated text. */
hl_string hl_text(const char *text);

/* The arena of the guest: on Wasm the linear memory from __heap_base on. */
hl_arena *hl_guest_arena(void);
/* Everything that is allocated may be given back at the next hlfuzz_alloc from outside a call. The wrappers of
 * typed exports say so when they return; an export without a wrapper says it after it has made its result. */
void hl_finish(void);

#if defined(__wasm__)
typedef uint64_t hl_result; /* address << 32 | length */
#define HL_EXPORT(name) __attribute__((export_name(name), used))
#define HL_IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define HL_NATIVE_NAME(name)
#else
#define HL_EXPORT(name) __attribute__((used, visibility("default")))
#define HL_IMPORT(module, name)
#define HL_NATIVE_NAME(name) __asm__(name)
/* Native guests: whoever loads the guest gives it memory once. With hlfuzz_guest.h all of this is done. */
void hl_guest_memory(void *memory, size_t size);
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
#endif

#ifndef HL_RETURNED
#define HL_RETURNED 1
/* The result of an export that gives bytes. */
static inline hl_result hl_returned(const void *data, uint32_t len) {
#if defined(__wasm__)
    return (uint64_t)(size_t)data << 32 | len;
#else
    hl_result result = {(const uint8_t *)data, len};
    return result;
#endif
}
#endif

#ifdef __cplusplus
}
#endif
#endif
