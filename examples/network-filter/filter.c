/* A network filter: forwards well-formed HTTP/1 heads and TLS records to the host, refuses the rest, counts per connection.
 *
 * What `on_data` sends and returns depends on its own bytes only. The counters are the connection's state: they live in a
 * call context, `on_new_connection` clears them, and hlfuzz.toml marks the methods that read them as stateful. */
#include "http.h"
#include "tls.h"

enum verdict { FORWARDED_HTTP = 1, FORWARDED_TLS = 2, INCOMPLETE = 0, REFUSED = -1 };

static struct {
    u32 bytes, messages, refused, fingerprint;
} connection;

EXPORT(on_new_connection) void on_new_connection(void) {
    connection.bytes = connection.messages = connection.refused = connection.fingerprint = 0;
}

static enum tls_result walk_records(const u8 *data, u32 len) {
    u32 at = 0;
    while (at < len) {
        struct tls_record record;
        enum tls_result result = tls_next(data + at, len - at, &record);
        if (result != TLS_RECORDS) return result == TLS_NOT && at ? TLS_BAD : result;
        const u8 *body = data + at + TLS_HEADER;
        if (tls_is_hello(&record, body)) {
            u32 hello = tls_handshake_length(body);
            if (hello > record.length - TLS_HANDSHAKE_HEADER) return TLS_INCOMPLETE; /* continues in the next record */
            connection.fingerprint = tls_fingerprint(body + TLS_HANDSHAKE_HEADER, hello);
        }
        at += TLS_HEADER + record.length;
    }
    return TLS_RECORDS;
}

static i32 forward(const u8 *data, u32 len, enum verdict verdict) {
    host_write(data, len);
    connection.bytes += len;
    connection.messages++;
    return verdict;
}

/* Judges one chunk of a connection. Returns a verdict; forwarded bytes go through the host function `env.write`. */
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
