/* ---- Calls ---------------------------------------------------------------------------------------------- */

hl_status hl_fail_text(hl_call *call, hl_status code, hl_string text) {
    hl_string copy = {NULL, 0};
    hl_append(call->arena, &copy, text);
    call->failure.code = code;
    call->failure.text = copy;
    return code;
}

hl_status hl_fail(hl_call *call, hl_status code, const char *text) { return hl_fail_text(call, code, hl_text(text)); }

/* Begins a call: the request, or NULL. */
HL_LOCAL const void *hl_enter(hl_call *call, uint32_t record, const uint8_t *data, uint32_t len) {
    const void *request;
    call->arena = hl_guest_arena();
    call->status = HL_OK;
    call->failure.code = HL_OK;
    call->failure.text = (hl_string){NULL, 0};
    hl_guest.calls++;
    if (!hl_decode(call->arena, record, data, len, &request)) {
        call->failure = call->arena->failure;
        call->status = call->failure.code;
    }
    return request;
}

/* An empty response with its defaults, or NULL. */
HL_LOCAL void *hl_prepare(hl_call *call, uint32_t record) {
    void *made = hl_array(call->arena, 1, hl_records[record].size);
    if (made) hl_preset(record, made);
    else call->status = HL_NO_MEMORY;
    return made;
}

/* Ends a call: the response record, which is a header of status and zero, then the response or the error's text. */
HL_LOCAL hl_result hl_leave(hl_call *call, uint32_t record, const void *response) {
    /* For when there is no memory left for anything else. */
    static const uint32_t no_memory[2] = {HL_NO_MEMORY, 0};
    hl_arena *arena = call->arena;
    hl_bytes payload = {NULL, 0};
    /* The header is in the second half of 16 bytes, so that the payload is aligned to 16. */
    uint8_t *header = hl_alloc_aligned(arena, 16, 16);
    hl_guest.calls--;
    if (hl_guest.calls == 0) hl_finish();
    if (!header) return hl_returned(no_memory, sizeof no_memory);
    header += 8;
    if (call->status == HL_OK && !hl_encode(arena, record, response, &payload)) {
        call->failure = arena->failure;
        /* A response that cannot be encoded is the guest's fault, not the request's. */
        if (call->failure.code == HL_INVALID) call->failure.code = HL_ERROR;
        call->status = call->failure.code;
    }
    if (call->status != HL_OK) {
        hl_string text = call->failure.text;
        if (call->failure.code != call->status || !hl_room(arena, text.len)) text.len = 0;
        /* The text may be right behind the header, where half an encoding was. */
        if (text.len) __builtin_memmove(header + 8, text.data, text.len);
        arena->top = header + 8 + text.len;
        payload.len = text.len;
    }
    hl_put32(header, call->status);
    hl_put32(header + 4, 0);
    return hl_returned(header, payload.len + 8);
}

/* The bytes of a request to a host function. */
HL_LOCAL hl_status hl_ask(hl_call *call, uint32_t record, const void *request, hl_bytes *out) {
    if (hl_encode(call->arena, record, request, out)) return HL_OK;
    call->failure = call->arena->failure;
    return call->failure.code;
}

/* What a host function answered: its response in *out, or its error. */
HL_LOCAL hl_status hl_answer(hl_call *call, uint32_t record, hl_result result, const void **out) {
#if defined(__wasm__)
    uint64_t size = (uint64_t)__builtin_wasm_memory_size(0) << 16;
    uint64_t at = result >> 32;
    uint32_t len = (uint32_t)result;
    const uint8_t *data = (const uint8_t *)(size_t)at;
    bool there = at != 0 && at + len <= size && len >= 8;
#else
    const uint8_t *data = result.data;
    uint32_t len = result.len;
    bool there = data && len >= 8;
#endif
    *out = NULL;
    if (!there) return hl_fail(call, HL_INVALID, "the host function's answer is no response record");
    hl_status status = hl_u32(data);
    if (status != HL_OK) {
        call->failure.code = status;
        call->failure.text = (hl_string){(const char *)data + 8, len - 8};
        return status;
    }
    if (hl_decode(call->arena, record, data + 8, len - 8, out)) return HL_OK;
    call->failure = call->arena->failure;
    return call->failure.code;
}
