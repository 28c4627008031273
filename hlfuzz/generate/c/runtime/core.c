/* ---- Memory -------------------------------------------------------------------------------------------- */

#if defined(__wasm_bulk_memory__) || defined(__wasm_bulk_memory_opt__)
#define HL_MEMORY_COPY 1
#endif

#if !__STDC_HOSTED__ || defined(__wasm__)
/* Compilers call these for copies of structs. They are weak, so that a guest may have its own, and are written
 * in a way that is not recognised as what it is: it would become a call to itself. */
__attribute__((weak)) void *memmove(void *to, const void *from, size_t len);
__attribute__((weak)) void *memcpy(void *to, const void *from, size_t len);
__attribute__((weak)) void *memset(void *to, int value, size_t len);
__attribute__((weak)) int memcmp(const void *a, const void *b, size_t len);

__attribute__((weak)) void *memmove(void *to, const void *from, size_t len) {
#if defined(HL_MEMORY_COPY)
    __builtin_memmove(to, from, len); /* the instruction memory.copy */
#else
    uint8_t *out = to;
    const uint8_t *in = from;
    if ((uintptr_t)out - (uintptr_t)in < len) {
        for (size_t i = len; i > 0; i--) {
            out[i - 1] = in[i - 1];
            __asm__ volatile("" ::: "memory");
        }
    } else {
        memcpy(to, from, len);
    }
#endif
    return to;
}

__attribute__((weak)) void *memcpy(void *to, const void *from, size_t len) {
#if defined(__x86_64__)
    void *out = to;
    __asm__ volatile("rep movsb" : "+D"(out), "+S"(from), "+c"(len) : : "memory");
#elif defined(HL_MEMORY_COPY)
    __builtin_memcpy(to, from, len);
#else
    for (size_t i = 0; i < len; i++) {
        ((uint8_t *)to)[i] = ((const uint8_t *)from)[i];
        __asm__ volatile("" ::: "memory");
    }
#endif
    return to;
}

__attribute__((weak)) void *memset(void *to, int value, size_t len) {
#if defined(__x86_64__)
    void *out = to;
    __asm__ volatile("rep stosb" : "+D"(out), "+c"(len) : "a"(value) : "memory");
#elif defined(HL_MEMORY_COPY)
    __builtin_memset(to, value, len);
#else
    for (size_t i = 0; i < len; i++) {
        ((uint8_t *)to)[i] = (uint8_t)value;
        __asm__ volatile("" ::: "memory");
    }
#endif
    return to;
}

__attribute__((weak)) int memcmp(const void *a, const void *b, size_t len) {
    const uint8_t *x = a, *y = b;
    for (size_t i = 0; i < len; i++) {
        if (x[i] != y[i]) return x[i] < y[i] ? -1 : 1;
        __asm__ volatile("" ::: "memory");
    }
    return 0;
}
#endif

/* Loads and stores of any alignment and type: the compiler makes single instructions of them. */
HL_LOCAL uint16_t hl_u16(const void *p) { uint16_t v; __builtin_memcpy(&v, p, 2); return v; }
HL_LOCAL uint32_t hl_u32(const void *p) { uint32_t v; __builtin_memcpy(&v, p, 4); return v; }
HL_LOCAL uint64_t hl_u64(const void *p) { uint64_t v; __builtin_memcpy(&v, p, 8); return v; }
HL_LOCAL void hl_put16(void *p, uint32_t v) { uint16_t n = (uint16_t)v; __builtin_memcpy(p, &n, 2); }
HL_LOCAL void hl_put32(void *p, uint32_t v) { __builtin_memcpy(p, &v, 4); }
HL_LOCAL void hl_put64(void *p, uint64_t v) { __builtin_memcpy(p, &v, 8); }
HL_LOCAL hl_bytes hl_slice(const void *p) { hl_bytes v; __builtin_memcpy(&v, p, sizeof v); return v; }
HL_LOCAL void hl_put_slice(void *p, const void *data, uint32_t len) {
    hl_bytes v = {data, len};
    __builtin_memcpy(p, &v, sizeof v);
}
HL_LOCAL void *hl_pointer(const void *p) { void *v; __builtin_memcpy(&v, p, sizeof v); return v; }
HL_LOCAL void hl_put_pointer(void *p, const void *v) { __builtin_memcpy(p, &v, sizeof v); }

/* Most copies are short: for those a loop beats a call. */
HL_LOCAL void hl_copy(uint8_t *to, const uint8_t *from, size_t len) {
    if (len > 64) {
        __builtin_memcpy(to, from, len);
        return;
    }
    for (; len >= 8; len -= 8, to += 8, from += 8) hl_put64(to, hl_u64(from));
    if (len & 4) { hl_put32(to, hl_u32(from)); to += 4; from += 4; }
    if (len & 2) { hl_put16(to, hl_u16(from)); to += 2; from += 2; }
    if (len & 1) *to = *from;
}

HL_LOCAL void hl_clear(void *to, size_t len) {
    uint8_t *out = to;
    if (len > 256) {
        __builtin_memset(to, 0, len);
        return;
    }
    for (; len >= 8; len -= 8, out += 8) hl_put64(out, 0);
    for (; len > 0; len--) *out++ = 0;
}

void hl_arena_init(hl_arena *arena, void *memory, size_t size) {
    uintptr_t start = (uintptr_t)memory, aligned = (start + 15) & ~(uintptr_t)15;
    size_t lost = aligned - start;
    hl_clear(arena, sizeof *arena);
    arena->start = arena->top = arena->end = memory;
    if (lost >= size) return;
    arena->start = arena->top = (uint8_t *)memory + lost;
    arena->end = (uint8_t *)memory + size;
}

void hl_arena_reset(hl_arena *arena) { arena->top = arena->start; }

/* Makes room for `len` bytes from `arena->top` on. */
HL_LOCAL bool hl_room(hl_arena *arena, size_t len) {
    if (len <= (size_t)(arena->end - arena->top)) return true;
#if defined(__wasm32__)
    if (arena->grows) {
        size_t missing = len - (size_t)(arena->end - arena->top);
        if (missing > HL_MAX_BYTES) return false;
        size_t pages = (missing + 0xffff) >> 16;
        if (__builtin_wasm_memory_grow(0, pages) == (size_t)-1) return false;
        arena->end = (uint8_t *)(__builtin_wasm_memory_size(0) << 16);
        return true;
    }
#endif
    return false;
}

HL_LOCAL void *hl_alloc_aligned(hl_arena *arena, size_t size, size_t align) {
    size_t skip = (size_t)(-(uintptr_t)arena->top) & (align - 1);
    if (size > HL_MAX_BYTES || !hl_room(arena, size + skip)) return NULL;
    uint8_t *found = arena->top + skip;
    arena->top = found + size;
    return found;
}

void *hl_alloc(hl_arena *arena, size_t size) { return hl_alloc_aligned(arena, size, 8); }

/* ---- Text ---------------------------------------------------------------------------------------------- */

hl_string hl_text(const char *text) {
    hl_string made = {text, 0};
    if (text)
        while (text[made.len] && made.len < HL_MAX_BYTES) made.len++;
    return made;
}

bool hl_equal(hl_string a, hl_string b) {
    if (a.len != b.len) return false;
    for (uint32_t i = 0; i < a.len; i++)
        if (a.data[i] != b.data[i]) return false;
    return true;
}

/* UTF-8 as RFC 3629 has it: no surrogates, no overlong forms, nothing above U+10FFFF. */
HL_LOCAL bool hl_utf8(const uint8_t *data, uint32_t len) {
    uint32_t i = 0;
    while (i < len) {
        while (len - i >= 8 && !(hl_u64(data + i) & 0x8080808080808080u)) i += 8;
        if (i == len) break;
        uint32_t first = data[i];
        if (first < 0x80) {
            i++;
            continue;
        }
        uint32_t more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
        if (first < 0xc2 || first > 0xf4 || len - i <= more) return false;
        uint32_t second = data[i + 1];
        uint32_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
        uint32_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
        if (second < low || second > high) return false;
        for (uint32_t k = 2; k <= more; k++)
            if ((data[i + k] & 0xc0) != 0x80) return false;
        i += more + 1;
    }
    return true;
}

/* A text that is put together in an arena, piece by piece. */
HL_COLD void hl_append(hl_arena *arena, hl_string *text, hl_string more) {
    if (!hl_room(arena, more.len)) return;
    if (!text->data) text->data = (const char *)arena->top;
    hl_copy(arena->top, (const uint8_t *)more.data, more.len);
    arena->top += more.len;
    text->len += more.len;
}

HL_COLD void hl_append_number(hl_arena *arena, hl_string *text, uint32_t number) {
    char digits[10];
    uint32_t at = sizeof digits;
    do digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    hl_string more = {digits + at, (uint32_t)sizeof digits - at};
    hl_append(arena, text, more);
}
