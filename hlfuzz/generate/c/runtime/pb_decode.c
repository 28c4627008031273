/* ---- Protobuf: from the wire ---------------------------------------------------------------------------- */

enum { PB_VARINT = 0, PB_I64 = 1, PB_LEN = 2, PB_GROUP = 3, PB_END = 4, PB_I32 = 5 };

/* Verifies while it reads. Positions count from `base`. */
typedef struct pb_reader {
    hl_arena *arena;
    const uint8_t *base;
    uint32_t at, messages, record;
    const hl_field_info *field;
    bool dropped; /* the value just read is no member of its closed enum */
    bool unknown; /* the message just read had something unknown in it */
} pb_reader;

/* A value before it is stored: a number's bits, or a place and length. */
typedef struct pb_value { uint64_t bits; uint32_t start, len; } pb_value;

static bool pb_message(pb_reader *r, uint32_t end, uint32_t group, uint32_t record, uint8_t *out, uint32_t depth);

HL_COLD bool pb_refuse(pb_reader *r, const char *why) {
    return hl_refuse(r->arena, why, r->record, r->field, r->at);
}

HL_LOCAL bool pb_varint(pb_reader *r, uint32_t end, uint64_t *out) {
    if (r->at < end && r->base[r->at] < 0x80) {
        *out = r->base[r->at++];
        return true;
    }
    uint64_t value = 0;
    for (uint32_t shift = 0; shift < 70; shift += 7) {
        if (r->at >= end) return pb_refuse(r, "cut off");
        uint64_t byte = r->base[r->at++];
        value |= (byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = value;
            return true;
        }
    }
    return pb_refuse(r, "a varint of more than 10 bytes");
}

/* A tag or a length: at most five bytes, and no more than `most`. */
HL_LOCAL bool pb_word(pb_reader *r, uint32_t end, uint32_t most, uint32_t *out) {
    uint32_t start = r->at;
    uint64_t value;
    if (!pb_varint(r, end, &value)) return false;
    if (r->at - start > 5 || value > most) return pb_refuse(r, "out of range");
    *out = (uint32_t)value;
    return true;
}

HL_LOCAL bool pb_length(pb_reader *r, uint32_t end, uint32_t *len) {
    if (!pb_word(r, end, HL_MAX_BYTES, len)) return false;
    return *len <= end - r->at || pb_refuse(r, "length out of bounds");
}

HL_LOCAL bool pb_tag(pb_reader *r, uint32_t end, uint32_t *number, uint32_t *type) {
    uint32_t tag = 0;
    if (!pb_word(r, end, 0xffffffffu, &tag)) return false;
    *number = tag >> 3;
    *type = tag & 7;
    return (*number != 0 && *type <= PB_I32) || pb_refuse(r, "no field number or wire type");
}

/* Passes over an unknown field; groups nest no deeper than messages. Cold, so that its array is not part of the
 * frame of each message. */
HL_COLD bool pb_skip(pb_reader *r, uint32_t end, uint32_t number, uint32_t type, uint32_t depth) {
    uint32_t open[HL_MAX_DEPTH], groups = 0, len;
    uint64_t bits;
    for (;;) {
        switch (type) {
        case PB_VARINT:
            if (!pb_varint(r, end, &bits)) return false;
            break;
        case PB_I64:
        case PB_I32:
            len = type == PB_I64 ? 8 : 4;
            if (end - r->at < len) return pb_refuse(r, "cut off");
            r->at += len;
            break;
        case PB_LEN:
            if (!pb_length(r, end, &len)) return false;
            r->at += len;
            break;
        case PB_GROUP:
            if (depth + groups >= HL_MAX_DEPTH) return pb_refuse(r, "too deep");
            open[groups++] = number;
            break;
        default:
            if (groups == 0 || open[--groups] != number) return pb_refuse(r, "a group ends that was not open");
        }
        if (groups == 0) return true;
        if (!pb_tag(r, end, &number, &type)) return false;
    }
}

/* The wire type that a kind is written with. */
HL_LOCAL uint32_t pb_wire_type(uint32_t kind, uint32_t coding, uint32_t flags) {
    if (kind == HL_KIND_RECORD) return flags & HL_DELIMITED ? PB_GROUP : PB_LEN;
    if (!hl_is_number(kind)) return PB_LEN;
    if (coding == HL_VARINT || coding == HL_ZIGZAG) return PB_VARINT;
    return hl_width(kind) == 8 ? PB_I64 : PB_I32;
}

/* A number as the C struct has it. */
HL_LOCAL bool pb_number(pb_reader *r, uint32_t end, uint32_t kind, uint32_t coding, uint64_t *bits) {
    if (coding == HL_VARINT || coding == HL_ZIGZAG) {
        if (!pb_varint(r, end, bits)) return false;
        if (coding == HL_ZIGZAG) {
            if (hl_width(kind) == 4) *bits &= 0xffffffffu;
            *bits = (*bits >> 1) ^ (0 - (*bits & 1));
        }
        if (kind == HL_KIND_BOOL) *bits = *bits != 0;
        if (kind == HL_KIND_I32) *bits = (uint64_t)(int64_t)(int32_t)(uint32_t)*bits;
        if (kind == HL_KIND_U32) *bits = (uint32_t)*bits;
        return true;
    }
    uint32_t width = hl_width(kind);
    if (end - r->at < width) return pb_refuse(r, "cut off");
    *bits = hl_load(kind, r->base + r->at);
    r->at += width;
    return true;
}

/* Reads text, bytes or a message into `out`, which is a slice or the message's own struct (then merged into). */
HL_LOCAL bool pb_lengthy(pb_reader *r, uint32_t end, uint32_t number, uint32_t kind, uint32_t ref, uint32_t flags, uint8_t *out, uint32_t depth) {
    uint32_t len;
    if (kind == HL_KIND_RECORD && flags & HL_DELIMITED) return pb_message(r, end, number, ref, out, depth + 1);
    if (!pb_length(r, end, &len)) return false;
    if (kind == HL_KIND_RECORD) return pb_message(r, r->at + len, 0, ref, out, depth + 1);
    if (flags & HL_CHECKED && !hl_utf8(r->base + r->at, len)) return pb_refuse(r, "not UTF-8");
    hl_put_slice(out, r->base + r->at, len);
    r->at += len;
    return true;
}

/* The message that a pointer field has, made when there is none yet. */
HL_LOCAL uint8_t *pb_pointee(pb_reader *r, uint32_t ref, uint8_t *pointer) {
    uint8_t *made = hl_pointer(pointer);
    if (made) return made;
    made = hl_array(r->arena, 1, hl_records[ref].size);
    if (!made) return NULL;
    hl_preset(ref, made);
    hl_put_pointer(pointer, made);
    return made;
}

/* Room for `more` elements after those there are. How much there is follows from the length alone: a power of
 * two, so that nothing need be counted beforehand. */
HL_LOCAL uint8_t *pb_extend(pb_reader *r, uint8_t *vector, uint32_t stride, uint32_t more) {
    hl_bytes slice = hl_slice(vector);
    uint64_t room = 4, wanted = (uint64_t)slice.len + more;
    while (room < slice.len) room *= 2;
    uint8_t *data;
    if (slice.data && wanted <= room) {
        data = hl_pointer(vector);
    } else {
        while (room < wanted) room *= 2;
        if (room > HL_MAX_BYTES) {
            hl_no_memory(r->arena);
            return NULL;
        }
        data = hl_array(r->arena, (uint32_t)room, stride);
        if (!data) return NULL;
        hl_copy(data, slice.data, (size_t)slice.len * stride);
    }
    hl_put_slice(vector, data, (uint32_t)wanted);
    return data + (size_t)slice.len * stride;
}

HL_LOCAL bool pb_packed(pb_reader *r, uint32_t end, const hl_field_info *f, uint8_t *out) {
    uint32_t len, width = hl_width(f->kind), count = 0;
    if (!pb_length(r, end, &len)) return false;
    uint32_t stop = r->at + len;
    if (f->coding == HL_VARINT || f->coding == HL_ZIGZAG) {
        for (uint32_t i = r->at; i < stop; i++) count += r->base[i] < 0x80;
    } else {
        if (len % width) return pb_refuse(r, "a part of a number");
        count = len / width;
    }
    if (!count) return len == 0 || pb_refuse(r, "cut off");
    uint32_t before = hl_slice(out).len, kept = 0;
    uint8_t *to = pb_extend(r, out, width, count);
    if (!to) return false;
    while (r->at < stop) {
        uint64_t bits;
        if (!pb_number(r, stop, f->kind, f->coding, &bits)) return false;
        if (f->ref != HL_NONE && !hl_is_member(f->ref, bits)) continue;
        hl_store(f->kind, to + (size_t)kept++ * width, bits);
    }
    hl_put_slice(out, hl_slice(out).data, before + kept);
    return true;
}

/* Entries of maps with something unknown in them are unknown as a whole, as the host's runtime has it. */
HL_LOCAL bool pb_is_entry(uint32_t record) {
    const hl_record_info *info = &hl_records[record];
    return info->count && hl_fields[info->first].presence == HL_ALWAYS;
}

HL_LOCAL bool pb_element(pb_reader *r, uint32_t end, uint32_t number, const hl_field_info *f, uint8_t *out, uint32_t depth) {
    uint32_t stride = hl_stride(f->kind, f->ref);
    if (hl_is_number(f->kind)) {
        uint64_t bits;
        if (!pb_number(r, end, f->kind, f->coding, &bits)) return false;
        if (f->ref != HL_NONE && !hl_is_member(f->ref, bits)) return true;
        uint8_t *to = pb_extend(r, out, stride, 1);
        if (to) hl_store(f->kind, to, bits);
        return to != NULL;
    }
    uint8_t *to = pb_extend(r, out, stride, 1);
    if (!to) return false;
    if (f->kind != HL_KIND_RECORD) return pb_lengthy(r, end, number, f->kind, f->ref, f->flags, to, depth);
    hl_preset(f->ref, to);
    if (!pb_lengthy(r, end, number, f->kind, f->ref, f->flags, to, depth)) return false;
    if (r->unknown && pb_is_entry(f->ref)) {
        hl_bytes slice = hl_slice(out);
        hl_put_slice(out, slice.data, slice.len - 1);
    }
    return true;
}

HL_LOCAL bool pb_single(pb_reader *r, uint32_t end, uint32_t number, const hl_field_info *f, uint32_t record, uint8_t *value, uint32_t depth) {
    uint8_t *out = value + f->at;
    if (hl_is_number(f->kind)) {
        uint64_t bits;
        if (!pb_number(r, end, f->kind, f->coding, &bits)) return false;
        if (f->ref != HL_NONE && !hl_is_member(f->ref, bits)) {
            r->dropped = true;
            return true;
        }
        hl_store(f->kind, out, bits);
        if (f->presence == HL_REQUIRED) value[hl_records[record].seen + f->has / 8] |= (uint8_t)(1u << f->has % 8);
        else if (f->has != HL_NONE) value[f->has] = 1;
        return true;
    }
    if (f->kind == HL_KIND_RECORD && !(out = pb_pointee(r, f->ref, out))) return false;
    return pb_lengthy(r, end, number, f->kind, f->ref, f->flags, out, depth);
}

HL_LOCAL bool pb_oneof(pb_reader *r, uint32_t end, uint32_t number, uint32_t ref, const hl_variant_info *v, uint8_t *out, uint32_t depth) {
    const hl_union_info *u = &hl_unions[ref];
    uint8_t *value = out + u->at;
    if (hl_is_number(v->kind)) {
        uint64_t bits;
        if (!pb_number(r, end, v->kind, v->coding, &bits)) return false;
        if (v->ref != HL_NONE && !hl_is_member(v->ref, bits)) return true;
        hl_clear(out, u->size);
        hl_store(v->kind, value, bits);
    } else {
        if (hl_union_tag(out) != v->tag) hl_clear(out, u->size);
        if (v->kind == HL_KIND_RECORD && !(value = pb_pointee(r, v->ref, value))) return false;
        if (!pb_lengthy(r, end, number, v->kind, v->ref, v->flags, value, depth)) return false;
    }
    hl_put32(out, v->tag);
    return true;
}

/* The entry for a field number, or NULL; `hint` is where the one before was found. */
HL_LOCAL const hl_number_info *pb_find(const hl_record_info *info, uint32_t number, uint32_t *hint) {
    const hl_number_info *numbers = &hl_numbers[info->first_number];
    for (uint32_t i = *hint; i < info->numbers && i <= *hint + 1; i++)
        if (numbers[i].number == number) {
            *hint = i;
            return &numbers[i];
        }
    uint32_t low = 0, high = info->numbers;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (numbers[middle].number == number) {
            *hint = middle;
            return &numbers[middle];
        }
        if (numbers[middle].number < number) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

/* Entries of maps have a value even if none was sent. */
HL_LOCAL bool pb_fill_entry(pb_reader *r, const hl_record_info *info, uint8_t *out) {
    for (uint32_t i = 0; i < info->count; i++) {
        const hl_field_info *f = &hl_fields[info->first + i];
        if (f->presence == HL_ALWAYS && f->kind == HL_KIND_RECORD && !pb_pointee(r, f->ref, out + f->at)) return false;
    }
    return true;
}

/* Reads fields up to `end`, or to the end of `group`, into `out`, which holds what earlier parts had. */
static bool pb_message(pb_reader *r, uint32_t end, uint32_t group, uint32_t record, uint8_t *out, uint32_t depth) {
    const hl_record_info *info = &hl_records[record];
    const hl_field_info *outer_field = r->field;
    uint32_t outer = r->record, hint = 0, number, type;
    bool unknown = false;
    if (depth > HL_MAX_DEPTH) return pb_refuse(r, "too deep");
    if (r->messages++ == HL_MAX_TABLES) return pb_refuse(r, "too many messages");
    for (;;) {
        r->record = record;
        r->field = NULL;
        if (r->at >= end) {
            if (group) return pb_refuse(r, "a group without end");
            break;
        }
        if (!pb_tag(r, end, &number, &type)) return false;
        if (type == PB_END) {
            if (number != group) return pb_refuse(r, "a group ends that was not open");
            break;
        }
        const hl_number_info *found = pb_find(info, number, &hint);
        const hl_field_info *f = found ? &hl_fields[info->first + found->field] : NULL;
        const hl_variant_info *v = f && found->variant ? &hl_variants[hl_unions[f->ref].first + found->variant - 1] : NULL;
        r->field = f;
        if (!f) {
            if (!pb_skip(r, end, number, type, depth)) return false;
            unknown = true;
            continue;
        }
        uint32_t wanted = v ? pb_wire_type(v->kind, v->coding, v->flags) : pb_wire_type(f->kind, f->coding, f->flags);
        bool read;
        if (type == PB_LEN && wanted != PB_LEN && f->shape == HL_VECTOR && hl_is_number(f->kind)) {
            read = pb_packed(r, end, f, out + f->at);
        } else if (type != wanted) {
            read = pb_refuse(r, "another wire type");
        } else if (v) {
            read = pb_oneof(r, end, number, f->ref, v, out + f->at, depth);
        } else if (f->shape == HL_VECTOR) {
            read = pb_element(r, end, number, f, out + f->at, depth);
        } else {
            read = pb_single(r, end, number, f, record, out, depth);
        }
        if (!read) return false;
        unknown = unknown || r->dropped;
        r->dropped = false;
    }
    r->record = outer;
    r->field = outer_field;
    r->unknown = unknown;
    return pb_fill_entry(r, info, out);
}

static bool pb_complete(hl_arena *arena, uint32_t record, const uint8_t *value);

HL_LOCAL bool pb_complete_vector(hl_arena *arena, const hl_field_info *f, hl_bytes slice) {
    for (uint32_t i = 0; i < slice.len; i++)
        if (!pb_complete(arena, f->ref, slice.data + (size_t)i * hl_records[f->ref].size)) return false;
    return true;
}

/* Whether all that is required is there. That is known only when everything has been read: one message may come
 * in several parts. */
static bool pb_complete(hl_arena *arena, uint32_t record, const uint8_t *value) {
    const hl_record_info *info = &hl_records[record];
    if (!info->demands) return true;
    for (uint32_t i = 0; i < info->count; i++) {
        const hl_field_info *f = &hl_fields[info->first + i];
        const uint8_t *at = value + f->at;
        uint32_t kind = f->kind, ref = f->ref;
        if (f->presence == HL_REQUIRED) {
            bool there = hl_is_number(kind) ? value[info->seen + f->has / 8] >> f->has % 8 & 1
                         : kind == HL_KIND_RECORD ? hl_pointer(at) != NULL
                                                  : hl_slice(at).data != NULL;
            if (!there) return hl_refuse(arena, "required, and absent", record, f, HL_NONE);
        }
        if (f->shape == HL_VECTOR) {
            if (kind == HL_KIND_RECORD && !pb_complete_vector(arena, f, hl_slice(at))) return false;
            continue;
        }
        if (kind == HL_KIND_UNION) {
            const hl_variant_info *v = hl_find_variant(ref, hl_union_tag(at));
            if (!v) continue;
            at += hl_unions[ref].at;
            kind = v->kind;
            ref = v->ref;
        }
        if (kind == HL_KIND_RECORD && hl_pointer(at) && !pb_complete(arena, ref, hl_pointer(at))) return false;
    }
    return true;
}

/* Whether `data` holds a `record`; then *out is it. */
HL_LOCAL bool hl_decode(hl_arena *arena, uint32_t record, const uint8_t *data, uint32_t len, const void **out) {
    pb_reader r = {arena, data, 0, 0, record, NULL, false, false};
    *out = NULL;
    if (len > HL_MAX_BYTES) return pb_refuse(&r, "too long");
    uint8_t *made = hl_array(arena, 1, hl_records[record].size);
    if (!made) return false;
    hl_preset(record, made);
    if (!pb_message(&r, len, 0, record, made, 1) || !pb_complete(arena, record, made)) return false;
    *out = made;
    return true;
}
