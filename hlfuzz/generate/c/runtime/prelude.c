/* Names and texts are one literal, as long as the schema has many. */
#pragma GCC diagnostic ignored "-Woverlength-strings"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the wire formats are read in place: the target must be little endian"
#endif

#define HL_LOCAL static __attribute__((unused))
#define HL_COLD static __attribute__((unused, noinline, cold))
#ifndef HL_MAX_DEPTH
#define HL_MAX_DEPTH 64u /* records inside records, as in the host's verifier */
#endif
#define HL_MAX_TABLES 1000000u
#define HL_MAX_BYTES 0x7fffffffu
#define HL_NONE 0xffffffffu
