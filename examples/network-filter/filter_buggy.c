/* The network filter with three planted faults, each marked FAULT. It shows what `hlfuzz fuzz` finds; never use it.
 *
 * 1. tenant-independence: an answer carries bytes of an earlier connection (a padded, never cleared buffer)
 * 2. context-dependence: `on_data` needs an earlier `on_new_connection`, whose effect is wiped outside a call context
 * 3. trap: the 24-bit length of a TLS handshake message is trusted and drives a read out of linear memory */
#include "http.h"
#include "tls.h"

enum verdict { FORWARDED_HTTP = 1, FORWARDED_TLS = 2, INCOMPLETE = 0, REFUSED = -1 };

#define ANSWER_BYTES 20480u
#define ANSWER_BLOCK 64u

static struct {
    u32 open, bytes, messages, refused, fingerprint;
} connection;

static u8 answer[ANSWER_BYTES];

EXPORT(on_new_connection) void on_new_connection(void) {
    connection.open = 1;
    connection.bytes = connection.messages = connection.refused = connection.fingerprint = 0;
}

static enum tls_result walk_records(const u8 *data, u32 len) {
    u32 at = 0;
    while (at < len) {
        struct tls_record record;
        enum tls_result result = tls_next(data + at, len - at, &record);
        if (result != TLS_RECORDS) return result == TLS_NOT && at ? TLS_BAD : result;
        const u8 *body = data + at + TLS_HEADER;
        if (record.type == 22 && record.length >= TLS_HANDSHAKE_HEADER && body[0] == 1)
            /* FAULT 3: the message's own length, not the record's, bounds the read. */
            connection.fingerprint = tls_fingerprint(body + TLS_HANDSHAKE_HEADER, tls_handshake_length(body));
        at += TLS_HEADER + record.length;
    }
    return TLS_RECORDS;
}

static i32 forward(const u8 *data, u32 len, enum verdict verdict) {
    if (!connection.open) return REFUSED; /* FAULT 2: only on_new_connection opens, and a reset closes again. */
    if (len > ANSWER_BYTES) return REFUSED;
    for (u32 i = 0; i < len; i++) answer[i] = data[i];
    /* FAULT 1: whole blocks are sent, and what lies behind the message is what an earlier connection left there. */
    u32 padded = (len + ANSWER_BLOCK - 1) / ANSWER_BLOCK * ANSWER_BLOCK;
    host_write(answer, padded);
    connection.bytes += len;
    connection.messages++;
    return verdict;
}

EXPORT(on_data) i32 on_data(const u8 *data, u32 len) {
    struct http_head head;
    enum http_result http = http_parse(data, len, &head);
    if (http == HTTP_HEAD) return forward(data, len, FORWARDED_HTTP);
    if (http == HTTP_INCOMPLETE) return INCOMPLETE;
    if (http == HTTP_NOT) {
        enum tls_result tls = walk_records(data, len);
        if (tls == TLS_RECORDS && len) return forward(data, len, FORWARDED_TLS);
        if (tls == TLS_INCOMPLETE) return INCOMPLETE;
    }
    connection.refused++;
    return REFUSED;
}

EXPORT(connection_bytes) u32 connection_bytes(void) {
    return connection.bytes;
}

EXPORT(connection_messages) u32 connection_messages(void) {
    return connection.messages;
}

EXPORT(connection_fingerprint) u32 connection_fingerprint(void) {
    return connection.fingerprint;
}
