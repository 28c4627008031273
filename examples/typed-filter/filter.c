/* A network filter over messages: forwards HTTP/1 requests and TLS records, refuses the rest.
 *
 * One source for schemas/filter.fbs and schemas/filter.proto: the generated structs are the same but for the name
 * of the union. What it counts between on_new_connection and on_close lives in its own statics. */
#include "filter_hl.h"
#include "http1.h"

#ifdef FILTER_PROTO
#define BODY(variant) net_Judgement_body_##variant
#else
#define BODY(variant) net_Body_##variant
#endif

enum { NO_PEER = HL_APPLICATION };

static net_Totals totals;

static void log_text(hl_call *call, net_Level level, hl_string text) {
    net_LogEntry entry;
    net_LogEntry_init(&entry);
    entry.level = level;
    entry.text = text;
    net_FilterHost_log(call, &entry, NULL); /* a log that fails is no reason to fail */
}

hl_status net_FilterGuest_on_new_connection(hl_call *call, const net_Connection *request, net_Accepted *response) {
    net_Totals_init(&totals);
    if (!request->peer || request->peer->host.len == 0) return hl_fail(call, NO_PEER, "a connection without a peer");
    net_Key key = {.name = HL_TEXT("deny")};
    const net_Setting *deny;
    hl_status status = net_FilterHost_lookup(call, &key, &deny);
    if (status != HL_OK) return status; /* with the host's text */
    response->verdict = net_Verdict_FORWARD;
    if (deny->value.data && hl_equal(deny->value, request->peer->host)) {
        response->verdict = net_Verdict_REFUSE;
        response->reason = HL_TEXT("the peer is denied");
        log_text(call, net_Level_WARNING, response->reason);
    }
    return HL_OK;
}

/* Whole TLS records (RFC 8446 section 5.1) from the start of `data`; their length together, 0 when it is not TLS. */
static uint32_t whole_records(hl_bytes data, net_TlsRecords *found) {
    uint32_t at = 0;
    while (data.len - at >= 5) {
        const uint8_t *record = data.data + at;
        uint32_t len = (uint32_t)record[3] << 8 | record[4];
        if (record[0] < 20 || record[0] > 23 || record[1] != 3 || len > 16640) return 0;
        if (data.len - at - 5 < len) break;
        found->handshake |= record[0] == 22;
        found->records++;
        at += 5 + len;
    }
    return at;
}

static hl_status forward(hl_call *call, const net_Data *request, net_Judgement *response) {
    net_Forward sent;
    net_Forward_init(&sent);
    sent.connection = request->connection;
    sent.bytes = (hl_bytes){request->bytes.data, response->consumed};
    const net_Forwarded *answer;
    hl_status status = net_FilterHost_forward(call, &sent, &answer);
    if (status != HL_OK) return status;
    totals.bytes += answer->written;
    totals.messages++;
    response->verdict = net_Verdict_FORWARD;
    return HL_OK;
}

hl_status net_FilterGuest_on_data(hl_call *call, const net_Data *request, net_Judgement *response) {
    hl_bytes data = request->bytes;
    net_HttpHead *head = hl_alloc(call->arena, sizeof *head);
    net_TlsRecords *tls = hl_alloc(call->arena, sizeof *tls);
    if (!head || !tls) return HL_NO_MEMORY;
    head_result result = parse_head(call->arena, data.data, data.len, head, &response->consumed);
    if (result == HEAD_OK) {
        response->body.tag = BODY(http);
        response->body.value.http = head;
        return forward(call, request, response);
    }
    net_TlsRecords_init(tls);
    if (result == HEAD_OTHER && (response->consumed = whole_records(data, tls)) != 0) {
        response->body.tag = BODY(tls);
        response->body.value.tls = tls;
        return forward(call, request, response);
    }
    bool more = result == HEAD_INCOMPLETE || (result == HEAD_OTHER && data.len < 5);
    if (more && !request->end_of_stream) return HL_OK; /* WAIT is the default */
    totals.refused++;
    response->verdict = net_Verdict_REFUSE;
    response->reason = result == HEAD_BAD ? HL_TEXT("malformed HTTP/1") : HL_TEXT("neither HTTP/1 nor TLS");
    log_text(call, net_Level_INFO, response->reason);
    return HL_OK;
}

hl_status net_FilterGuest_on_close(hl_call *call, const net_Closed *request, net_Totals *response) {
    (void)call;
    (void)request;
    *response = totals;
    return HL_OK;
}
