// The network filter in C++: refuses all but TLS and echoes what it saw of it. Header-only over the generated C, without
// the standard library.
#include "filter_hl.hpp"

namespace {

net_Totals totals;

// One whole TLS record at the start of `data` (RFC 8446 section 5.1): its length, or 0.
uint32_t whole_record(hl::Bytes data) {
    if (data.size() < 5 || data[0] < 20 || data[0] > 23 || data[1] != 3) return 0;
    uint32_t length = static_cast<uint32_t>(data[3]) << 8 | data[4];
    return length <= 16640 && data.size() - 5 >= length ? length + 5 : 0;
}

struct Filter {
    static hl_status on_new_connection(hl::Call call, net::Connection request, net::AcceptedEdit response) {
        net_Totals_init(&totals);
        auto key = call.make<net::KeyEdit>();
        if (!key) return HL_NO_MEMORY;
        key.name("deny");
        auto deny = net::FilterHost::lookup(call, key);
        if (!deny) return deny.status;  // with the host's text
        bool denied = deny.value.value().present() && deny.value.value() == request.peer().host();
        response.verdict(denied ? net::Verdict::REFUSE : net::Verdict::FORWARD);
        if (denied) response.reason("the peer is denied");
        return HL_OK;
    }

    static hl_status on_data(hl::Call call, net::Data request, net::JudgementEdit response) {
        uint32_t length = whole_record(request.bytes());
        if (length == 0) {
            bool more = !request.end_of_stream() && request.bytes().size() < 5;
            response.verdict(more ? net::Verdict::WAIT : net::Verdict::REFUSE);
            totals.refused += !more;
            return HL_OK;
        }
        auto tls = call.make<net::TlsRecordsEdit>();
        auto forward = call.make<net::ForwardEdit>();
        if (!tls || !forward) return HL_NO_MEMORY;
        tls.records(1).handshake(request.bytes()[0] == 22);
        forward.connection(request.connection()).bytes(request.bytes().sub(0, length));
        auto answer = net::FilterHost::forward(call, forward);
        if (!answer) return answer.status;
        totals.bytes += answer.value.written();
        totals.messages++;
        response.verdict(net::Verdict::FORWARD).consumed(length);
        response.body().tls(tls);
        return HL_OK;
    }

    static hl_status on_close(hl::Call, net::Closed, net::TotalsEdit response) {
        *response.raw() = totals;
        return HL_OK;
    }
};

}  // namespace

HL_IMPLEMENT_net_FilterGuest(Filter)
