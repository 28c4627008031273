/* The network filter with planted faults, each switched on by its name: what the checkers must find.
 *
 *   LEAK         on_new_connection tells a peer the name of the one before it
 *   NEEDS_OPEN   on_data works only after an on_new_connection, whose state may have been wiped
 *   STALE        on_data counts in `consumed` what earlier connections sent
 *   BAD_ENUM     the verdict about data that begins with a zero byte is no member of the enum
 *   BAD_TEXT     the reason for refusing data is the data, which need not be UTF-8
 *   BAD_REQUEST  so is the text that goes to the log */
#include "filter_hl.h"

static char before[64];
static uint32_t before_len, opened, total;

static hl_string kept(hl_call *call) {
    char *text = hl_alloc(call->arena, sizeof before);
    if (!text) return HL_TEXT("");
    for (uint32_t i = 0; i < before_len; i++) text[i] = before[i];
    return (hl_string){text, before_len};
}

static void keep(hl_string text) {
    /* Whole characters: the end of a text that is cut in the middle of one is no UTF-8. */
    before_len = text.len < sizeof before ? text.len : 0;
    for (uint32_t i = 0; i < before_len; i++) before[i] = text.data[i];
}

hl_status net_FilterGuest_on_new_connection(hl_call *call, const net_Connection *request, net_Accepted *response) {
    response->verdict = net_Verdict_FORWARD;
    opened = 1;
#ifdef LEAK
    response->reason = kept(call);
    if (request->peer) keep(request->peer->host);
#else
    (void)call, (void)request, (void)kept, (void)keep;
#endif
    return HL_OK;
}

static void log_text(hl_call *call, hl_string text) {
    net_LogEntry entry;
    net_LogEntry_init(&entry);
    entry.text = text;
    net_FilterHost_log(call, &entry, NULL);
}

hl_status net_FilterGuest_on_data(hl_call *call, const net_Data *request, net_Judgement *response) {
    hl_bytes data = request->bytes;
    hl_string text = {(const char *)data.data, data.len};
    response->verdict = net_Verdict_FORWARD;
    response->consumed = data.len;
#ifdef NEEDS_OPEN
    if (!opened) response->verdict = net_Verdict_REFUSE;
#endif
#ifdef STALE
    response->consumed = total += data.len;
#endif
#ifdef BAD_ENUM
    if (data.len && data.data[0] == 0) response->verdict = (net_Verdict)7;
#endif
#ifdef BAD_TEXT
    if (data.len) response->reason = text;
#endif
#ifdef BAD_REQUEST
    log_text(call, text);
#else
    log_text(call, HL_TEXT("data"));
    (void)text;
#endif
    (void)total;
    return HL_OK;
}

hl_status net_FilterGuest_on_close(hl_call *call, const net_Closed *request, net_Totals *response) {
    (void)call, (void)request, (void)response;
    return HL_OK;
}
