/* The network filter as a native guest in C: forwards HTTP/1 heads and TLS records to the host, refuses the rest.
 *
 * What a connection has sent so far lives in statics: between calls of one call context it stays, everywhere else the
 * reset takes it away. */
#define HLFUZZ_GUEST_IMPLEMENTATION
#include "hlfuzz_guest.h"

HLG_ALLOCATOR; /* the host asks it for room before it hands over bytes */
HLG_IMPORT("env", "write", void, host_write, const uint8_t *, uint32_t);

enum { INCOMPLETE = 0, HTTP = 1, TLS = 2, REFUSED = -1 };

static struct { uint32_t bytes, messages, refused; } connection;
static uint8_t *method_characters; /* 1 for each that a method's name may have (RFC 9110, "token") */

/* Before the snapshot: work that no call has to do again. */
void hl_guest_init(void) {
    static const char special[] = "!#$%&'*+-.^_`|~";
    method_characters = hlg_alloc(256);
    for (int32_t c = 0; c < 256; c++)
        method_characters[c] = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    for (const char *c = special; *c; c++) method_characters[(uint8_t)*c] = 1;
}

static void on_new_connection(void) { connection.bytes = connection.messages = connection.refused = 0; }
HLG_EXPORT(void, on_new_connection);

static int32_t tls_records(const uint8_t *data, uint32_t len) {
    for (uint32_t at = 0; at < len;) {
        if (len - at < 5) return INCOMPLETE;
        uint32_t body = (uint32_t)data[at + 3] << 8 | data[at + 4];
        if (data[at] < 20 || data[at] > 23 || data[at + 1] != 3 || body > 16640) return REFUSED;
        if (len - at - 5 < body) return INCOMPLETE;
        at += 5 + body;
    }
    return TLS;
}

static int32_t http_head(const uint8_t *data, uint32_t len) {
    uint32_t at = 0;
    while (at < len && method_characters[data[at]]) at++;
    if (at < len && (at == 0 || data[at] != ' ')) return REFUSED;
    for (; at + 4 <= len; at++)
        if (data[at] == '\r' && data[at + 1] == '\n' && data[at + 2] == '\r' && data[at + 3] == '\n') return HTTP;
    return INCOMPLETE;
}

static int32_t kind_of(const uint8_t *data, uint32_t len) {
    if (len == 0) return INCOMPLETE;
    return data[0] < 32 ? tls_records(data, len) : http_head(data, len);
}

/* Judges one chunk of a connection; what is forwarded goes through the host function env.write. */
static int32_t on_data(const uint8_t *data, uint32_t len) {
    int32_t kind = kind_of(data, len);
    if (kind > 0) {
        host_write(data, len);
        connection.bytes += len;
        connection.messages++;
    }
    connection.refused += kind == REFUSED;
    return kind;
}
HLG_EXPORT(int32_t, on_data, const uint8_t *, uint32_t);

/* The forwarded bytes, the messages and the refused chunks so far, as three little-endian numbers. */
static hl_result summary(void) { return hl_returned(&connection, sizeof connection); }
HLG_EXPORT(hl_result, summary);
