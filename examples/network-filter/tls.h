/* A parser of TLS record headers (RFC 8446 section 5.1) and of the handshake header of a ClientHello or ServerHello. */
#ifndef NETWORK_FILTER_TLS_H
#define NETWORK_FILTER_TLS_H
#include "guest.h"

enum tls_result { TLS_NOT = 0, TLS_INCOMPLETE = 1, TLS_BAD = 2, TLS_RECORDS = 3 };

#define TLS_HEADER 5u
#define TLS_HANDSHAKE_HEADER 4u
#define TLS_MAX_RECORD (16384u + 2048u) /* the largest TLSCiphertext of TLS 1.2, RFC 5246 section 6.2.3 */

struct tls_record {
    u8 type;
    u32 length; /* bytes after the header */
};

static int tls_looks_like_record(const u8 *data, u32 len) {
    return len >= 3 && data[0] >= 20 && data[0] <= 24 && data[1] == 3 && data[2] <= 4;
}

/* Reads the record header at `data`; the whole record must be there. */
static enum tls_result tls_next(const u8 *data, u32 len, struct tls_record *record) {
    if (!tls_looks_like_record(data, len)) return TLS_NOT;
    if (len < TLS_HEADER) return TLS_INCOMPLETE;
    record->type = data[0];
    record->length = ((u32)data[3] << 8) | data[4];
    if (record->length == 0 || record->length > TLS_MAX_RECORD) return TLS_BAD;
    return record->length > len - TLS_HEADER ? TLS_INCOMPLETE : TLS_RECORDS;
}

/* Is this record body a plaintext ClientHello or ServerHello? */
static int tls_is_hello(const struct tls_record *record, const u8 *body) {
    return record->type == 22 && record->length >= TLS_HANDSHAKE_HEADER && (body[0] == 1 || body[0] == 2) && body[1] == 0;
}

static u32 tls_handshake_length(const u8 *body) {
    return ((u32)body[1] << 16) | ((u32)body[2] << 8) | body[3];
}

/* FNV-1a, so that two equal hellos can be recognised in a log. */
static u32 tls_fingerprint(const u8 *bytes, u32 len) {
    u32 hash = 2166136261u;
    for (u32 i = 0; i < len; i++) hash = (hash ^ bytes[i]) * 16777619u;
    return hash;
}

#endif
