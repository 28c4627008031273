/* A till: adds up prices that the host knows, and prints receipts. `crash` and `spin` are what a hostile guest does.
 * Compiles to Wasm, and to a native guest. */
#ifdef __wasm__
#define EXPORT(name) __attribute__((export_name(name)))
__attribute__((import_module("env"), import_name("price"))) int env_price(int item);
#else
#define HLFUZZ_GUEST_IMPLEMENTATION
#include <hlfuzz_guest.h>
#define EXPORT(name) static /* the table at the end has the names */
HLG_IMPORT("env", "price", int, env_price, int);
#endif

static unsigned char room[4096];
static int served;

EXPORT("alloc") unsigned char *guest_alloc(unsigned len) {
    return len <= sizeof room ? room : 0;
}

/* The sum of the prices of all items, one byte each. */
EXPORT("total") int total(const unsigned char *items, unsigned len) {
    int sum = 0;
    for (unsigned i = 0; i < len; i++)
        sum += env_price(items[i]);
    served++;
    return sum;
}

/* The bytes in upper case, in place; the address and length of what is returned, packed. */
EXPORT("receipt") unsigned long long receipt(unsigned char *text, unsigned len) {
    for (unsigned i = 0; i < len; i++)
        if (text[i] >= 'a' && text[i] <= 'z') text[i] = (unsigned char)(text[i] - 'a' + 'A');
    return (unsigned long long)(unsigned)(unsigned long)text << 32 | len;
}

EXPORT("served") int get_served(void) {
    return served;
}

EXPORT("crash") void crash(void) {
    __builtin_trap();
}

EXPORT("spin") void spin(void) {
    for (volatile int i = 0;; i++) {}
}

#ifndef __wasm__
HLG_EXPORT_AS("alloc", unsigned char *, guest_alloc, unsigned);
HLG_EXPORT(int, total, const unsigned char *, unsigned);
HLG_EXPORT(unsigned long long, receipt, unsigned char *, unsigned);
HLG_EXPORT_AS("served", int, get_served);
HLG_EXPORT(void, crash);
HLG_EXPORT(void, spin);
#endif
