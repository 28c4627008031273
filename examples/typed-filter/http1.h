/* A parser of HTTP/1 message heads (RFC 9112 sections 2 to 5) into the interface's own structs. No libc. */
#ifndef TYPED_FILTER_HTTP1_H
#define TYPED_FILTER_HTTP1_H
#include "filter_hl.h"

#define MAX_HEADERS 64u

typedef enum { HEAD_OTHER, HEAD_INCOMPLETE, HEAD_BAD, HEAD_OK } head_result;

/* RFC 9110 section 5.6.2 */
static bool is_token(uint8_t c) {
    if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')) return true;
    return c == '!' || c == '#' || c == '$' || c == '%' || c == '&' || c == '\'' || c == '*' || c == '+' || c == '-' ||
           c == '.' || c == '^' || c == '_' || c == '`' || c == '|' || c == '~';
}

static bool is_text(uint8_t c) { return c == '\t' || (c >= 0x20 && c < 0x7f); }

static hl_string slice(const uint8_t *data, uint32_t from, uint32_t to) {
    return (hl_string){(const char *)data + from, to - from};
}

/* Index of the CR of the CR LF that ends the line which starts at `at`, or `len` when there is none yet. */
static uint32_t line_end(const uint8_t *data, uint32_t len, uint32_t at) {
    for (uint32_t i = at; i + 1 < len; i++)
        if (data[i] == '\r' && data[i + 1] == '\n') return i;
    return len;
}

static bool request_line(const uint8_t *line, uint32_t len, net_HttpHead *head) {
    uint32_t method = 0, target;
    while (method < len && is_token(line[method])) method++;
    if (method == 0 || method == len || line[method] != ' ') return false;
    target = method + 1;
    while (target < len && line[target] > 0x20 && line[target] < 0x7f) target++;
    if (target == method + 1 || len - target != 9 || !hl_equal(slice(line, target, target + 8), HL_TEXT(" HTTP/1.")))
        return false;
    if (line[len - 1] < '0' || line[len - 1] > '1') return false;
    head->method = slice(line, 0, method);
    head->target = slice(line, method + 1, target);
    head->minor_version = (uint32_t)(line[len - 1] - '0');
    return true;
}

static bool is_content_length(hl_string name) {
    hl_string wanted = HL_TEXT("content-length");
    if (name.len != wanted.len) return false;
    for (uint32_t i = 0; i < name.len; i++)
        if ((name.data[i] | 0x20) != wanted.data[i]) return false; /* all bytes are token bytes */
    return true;
}

static bool decimal(hl_string text, uint64_t *out) {
    *out = 0;
    if (text.len == 0 || text.len > 18) return false;
    for (uint32_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        *out = *out * 10 + (uint64_t)(text.data[i] - '0');
    }
    return true;
}

static bool header_line(const uint8_t *line, uint32_t len, net_HttpHead *head, net_Header *out) {
    uint32_t colon = 0, from, to = len;
    while (colon < len && is_token(line[colon])) colon++;
    if (colon == 0 || colon == len || line[colon] != ':') return false;
    for (uint32_t i = colon + 1; i < len; i++)
        if (!is_text(line[i])) return false;
    for (from = colon + 1; from < to && (line[from] == ' ' || line[from] == '\t'); from++) {}
    while (to > from && (line[to - 1] == ' ' || line[to - 1] == '\t')) to--;
    net_Header_init(out);
    out->name = slice(line, 0, colon);
    out->value = slice(line, from, to);
    if (!is_content_length(out->name)) return true;
    head->has_content_length = true;
    return decimal(out->value, &head->content_length);
}

/* Reads a request's head; *consumed is its length with the empty line. The texts are slices of `data`. */
static head_result parse_head(hl_arena *arena, const uint8_t *data, uint32_t len, net_HttpHead *head, uint32_t *consumed) {
    net_HttpHead_init(head);
    if (len == 0 || data[0] < 'A' || data[0] > 'Z') return HEAD_OTHER;
    uint32_t end = line_end(data, len, 0), count = 0;
    if (end == len) return HEAD_INCOMPLETE;
    if (!request_line(data, end, head)) return HEAD_BAD;
    net_Header *headers = hl_alloc(arena, MAX_HEADERS * sizeof *headers);
    if (!headers) return HEAD_BAD;
    for (uint32_t at = end + 2;; at = end + 2) {
        end = line_end(data, len, at);
        if (end == len) return HEAD_INCOMPLETE;
        if (end == at) break;
        if (count == MAX_HEADERS || !header_line(data + at, end - at, head, &headers[count++])) return HEAD_BAD;
    }
    head->headers.data = headers;
    head->headers.len = count;
    *consumed = end + 2;
    return HEAD_OK;
}

#endif
