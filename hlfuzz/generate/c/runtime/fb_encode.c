/* ---- FlatBuffers: to the wire --------------------------------------------------------------------------- */

/* Writes from front to back: a table, then what it points to. Positions count from `base`. */
typedef struct fb_writer {
    hl_arena *arena;
    uint8_t *base;
    uint32_t len, known;
    uint32_t vtables[8]; /* the last ones, so that tables alike share one */
} fb_writer;

static uint32_t fb_put_table(fb_writer *w, uint32_t record, const uint8_t *value, uint32_t depth);

/* Appends `len` bytes, after padding such that `ahead` bytes further on is aligned; 0 when there is no room.
 * The padding is cleared, the bytes are not. */
HL_LOCAL uint32_t fb_grow(fb_writer *w, uint32_t len, uint32_t align, uint32_t ahead) {
    uint32_t padding = (0 - (w->len + ahead)) & (align - 1);
    uint64_t end = (uint64_t)w->len + padding + len;
    if (end > HL_MAX_BYTES || !hl_room(w->arena, (size_t)end)) {
        hl_no_memory(w->arena);
        return 0;
    }
    for (uint32_t i = 0; i < padding; i++) w->base[w->len + i] = 0;
    uint32_t at = w->len + padding;
    w->len = (uint32_t)end;
    return at;
}

/* Text and byte vectors; `align` is that of the bytes. */
HL_LOCAL uint32_t fb_put_bytes(fb_writer *w, hl_bytes bytes, uint32_t zeros, uint32_t align) {
    uint32_t at = bytes.len > HL_MAX_BYTES - 8 ? (hl_no_memory(w->arena), 0u)
                                               : fb_grow(w, bytes.len + 4 + zeros, align < 4 ? 4 : align, 4);
    if (!at) return 0;
    hl_put32(w->base + at, bytes.len);
    hl_copy(w->base + at + 4, bytes.data, bytes.len);
    if (zeros) w->base[at + 4 + bytes.len] = 0;
    return at;
}

static void fb_put_struct(uint8_t *to, uint32_t record, const uint8_t *value) {
    const hl_record_info *info = &hl_records[record];
    if (info->plain) {
        hl_copy(to, value, info->size);
        return;
    }
    hl_clear(to, info->wire_size);
    for (uint32_t i = 0; i < info->count; i++) {
        const hl_field_info *f = &hl_fields[info->first + i];
        uint32_t count = f->shape == HL_ARRAY ? f->count : 1;
        uint32_t width = f->kind == HL_KIND_STRUCT ? hl_records[f->ref].wire_size : hl_width(f->kind);
        uint32_t stride = hl_stride(f->kind, f->ref);
        for (uint32_t k = 0; k < count; k++) {
            uint8_t *target = to + f->wire + (size_t)k * width;
            const uint8_t *source = value + f->at + (size_t)k * stride;
            if (f->kind == HL_KIND_STRUCT) fb_put_struct(target, f->ref, source);
            else hl_store(f->kind, target, hl_load(f->kind, source));
        }
    }
}

/* Writes text, table or struct at the end and the offset to it at `at`. `value` is where the C pointer or slice
 * is, or with `inlined` the C struct itself. */
HL_LOCAL bool fb_put_pointee(fb_writer *w, uint32_t kind, uint32_t ref, uint32_t at, const uint8_t *value, bool inlined, uint32_t depth) {
    uint32_t target;
    if (kind == HL_KIND_STRING) {
        target = fb_put_bytes(w, hl_slice(value), 1, 4);
    } else {
        const uint8_t *pointee = inlined ? value : hl_pointer(value);
        if (!pointee) return hl_refuse(w->arena, "a union's value is NULL", ref, NULL, HL_NONE);
        if (kind == HL_KIND_RECORD) {
            target = fb_put_table(w, ref, pointee, depth + 1);
        } else {
            target = fb_grow(w, hl_records[ref].wire_size, hl_records[ref].align, 0);
            if (target) fb_put_struct(w->base + target, ref, pointee);
        }
    }
    if (target) hl_put32(w->base + at, target - at);
    return target != 0;
}

HL_LOCAL bool fb_put_union(fb_writer *w, uint32_t record, const hl_field_info *f, uint32_t at, const uint8_t *value, uint32_t depth) {
    const hl_variant_info *v = hl_find_variant(f->ref, hl_union_tag(value));
    if (!v) return hl_refuse(w->arena, "no variant of its union", record, f, HL_NONE);
    return fb_put_pointee(w, v->kind, v->ref, at, value + hl_unions[f->ref].at, false, depth);
}

/* The tags of a vector of unions. */
HL_LOCAL uint32_t fb_put_tags(fb_writer *w, const hl_field_info *f, hl_bytes slice) {
    uint32_t at = slice.len > HL_MAX_BYTES - 8 ? (hl_no_memory(w->arena), 0u) : fb_grow(w, slice.len + 4, 4, 0);
    if (!at) return 0;
    hl_put32(w->base + at, slice.len);
    for (uint32_t i = 0; i < slice.len; i++)
        w->base[at + 4 + i] = (uint8_t)hl_union_tag(slice.data + (size_t)i * hl_unions[f->ref].size);
    return at;
}

HL_LOCAL uint32_t fb_put_vector(fb_writer *w, uint32_t record, const hl_field_info *f, hl_bytes slice, uint32_t depth) {
    if (f->kind == HL_KIND_TAG) return fb_put_tags(w, f, slice);
    uint32_t stride = hl_stride(f->kind, f->ref);
    if (hl_is_number(f->kind) || f->kind == HL_KIND_STRUCT) {
        bool number = hl_is_number(f->kind);
        uint32_t width = number ? hl_width(f->kind) : hl_records[f->ref].wire_size;
        uint32_t align = f->flags & HL_NESTED ? 16 : number ? width : hl_records[f->ref].align;
        uint64_t size = (uint64_t)slice.len * width + 4;
        uint32_t at = size > HL_MAX_BYTES ? (hl_no_memory(w->arena), 0u)
                                          : fb_grow(w, (uint32_t)size, align < 4 ? 4 : align, 4);
        if (!at) return 0;
        hl_put32(w->base + at, slice.len);
        if (number || hl_records[f->ref].plain) {
            hl_copy(w->base + at + 4, slice.data, (size_t)size - 4);
        } else {
            for (uint32_t i = 0; i < slice.len; i++)
                fb_put_struct(w->base + at + 4 + (size_t)i * width, f->ref, slice.data + (size_t)i * stride);
        }
        return at;
    }
    uint64_t size = (uint64_t)slice.len * 4 + 4;
    uint32_t at = size > HL_MAX_BYTES ? (hl_no_memory(w->arena), 0u) : fb_grow(w, (uint32_t)size, 4, 0);
    if (!at) return 0;
    hl_put32(w->base + at, slice.len);
    for (uint32_t i = 0; i < slice.len; i++) {
        const uint8_t *value = slice.data + (size_t)i * stride;
        uint32_t slot = at + 4 + i * 4;
        bool put;
        if (f->kind != HL_KIND_UNION) put = fb_put_pointee(w, f->kind, f->ref, slot, value, true, depth);
        else if (hl_union_tag(value)) put = fb_put_union(w, record, f, slot, value, depth);
        else {
            hl_put32(w->base + slot, 0);
            put = true;
        }
        if (!put) return 0;
    }
    return at;
}

/* Whether a field is written. */
HL_LOCAL bool fb_present(const hl_field_info *f, const uint8_t *value) {
    const uint8_t *at = value + f->at;
    if (f->presence == HL_REQUIRED) return true;
    if (f->shape == HL_VECTOR) return hl_slice(at).len != 0;
    if (f->has != HL_NONE) return value[f->has] != 0;
    if (hl_is_number(f->kind)) return hl_load(f->kind, at) != f->preset;
    if (f->kind == HL_KIND_STRING) return hl_slice(at).data != NULL;
    if (f->kind == HL_KIND_RECORD) return hl_pointer(at) != NULL;
    return f->kind == HL_KIND_STRUCT || hl_union_tag(at) != 0;
}

/* What makes a value impossible to write: required and absent, or NULL with a length. */
HL_LOCAL const char *fb_fault(const hl_field_info *f, const uint8_t *at) {
    if (f->shape == HL_VECTOR) {
        hl_bytes slice = hl_slice(at);
        return slice.len && !slice.data ? "NULL with a length" : NULL;
    }
    if (f->kind == HL_KIND_STRING) return hl_slice(at).data ? NULL : "required, and absent";
    if (f->kind == HL_KIND_RECORD) return hl_pointer(at) ? NULL : "required, and absent";
    if (f->kind == HL_KIND_UNION) return hl_union_tag(at) ? NULL : "required, and absent";
    return NULL;
}

/* Shares the vtable at `at`, the last thing written, with one alike if there is one. */
HL_LOCAL uint32_t fb_share_vtable(fb_writer *w, uint32_t at, uint32_t before) {
    uint32_t size = hl_u16(w->base + at), kept = w->known < 8 ? w->known : 8;
    for (uint32_t i = 0; i < kept; i++) {
        const uint8_t *old = w->base + w->vtables[i], *made = w->base + at;
        uint32_t k = 0;
        while (k < size && hl_u16(old + k) == hl_u16(made + k)) k += 2;
        if (k < size) continue;
        w->len = before;
        return w->vtables[i];
    }
    w->vtables[w->known++ % 8] = at;
    return at;
}

/* Lays out the table: which fields, and where. The fields come in order of falling alignment, so that there is
 * no gap between them. */
HL_LOCAL uint32_t fb_put_vtable(fb_writer *w, uint32_t record, const uint8_t *value, uint32_t *size, uint32_t *align) {
    const hl_record_info *info = &hl_records[record];
    uint32_t before = w->len, slots = 0, at = fb_grow(w, 4 + 2 * info->slots, 2, 0);
    if (!at) return 0;
    uint8_t *vtable = w->base + at;
    hl_clear(vtable, 4 + 2 * info->slots);
    *size = *align = 4;
    for (uint32_t i = 0; i < info->count; i++) {
        const hl_field_info *f = &hl_fields[info->first + i];
        uint32_t own;
        if (!fb_present(f, value)) continue;
        const char *fault = fb_fault(f, value + f->at);
        if (fault) return hl_refuse(w->arena, fault, record, f, HL_NONE);
        uint32_t width = fb_inline_size(f, &own);
        if (*size + width > 0xffff) return hl_refuse(w->arena, "the table is too large", record, f, HL_NONE);
        if (own > *align) *align = own;
        hl_put16(vtable + 4 + 2 * f->id, *size);
        *size += width;
        if (f->id >= slots) slots = f->id + 1;
    }
    hl_put16(vtable, 4 + 2 * slots);
    hl_put16(vtable + 2, *size);
    w->len = at + 4 + 2 * slots;
    return fb_share_vtable(w, at, before);
}

HL_LOCAL bool fb_put_field(fb_writer *w, uint32_t record, const hl_field_info *f, uint32_t at, const uint8_t *value, uint32_t depth) {
    if (f->shape == HL_VECTOR) {
        uint32_t target = fb_put_vector(w, record, f, hl_slice(value), depth);
        if (target) hl_put32(w->base + at, target - at);
        return target != 0;
    }
    if (hl_is_number(f->kind)) hl_store(f->kind, w->base + at, hl_load(f->kind, value));
    else if (f->kind == HL_KIND_TAG) w->base[at] = (uint8_t)hl_union_tag(value);
    else if (f->kind == HL_KIND_STRUCT) fb_put_struct(w->base + at, f->ref, value);
    else if (f->kind == HL_KIND_UNION) return fb_put_union(w, record, f, at, value, depth);
    else return fb_put_pointee(w, f->kind, f->ref, at, value, false, depth);
    return true;
}

static uint32_t fb_put_table(fb_writer *w, uint32_t record, const uint8_t *value, uint32_t depth) {
    const hl_record_info *info = &hl_records[record];
    uint32_t size, align;
    if (depth > HL_MAX_DEPTH) return hl_refuse(w->arena, "too deep", record, NULL, HL_NONE);
    uint32_t vtable = fb_put_vtable(w, record, value, &size, &align);
    if (!vtable) return 0;
    uint32_t at = fb_grow(w, size, align, 4);
    if (!at) return 0;
    hl_put32(w->base + at, at - vtable);
    uint32_t slots = (hl_u16(w->base + vtable) - 4u) / 2;
    for (uint32_t i = 0; i < info->count; i++) {
        const hl_field_info *f = &hl_fields[info->first + i];
        uint32_t place = f->id < slots ? hl_u16(w->base + vtable + 4 + 2 * f->id) : 0;
        if (place && !fb_put_field(w, record, f, at + place, value + f->at, depth)) return 0;
    }
    return at;
}

/* Encodes a record to the end of the arena. */
HL_LOCAL bool hl_encode(hl_arena *arena, uint32_t record, const void *value, hl_bytes *out) {
    *out = (hl_bytes){NULL, 0};
    uint8_t *base = hl_alloc_aligned(arena, 0, 16);
    if (!base) return hl_no_memory(arena);
    fb_writer w = {.arena = arena, .base = base};
    bool identified = record == HL_ROOT && HL_HAS_IDENTIFIER;
    if (!hl_room(arena, 8)) return hl_no_memory(arena);
    w.len = identified ? 8 : 4;
    if (identified) hl_put32(base + 4, HL_IDENTIFIER);
    uint32_t root = fb_put_table(&w, record, value, 1);
    if (!root) return false;
    hl_put32(base, root);
    arena->top = base + w.len;
    *out = (hl_bytes){base, w.len};
    return true;
}
