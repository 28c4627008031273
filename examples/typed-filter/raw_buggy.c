/* The raw filter with two planted faults: `summary` answers with the chunk of the call before it, and `on_data`
 * works only after an on_new_connection, whose state may have been wiped. */
#include "filter_hl.h"

static uint8_t before[64];
static uint32_t before_len;
static bool opened;

int32_t on_new_connection(uint64_t id, const uint8_t *host, uint32_t host_len, uint32_t port) {
    (void)id, (void)host, (void)host_len, (void)port;
    opened = true;
    return 1;
}

int32_t on_data(const uint8_t *data, uint32_t data_len) {
    (void)data, (void)data_len;
    hl_finish();
    return opened ? 1 : -1;
}

hl_result summary(const uint8_t *data, uint32_t data_len) {
    static uint8_t answer[sizeof before];
    uint32_t len = before_len;
    for (uint32_t i = 0; i < len; i++) answer[i] = before[i];
    before_len = data_len < sizeof before ? data_len : sizeof before;
    for (uint32_t i = 0; i < before_len; i++) before[i] = data[i];
    hl_finish();
    return hl_returned(answer, len);
}

uint64_t on_close(void) { return 0; }
