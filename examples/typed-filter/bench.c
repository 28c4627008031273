/* Sends back what it gets, decoded and encoded again: what a typed call costs. */
#include "bench_hl.h"

hl_status bench_BenchGuest_Echo(hl_call *call, const bench_EchoTable10 *request, bench_EchoTable10 *response) {
    (void)call;
    *response = *request;
    return HL_OK;
}

hl_status bench_BenchGuest_EchoBlob(hl_call *call, const bench_Blob *request, bench_Blob *response) {
    (void)call;
    *response = *request;
    return HL_OK;
}
