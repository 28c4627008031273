/* ---- Saying what is wrong ------------------------------------------------------------------------------- */

HL_COLD void hl_append_name(hl_arena *arena, hl_string *text, uint32_t name) {
    hl_append(arena, text, hl_text(hl_texts + name));
}

/* Notes "net.Request.name: too long (byte 40)" as the arena's failure; without `at` HL_NONE. Always false. */
HL_COLD bool hl_refuse(hl_arena *arena, const char *why, uint32_t record, const hl_field_info *field, uint32_t at) {
    hl_string text = {NULL, 0};
    arena->failure.code = HL_INVALID;
    hl_append_name(arena, &text, hl_records[record].name);
    if (field) {
        hl_append(arena, &text, hl_text("."));
        hl_append_name(arena, &text, field->name);
    }
    hl_append(arena, &text, hl_text(": "));
    hl_append(arena, &text, hl_text(why));
    if (at != HL_NONE) {
        hl_append(arena, &text, hl_text(" (byte "));
        hl_append_number(arena, &text, at);
        hl_append(arena, &text, hl_text(")"));
    }
    arena->failure.text = text;
    return false;
}

HL_COLD bool hl_no_memory(hl_arena *arena) {
    arena->failure.code = HL_NO_MEMORY;
    arena->failure.text = hl_text("out of guest memory");
    return false;
}

/* ---- Values in C structs -------------------------------------------------------------------------------- */

/* Width of a number in bytes, on the wire and in C. */
HL_LOCAL uint32_t hl_width(uint32_t kind) {
    static const uint8_t widths[] = {1, 1, 1, 2, 2, 4, 4, 8, 8, 4, 8};
    return widths[kind];
}

HL_LOCAL bool hl_is_number(uint32_t kind) { return kind <= HL_KIND_F64; }

/* The bits of a number, signed ones extended. */
HL_LOCAL uint64_t hl_load(uint32_t kind, const void *p) {
    switch (kind) {
    case HL_KIND_BOOL:
    case HL_KIND_U8: return *(const uint8_t *)p;
    case HL_KIND_I8: return (uint64_t)(int64_t)(int8_t)*(const uint8_t *)p;
    case HL_KIND_U16: return hl_u16(p);
    case HL_KIND_I16: return (uint64_t)(int64_t)(int16_t)hl_u16(p);
    case HL_KIND_U32:
    case HL_KIND_F32: return hl_u32(p);
    case HL_KIND_I32: return (uint64_t)(int64_t)(int32_t)hl_u32(p);
    default: return hl_u64(p);
    }
}

HL_LOCAL void hl_store(uint32_t kind, void *p, uint64_t bits) {
    switch (hl_width(kind)) {
    case 1: *(uint8_t *)p = (uint8_t)bits; break;
    case 2: hl_put16(p, (uint16_t)bits); break;
    case 4: hl_put32(p, (uint32_t)bits); break;
    default: hl_put64(p, bits);
    }
}

HL_LOCAL bool hl_is_member(uint32_t ref, uint64_t bits) {
    const hl_enum_info *e = &hl_enums[ref];
    if (e->mask) return (bits & ~e->mask) == 0;
    if (!e->count) return bits - e->low <= e->span;
    uint32_t low = 0, high = e->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        uint64_t member = hl_members[e->first + middle];
        if (member == bits) return true;
        if (member < bits) low = middle + 1;
        else high = middle;
    }
    return false;
}

HL_LOCAL uint32_t hl_union_tag(const void *value) { return hl_u32(value); }

HL_LOCAL const hl_variant_info *hl_find_variant(uint32_t ref, uint32_t tag) {
    const hl_union_info *u = &hl_unions[ref];
    uint32_t low = 0, high = u->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const hl_variant_info *v = &hl_variants[u->first + middle];
        if (v->tag == tag) return v;
        if (v->tag < tag) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

/* Size in C of one element of a vector or array. */
HL_LOCAL uint32_t hl_stride(uint32_t kind, uint32_t ref) {
    if (hl_is_number(kind)) return hl_width(kind);
    if (kind == HL_KIND_RECORD || kind == HL_KIND_STRUCT) return hl_records[ref].size;
    return kind == HL_KIND_UNION ? hl_unions[ref].size : (uint32_t)sizeof(hl_bytes);
}

/* A cleared C struct with its defaults. */
HL_LOCAL void hl_preset(uint32_t record, void *value) {
    const hl_record_info *r = &hl_records[record];
    hl_clear(value, r->size);
    if (!r->presets) return;
    for (uint32_t i = 0; i < r->count; i++) {
        const hl_field_info *f = &hl_fields[r->first + i];
        uint8_t *at = (uint8_t *)value + f->at;
        if (!f->preset) continue;
        if (hl_is_number(f->kind)) hl_store(f->kind, at, f->preset);
        else hl_put_slice(at, hl_texts + (f->preset >> 32), (uint32_t)f->preset);
    }
}

/* An array of `count` elements, not cleared. */
HL_LOCAL uint8_t *hl_array(hl_arena *arena, uint32_t count, uint32_t stride) {
    uint64_t size = (uint64_t)count * stride;
    uint8_t *made = size > HL_MAX_BYTES ? NULL : hl_alloc(arena, (size_t)size);
    if (!made) hl_no_memory(arena);
    return made;
}
