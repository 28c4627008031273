/* ---- Protobuf: to the wire ------------------------------------------------------------------------------ */

typedef struct pb_writer {
    hl_arena *arena;
    uint8_t *base;
    uint32_t len;
} pb_writer;

static bool pb_put_message(pb_writer *w, uint32_t record, const uint8_t *value, uint32_t depth);

HL_LOCAL uint32_t pb_varint_size(uint64_t value) {
    uint32_t size = 1;
    while (value >>= 7) size++;
    return size;
}

HL_LOCAL bool pb_room(pb_writer *w, uint32_t len) {
    uint64_t end = (uint64_t)w->len + len;
    return (end <= HL_MAX_BYTES && hl_room(w->arena, (size_t)end)) || hl_no_memory(w->arena);
}

/* Writes where there is room already. */
HL_LOCAL void pb_write_varint(uint8_t *to, uint64_t value) {
    for (; value >= 0x80; value >>= 7) *to++ = (uint8_t)(value | 0x80);
    *to = (uint8_t)value;
}

HL_LOCAL bool pb_put_varint(pb_writer *w, uint64_t value) {
    if (!pb_room(w, 10)) return false;
    pb_write_varint(w->base + w->len, value);
    w->len += pb_varint_size(value);
    return true;
}

HL_LOCAL bool pb_put_bytes(pb_writer *w, hl_bytes bytes) {
    if (bytes.len > HL_MAX_BYTES) return hl_no_memory(w->arena);
    if (!pb_put_varint(w, bytes.len) || !pb_room(w, bytes.len)) return false;
    hl_copy(w->base + w->len, bytes.data, bytes.len);
    w->len += bytes.len;
    return true;
}

HL_LOCAL bool pb_put_number(pb_writer *w, uint32_t kind, uint32_t coding, uint64_t bits) {
    if (coding == HL_ZIGZAG) {
        bits = (bits << 1) ^ (0 - (bits >> 63));
        if (hl_width(kind) == 4) bits &= 0xffffffffu;
    }
    if (coding == HL_VARINT || coding == HL_ZIGZAG) return pb_put_varint(w, bits);
    uint32_t width = hl_width(kind);
    if (!pb_room(w, 8)) return false;
    hl_store(kind, w->base + w->len, bits);
    w->len += width;
    return true;
}

/* Puts the length in front of what was written from `start` on. One byte was left for it, which is enough for
 * most; otherwise the bytes move. */
HL_LOCAL bool pb_close(pb_writer *w, uint32_t start) {
    uint32_t len = w->len - start, extra = pb_varint_size(len) - 1;
    if (extra) {
        if (!pb_room(w, extra)) return false;
        __builtin_memmove(w->base + start + extra, w->base + start, len);
        w->len += extra;
    }
    pb_write_varint(w->base + start - 1, len);
    return true;
}

/* One value with its tag. `inlined`: `value` is the message's own struct, otherwise a pointer to it. */
HL_LOCAL bool pb_put_value(pb_writer *w, uint32_t number, uint32_t kind, uint32_t ref, uint32_t coding, uint32_t flags, const uint8_t *value, bool inlined, uint32_t depth) {
    uint32_t type = pb_wire_type(kind, coding, flags);
    if (!pb_put_varint(w, (uint64_t)number << 3 | type)) return false;
    if (hl_is_number(kind)) return pb_put_number(w, kind, coding, hl_load(kind, value));
    if (kind != HL_KIND_RECORD) return pb_put_bytes(w, hl_slice(value));
    const uint8_t *message = inlined ? value : hl_pointer(value);
    uint32_t start = w->len + 1;
    if (type == PB_LEN) {
        if (!pb_room(w, 1)) return false;
        w->len++;
    }
    if (message && !pb_put_message(w, ref, message, depth + 1)) return false;
    return type == PB_LEN ? pb_close(w, start) : pb_put_varint(w, (uint64_t)number << 3 | PB_END);
}

HL_LOCAL bool pb_put_vector(pb_writer *w, const hl_field_info *f, hl_bytes slice, uint32_t depth) {
    uint32_t stride = hl_stride(f->kind, f->ref);
    if (!(f->flags & HL_PACKED)) {
        for (uint32_t i = 0; i < slice.len; i++) {
            const uint8_t *value = slice.data + (size_t)i * stride;
            if (!pb_put_value(w, f->id, f->kind, f->ref, f->coding, f->flags, value, true, depth)) return false;
        }
        return true;
    }
    if (!slice.len) return true;
    if (!pb_put_varint(w, (uint64_t)f->id << 3 | PB_LEN) || !pb_room(w, 1)) return false;
    uint32_t start = ++w->len;
    for (uint32_t i = 0; i < slice.len; i++)
        if (!pb_put_number(w, f->kind, f->coding, hl_load(f->kind, slice.data + (size_t)i * stride))) return false;
    return pb_close(w, start);
}

HL_LOCAL bool pb_present(const hl_field_info *f, const uint8_t *value) {
    const uint8_t *at = value + f->at;
    if (f->presence == HL_REQUIRED || f->presence == HL_ALWAYS) return true;
    if (hl_is_number(f->kind)) return f->has != HL_NONE ? value[f->has] != 0 : hl_load(f->kind, at) != f->preset;
    if (f->kind == HL_KIND_RECORD) return hl_pointer(at) != NULL;
    hl_bytes slice = hl_slice(at);
    /* An empty text differs from an absent one only where that is said, or where the default is not empty. */
    return slice.data && (f->presence == HL_OPTIONAL || f->preset || slice.len);
}

static bool pb_put_message(pb_writer *w, uint32_t record, const uint8_t *value, uint32_t depth) {
    const hl_record_info *info = &hl_records[record];
    if (depth > HL_MAX_DEPTH) return hl_refuse(w->arena, "too deep", record, NULL, HL_NONE);
    for (uint32_t i = 0; i < info->count; i++) {
        const hl_field_info *f = &hl_fields[info->first + i];
        const uint8_t *at = value + f->at;
        if (f->shape == HL_VECTOR || f->kind == HL_KIND_STRING || f->kind == HL_KIND_BYTES) {
            hl_bytes slice = hl_slice(at);
            if (slice.len && !slice.data) return hl_refuse(w->arena, "NULL with a length", record, f, HL_NONE);
        }
        if (f->shape == HL_VECTOR) {
            if (!pb_put_vector(w, f, hl_slice(at), depth)) return false;
        } else if (f->kind == HL_KIND_UNION) {
            uint32_t tag = hl_union_tag(at);
            const hl_variant_info *v = hl_find_variant(f->ref, tag);
            if (tag && !v) return hl_refuse(w->arena, "no variant of its union", record, f, HL_NONE);
            if (v && !pb_put_value(w, tag, v->kind, v->ref, v->coding, v->flags, at + hl_unions[f->ref].at, false, depth))
                return false;
        } else if (pb_present(f, value)) {
            if (f->presence == HL_REQUIRED && !hl_is_number(f->kind) && !hl_pointer(at))
                return hl_refuse(w->arena, "required, and absent", record, f, HL_NONE);
            if (!pb_put_value(w, f->id, f->kind, f->ref, f->coding, f->flags, at, false, depth)) return false;
        }
    }
    return true;
}

/* Encodes a record to the end of the arena. */
HL_LOCAL bool hl_encode(hl_arena *arena, uint32_t record, const void *value, hl_bytes *out) {
    *out = (hl_bytes){NULL, 0};
    uint8_t *base = hl_alloc_aligned(arena, 0, 16);
    if (!base) return hl_no_memory(arena);
    pb_writer w = {arena, base, 0};
    if (!pb_put_message(&w, record, value, 1)) return false;
    arena->top = base + w.len;
    *out = (hl_bytes){base, w.len};
    return true;
}
