/* ---- FlatBuffers: from the wire ------------------------------------------------------------------------- */

/* Verifies while it reads. Positions count from `base`; `record` and `field` are for messages. */
typedef struct fb_reader {
    hl_arena *arena;
    const uint8_t *base;
    uint32_t len, tables, record;
    const hl_field_info *field;
    uint64_t visits; /* bytes that may still be visited: what is shared must not read out to much more */
} fb_reader;

/* A table: its place and size, its vtable and that one's size. */
typedef struct fb_place { uint32_t at, size, vtable, slots; } fb_place;

static bool fb_table(fb_reader *r, uint32_t at, uint32_t record, uint8_t *out, uint32_t depth);

HL_COLD bool fb_refuse(fb_reader *r, const char *why, uint32_t at) {
    return hl_refuse(r->arena, why, r->record, r->field, at);
}

/* Whether `size` bytes at `at` exist and are aligned. */
HL_LOCAL bool fb_inside(fb_reader *r, uint32_t at, uint32_t size, uint32_t align) {
    if (at & (align - 1)) return fb_refuse(r, "not aligned", at);
    return (at <= r->len && size <= r->len - at) || fb_refuse(r, "out of bounds", at);
}

HL_LOCAL bool fb_visit(fb_reader *r, uint32_t at, uint64_t bytes) {
    if (bytes > r->visits) return fb_refuse(r, "shared too often", at);
    r->visits -= bytes;
    return true;
}

/* Follows the offset at `at`, where there are 4 bytes; 0 when it leads nowhere. */
HL_LOCAL uint32_t fb_follow(fb_reader *r, uint32_t at) {
    uint32_t offset = hl_u32(r->base + at);
    if (offset == 0 || offset >= r->len - at) {
        fb_refuse(r, "offset out of bounds", at);
        return 0;
    }
    return at + offset;
}

/* The elements of the vector at `at` begin 4 bytes further on. */
HL_LOCAL bool fb_length(fb_reader *r, uint32_t at, uint32_t width, uint32_t *count) {
    if (!fb_inside(r, at, 4, 4)) return false;
    *count = hl_u32(r->base + at);
    if (*count > (r->len - at - 4) / width) return fb_refuse(r, "length out of bounds", at);
    return fb_visit(r, at, (uint64_t)*count * width + 4);
}

HL_LOCAL bool fb_string(fb_reader *r, uint32_t at, void *out) {
    uint32_t len;
    if (!fb_length(r, at, 1, &len)) return false;
    const uint8_t *data = r->base + at + 4;
    if (len == r->len - at - 4 || data[len] != 0) return fb_refuse(r, "text without terminator", at);
    if (!hl_utf8(data, len)) return fb_refuse(r, "not UTF-8", at + 4);
    hl_put_slice(out, data, len);
    return true;
}

/* A number of either side; closed enums are checked, booleans made 0 or 1. */
HL_LOCAL bool fb_number(fb_reader *r, uint32_t kind, uint32_t ref, uint32_t at, uint8_t *out) {
    uint64_t bits = hl_load(kind, r->base + at);
    if (kind == HL_KIND_BOOL) bits = bits != 0;
    if (ref != HL_NONE && !hl_is_member(ref, bits)) return fb_refuse(r, "no member of its enum", at);
    hl_store(kind, out, bits);
    return true;
}

/* The struct at `at`, whose bytes exist. Structs nest no deeper than the schema says. */
static bool fb_struct(fb_reader *r, uint32_t record, uint32_t at, uint8_t *out) {
    const hl_record_info *info = &hl_records[record];
    if (info->plain) {
        hl_copy(out, r->base + at, info->size);
        return true;
    }
    hl_clear(out, info->size);
    for (uint32_t i = 0; i < info->count; i++) {
        const hl_field_info *f = &hl_fields[info->first + i];
        uint32_t count = f->shape == HL_ARRAY ? f->count : 1;
        uint32_t width = f->kind == HL_KIND_STRUCT ? hl_records[f->ref].wire_size : hl_width(f->kind);
        uint32_t stride = hl_stride(f->kind, f->ref), from = at + f->wire;
        uint8_t *to = out + f->at;
        for (uint32_t k = 0; k < count; k++, from += width, to += stride) {
            bool read = f->kind == HL_KIND_STRUCT ? fb_struct(r, f->ref, from, to)
                                                  : fb_number(r, f->kind, f->ref, from, to);
            if (!read) return false;
        }
    }
    return true;
}

/* A value by itself: what the offset or the inline bytes at `at` stand for. */
HL_LOCAL bool fb_pointee(fb_reader *r, uint32_t kind, uint32_t ref, uint32_t at, uint8_t *out, uint32_t depth) {
    uint32_t target = fb_follow(r, at);
    if (!target) return false;
    if (kind == HL_KIND_STRING) return fb_string(r, target, out);
    const hl_record_info *info = &hl_records[ref];
    uint8_t *made = hl_array(r->arena, 1, info->size);
    if (!made) return false;
    hl_put_pointer(out, made);
    if (kind == HL_KIND_RECORD) return fb_table(r, target, ref, made, depth + 1);
    return fb_inside(r, target, info->wire_size, info->align) && fb_visit(r, target, info->wire_size) &&
           fb_struct(r, ref, target, made);
}

HL_LOCAL bool fb_union(fb_reader *r, uint32_t ref, uint32_t tag, uint32_t at, uint8_t *out, uint32_t depth) {
    const hl_variant_info *v = hl_find_variant(ref, tag);
    if (!v) return fb_refuse(r, "no variant of its union", at);
    hl_put32(out, tag);
    return fb_pointee(r, v->kind, v->ref, at, out + hl_unions[ref].at, depth);
}

/* A vector of numbers or structs: in place where the C array would be the same bytes. */
HL_LOCAL bool fb_inline_vector(fb_reader *r, const hl_field_info *f, uint32_t at, uint32_t count, void *out) {
    bool number = hl_is_number(f->kind);
    uint32_t width = number ? hl_width(f->kind) : hl_records[f->ref].wire_size;
    uint32_t align = number ? width : hl_records[f->ref].align;
    bool same = number ? true : hl_records[f->ref].plain != 0;
    const uint8_t *data = r->base + at;
    if (count && (at & (align - 1))) return fb_refuse(r, "elements not aligned", at);
    if (number && f->ref != HL_NONE)
        for (uint32_t i = 0; i < count; i++)
            if (!hl_is_member(f->ref, hl_load(f->kind, data + (size_t)i * width)))
                return fb_refuse(r, "no member of its enum", at + i * width);
    if (f->kind == HL_KIND_BOOL)
        for (uint32_t i = 0; i < count; i++) same = same && data[i] <= 1;
    uintptr_t misaligned = (uintptr_t)data & ((align < 8 ? align : 8) - 1);
    if (same && !misaligned) {
        hl_put_slice(out, data, count);
        return true;
    }
    uint32_t stride = hl_stride(f->kind, f->ref);
    uint8_t *made = hl_array(r->arena, count, stride);
    if (!made) return false;
    hl_put_slice(out, made, count);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *to = made + (size_t)i * stride;
        bool read = number ? fb_number(r, f->kind, HL_NONE, at + i * width, to)
                           : fb_struct(r, f->ref, at + i * width, to);
        if (!read) return false;
    }
    return true;
}

HL_LOCAL bool fb_union_vector(fb_reader *r, const hl_field_info *f, uint32_t tags, uint32_t at, uint8_t *out, uint32_t depth) {
    uint32_t count, values, size = hl_unions[f->ref].size;
    if (!fb_length(r, tags, 1, &count) || !fb_length(r, at, 4, &values)) return false;
    if (count != values) return fb_refuse(r, "as many tags as values are needed", at);
    uint8_t *made = hl_array(r->arena, count, size);
    if (!made) return false;
    hl_put_slice(out, made, count);
    for (uint32_t i = 0; i < count; i++, made += size) {
        uint32_t tag = r->base[tags + 4 + i];
        hl_clear(made, size);
        if (tag != 0 && !fb_union(r, f->ref, tag, at + 4 + i * 4, made, depth)) return false;
    }
    return true;
}

HL_LOCAL bool fb_vector(fb_reader *r, const hl_field_info *f, uint32_t at, uint8_t *out, uint32_t depth) {
    bool offsets = f->kind == HL_KIND_STRING || f->kind == HL_KIND_RECORD;
    uint32_t width = offsets ? 4 : f->kind == HL_KIND_STRUCT ? hl_records[f->ref].wire_size : hl_width(f->kind);
    uint32_t count, stride = hl_stride(f->kind, f->ref);
    if (!fb_length(r, at, width, &count)) return false;
    if (!offsets) return fb_inline_vector(r, f, at + 4, count, out);
    uint8_t *made = hl_array(r->arena, count, stride);
    if (!made) return false;
    hl_put_slice(out, made, count);
    for (uint32_t i = 0; i < count; i++, made += stride) {
        uint32_t target = fb_follow(r, at + 4 + i * 4);
        if (!target) return false;
        bool read = f->kind == HL_KIND_STRING ? fb_string(r, target, made) : fb_table(r, target, f->ref, made, depth + 1);
        if (!read) return false;
    }
    return true;
}

/* Place of the value of vtable slot `id`; 0 when it is absent. False when it is not in the table. */
HL_LOCAL bool fb_slot(fb_reader *r, const fb_place *t, uint32_t id, uint32_t size, uint32_t align, uint32_t *value) {
    uint32_t slot = 4 + id * 2;
    uint32_t offset = slot + 2 <= t->slots ? hl_u16(r->base + t->vtable + slot) : 0;
    *value = 0;
    if (!offset) return true;
    if (offset < 4 || offset + size > t->size) return fb_refuse(r, "out of its table", t->vtable + slot);
    *value = t->at + offset;
    return !(*value & (align - 1)) || fb_refuse(r, "not aligned", *value);
}

HL_LOCAL bool fb_union_field(fb_reader *r, const hl_field_info *f, const fb_place *t, uint8_t *out, uint32_t depth) {
    bool vector = f->shape == HL_VECTOR;
    uint32_t width = vector ? 4 : 1, tag_at, at;
    if (!fb_slot(r, t, f->id - 1, width, width, &tag_at) || !fb_slot(r, t, f->id, 4, 4, &at)) return false;
    if (!at && f->presence == HL_REQUIRED) return fb_refuse(r, "required, and absent", t->at);
    if (vector) {
        if (!tag_at && !at) return true;
        if (!tag_at || !at) return fb_refuse(r, "tags need values, values tags", t->at);
        uint32_t tags = fb_follow(r, tag_at), values = tags ? fb_follow(r, at) : 0;
        return values && fb_union_vector(r, f, tags, values, out, depth);
    }
    uint32_t tag = tag_at ? r->base[tag_at] : 0;
    if (!tag && !at) return true;
    if (!tag || !at) return fb_refuse(r, "a tag needs a value, a value a tag", tag_at ? tag_at : at);
    return fb_union(r, f->ref, tag, at, out, depth);
}

HL_LOCAL uint32_t fb_inline_size(const hl_field_info *f, uint32_t *align) {
    uint32_t size = 4;
    *align = 4;
    if (f->shape == HL_SINGLE && f->kind == HL_KIND_STRUCT) {
        *align = hl_records[f->ref].align;
        size = hl_records[f->ref].wire_size;
    } else if (f->shape == HL_SINGLE && (hl_is_number(f->kind) || f->kind == HL_KIND_TAG)) {
        *align = size = f->kind == HL_KIND_TAG ? 1 : hl_width(f->kind);
    }
    return size;
}

HL_LOCAL bool fb_field(fb_reader *r, const hl_field_info *f, uint32_t at, uint8_t *out, uint32_t depth) {
    if (f->shape == HL_VECTOR) {
        uint32_t target = fb_follow(r, at);
        return target && fb_vector(r, f, target, out, depth);
    }
    if (hl_is_number(f->kind)) return fb_number(r, f->kind, f->ref, at, out);
    if (f->kind == HL_KIND_STRUCT) return fb_struct(r, f->ref, at, out);
    return fb_pointee(r, f->kind, f->ref, at, out, depth);
}

HL_LOCAL bool fb_locate(fb_reader *r, uint32_t at, fb_place *t) {
    if (!fb_inside(r, at, 4, 4)) return false;
    int64_t vtable = (int64_t)at - (int32_t)hl_u32(r->base + at);
    if (vtable < 0 || vtable > (int64_t)r->len - 4 || (vtable & 1)) return fb_refuse(r, "no vtable", at);
    t->at = at;
    t->vtable = (uint32_t)vtable;
    t->slots = hl_u16(r->base + t->vtable);
    t->size = hl_u16(r->base + t->vtable + 2);
    if (t->slots < 4 || (t->slots & 1) || t->slots > r->len - t->vtable) return fb_refuse(r, "malformed vtable", t->vtable);
    if (t->size < 4 || t->size > r->len - at) return fb_refuse(r, "table out of bounds", t->vtable + 2);
    return fb_visit(r, at, t->size);
}

static bool fb_table(fb_reader *r, uint32_t at, uint32_t record, uint8_t *out, uint32_t depth) {
    const hl_record_info *info = &hl_records[record];
    const hl_field_info *outer_field = r->field;
    uint32_t outer = r->record;
    fb_place t;
    if (depth > HL_MAX_DEPTH) return fb_refuse(r, "too deep", at);
    if (r->tables-- == 0) return fb_refuse(r, "too many tables", at);
    r->record = record;
    r->field = NULL;
    if (!fb_locate(r, at, &t)) return false;
    hl_preset(record, out);
    for (uint32_t i = 0; i < info->count; i++) {
        const hl_field_info *f = &hl_fields[info->first + i];
        uint8_t *to = out + f->at;
        if (f->kind == HL_KIND_TAG) continue;
        r->field = f;
        if (f->kind == HL_KIND_UNION) {
            if (!fb_union_field(r, f, &t, to, depth)) return false;
            continue;
        }
        uint32_t align, size = fb_inline_size(f, &align), value;
        if (!fb_slot(r, &t, f->id, size, align, &value)) return false;
        if (!value) {
            if (f->presence == HL_REQUIRED) return fb_refuse(r, "required, and absent", at);
            continue;
        }
        if (!fb_field(r, f, value, to, depth)) return false;
        if (f->has != HL_NONE) out[f->has] = 1;
    }
    r->record = outer;
    r->field = outer_field;
    return true;
}

/* Whether `data` holds a `record`; then *out is it. */
HL_LOCAL bool hl_decode(hl_arena *arena, uint32_t record, const uint8_t *data, uint32_t len, const void **out) {
    fb_reader r = {arena, data, len, HL_MAX_TABLES, record, NULL, (uint64_t)len * 64 + (1u << 20)};
    *out = NULL;
    if (len >= HL_MAX_BYTES) return fb_refuse(&r, "too long", 0);
    if (len < 12) return fb_refuse(&r, "too short", 0);
    if (len < HL_MAX_TABLES / 8) r.tables = len * 8;
    if (record == HL_ROOT && HL_HAS_IDENTIFIER && hl_u32(data + 4) != HL_IDENTIFIER)
        return fb_refuse(&r, "another file identifier", 4);
    uint32_t at = fb_follow(&r, 0);
    if (!at) return false;
    uint8_t *made = hl_array(arena, 1, hl_records[record].size);
    if (!made || !fb_table(&r, at, record, made, 1)) return false;
    *out = made;
    return true;
}
