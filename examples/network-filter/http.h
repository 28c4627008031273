/* A parser of HTTP/1 message heads (RFC 9112 sections 2 to 5): start line and header fields, bounds-checked. */
#ifndef NETWORK_FILTER_HTTP_H
#define NETWORK_FILTER_HTTP_H
#include "guest.h"

enum http_result { HTTP_NOT = 0, HTTP_INCOMPLETE = 1, HTTP_BAD = 2, HTTP_HEAD = 3 };

struct http_head {
    u32 head_bytes; /* start line, fields and the empty line */
    u32 fields;
    u32 content_length; /* of the last content-length field; 0 when there is none */
};

/* RFC 9110 section 5.6.2 */
static int http_is_token(u8 c) {
    if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')) return 1;
    switch (c) {
    case '!': case '#': case '$': case '%': case '&': case '\'': case '*': case '+':
    case '-': case '.': case '^': case '_': case '`': case '|': case '~':
        return 1;
    default:
        return 0;
    }
}

/* Index of the CR of the CR LF that ends the line which starts at `at`, or `len` when there is none yet. */
static u32 http_line_end(const u8 *data, u32 len, u32 at) {
    for (u32 i = at; i + 1 < len; i++)
        if (data[i] == '\r' && data[i + 1] == '\n') return i;
    return len;
}

static int http_looks_like_start(const u8 *data, u32 len) {
    if (len >= 5 && bytes_equal(data, "HTTP/", 5)) return 1;
    u32 i = 0;
    while (i < len && i < 16 && data[i] >= 'A' && data[i] <= 'Z') i++;
    return i > 0 && i < len && data[i] == ' ';
}

static int http_start_line_ok(const u8 *line, u32 len) {
    if (len >= 12 && bytes_equal(line, "HTTP/1.", 7)) /* status line: HTTP/1.x SP 3DIGIT */
        return line[8] == ' ' && line[9] >= '1' && line[9] <= '5';
    if (len < 14 || !bytes_equal(line + len - 9, " HTTP/1.", 8)) return 0;
    for (u32 i = 0; i < len; i++)
        if (line[i] < 0x20 || line[i] == 0x7f) return 0;
    return 1;
}

static int http_is_content_length(const u8 *name, u32 len) {
    static const char want[] = "content-length";
    if (len != sizeof want - 1) return 0;
    for (u32 i = 0; i < len; i++)
        if ((name[i] | 0x20) != (u8)want[i]) return 0; /* field names ignore case; all bytes here are token bytes */
    return 1;
}

/* One `name: value` line. Returns 0 when it breaks the grammar. */
static int http_field(const u8 *line, u32 len, struct http_head *head) {
    u32 colon = 0;
    while (colon < len && http_is_token(line[colon])) colon++;
    if (colon == 0 || colon == len || line[colon] != ':') return 0;
    for (u32 i = colon + 1; i < len; i++)
        if ((line[i] < 0x20 && line[i] != '\t') || line[i] == 0x7f) return 0;
    if (http_is_content_length(line, colon)) {
        u32 value = 0, i = colon + 1;
        while (i < len && line[i] == ' ') i++;
        if (i == len) return 0;
        for (; i < len && line[i] != ' '; i++) {
            if (line[i] < '0' || line[i] > '9' || value > 0x0fffffff) return 0;
            value = value * 10 + (u32)(line[i] - '0');
        }
        head->content_length = value;
    }
    head->fields++;
    return 1;
}

static enum http_result http_parse(const u8 *data, u32 len, struct http_head *head) {
    head->head_bytes = head->fields = head->content_length = 0;
    if (!http_looks_like_start(data, len)) return HTTP_NOT;
    u32 end = http_line_end(data, len, 0);
    if (end == len) return HTTP_INCOMPLETE;
    if (!http_start_line_ok(data, end)) return HTTP_BAD;
    for (u32 at = end + 2;; at = end + 2) {
        end = http_line_end(data, len, at);
        if (end == len) return HTTP_INCOMPLETE;
        if (end == at) break;
        if (!http_field(data + at, end - at, head)) return HTTP_BAD;
    }
    head->head_bytes = end + 2;
    return HTTP_HEAD;
}

#endif
