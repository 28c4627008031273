/* The network filter of schemas/filter.toml with a libc: peers named in /etc/refused are refused, one a line, and refused
   data is reported on standard error. */
#include "filter_hl.h"

#include <stdio.h>
#include <string.h>

enum { WAIT = 0, HTTP = 1, TLS = 2, REFUSED = -1, LONGEST_HOST = 255 };

static uint64_t forwarded;

static int is_refused(const uint8_t *host, uint32_t len) {
    FILE *file = fopen("/etc/refused", "r");
    if (!file) return 0;
    char line[LONGEST_HOST + 2];
    int found = 0;
    while (!found && fgets(line, sizeof line, file)) {
        size_t end = strcspn(line, "\n");
        found = end == len && memcmp(line, host, len) == 0;
    }
    fclose(file);
    return found;
}

static int32_t kind_of(const uint8_t *data, uint32_t len) {
    if (len < 5) return WAIT;
    if (data[0] >= 20 && data[0] <= 23 && data[1] == 3) return TLS;
    for (uint32_t i = 0; i < len && data[i] >= 'A' && data[i] <= 'Z'; i++)
        if (i + 1 < len && data[i + 1] == ' ') return HTTP;
    return REFUSED;
}

int32_t on_new_connection(uint64_t id, const uint8_t *host, uint32_t host_len, uint32_t port) {
    (void)id;
    forwarded = 0;
    if (host_len == 0 || port == 0 || port > 65535) return -1;
    return is_refused(host, host_len) ? -1 : 1;
}

int32_t on_data(const uint8_t *data, uint32_t data_len) {
    int32_t kind = kind_of(data, data_len);
    if (kind > 0) forwarded += env_forward(data, data_len);
    if (kind == REFUSED) {
        hl_string text = HL_TEXT("neither HTTP/1 nor TLS");
        env_log(1, (const uint8_t *)text.data, text.len);
        fprintf(stderr, "refused %u bytes\n", (unsigned)data_len);
    }
    hl_finish();
    return kind;
}

hl_result summary(const uint8_t *data, uint32_t data_len) {
    int32_t kind = kind_of(data, data_len);
    hl_string text = kind == HTTP   ? HL_TEXT("HTTP/1 request")
                     : kind == TLS  ? HL_TEXT("TLS record")
                     : kind == WAIT ? HL_TEXT("too short to say")
                                    : HL_TEXT("unknown");
    hl_finish();
    return hl_returned(text.data, text.len);
}

uint64_t on_close(void) { return forwarded; }
