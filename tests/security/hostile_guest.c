/* A native guest that means harm: it goes past hlfuzz_guest.h to the mailbox and the doorbell, and lies wherever a guest
   can say something. See test_hostile_native.py. */
#define HLFUZZ_GUEST_IMPLEMENTATION
#include "hlfuzz_guest.h"

#define AT(offset) ((volatile uint32_t *)(HLG_MAILBOX + (uint64_t)(offset)))
#define BELL (*(volatile uint32_t *)0x200000000ul)

HLG_IMPORT("env", "ask", int32_t, ask, int32_t);

static uint64_t hidden[512];
static uint64_t room, own_room[512];

static uint32_t raw(uint32_t word, uint32_t aux, uint32_t posted) {
    *AT(HLG_ANSWER_AUX) = aux;
    *AT(HLG_ANSWER_POSTED) = posted;
    *AT(HLG_ANSWER) = word;
    if (*AT(HLG_TRANSPORT) == 1) BELL = 1;
    uint32_t op;
    while (!(op = *AT(HLG_REQUEST))) __asm__ volatile("pause");
    *AT(HLG_REQUEST) = 0;
    return op;
}

/* Says `word` in the place of an answer, and then nothing any more. */
int32_t lie(int32_t word, int32_t aux, int32_t posted) {
    raw((uint32_t)word, (uint32_t)aux, (uint32_t)posted);
    for (;;) __asm__ volatile("pause");
}

/* Asks the host, and whatever the host says, answers `word`. */
int32_t swallow(int32_t word) {
    *(volatile uint64_t *)AT(HLG_ANSWER_VALUES) = 1;
    raw(HLG_HOSTCALL, 0, 0);
    raw((uint32_t)word, 0, 0);
    for (;;) __asm__ volatile("pause");
}

int32_t ring(int32_t value) {
    for (;;) BELL = (uint32_t)value;
}

int32_t flood(void) {
    for (;;) ask(1);
}

int32_t silent(void) {
    for (;;) __asm__ volatile("pause");
}

/* Gives back the bytes that `data` names: an address and a length. */
hl_result anywhere(const uint8_t *data, uint32_t len) {
    uint64_t named[2] = {0, 0};
    for (uint32_t i = 0; i < len && i < sizeof named; i++) ((uint8_t *)named)[i] = data[i];
    return hl_returned((const uint8_t *)named[0], (uint32_t)named[1]);
}

int32_t set_room(int64_t address) {
    room = (uint64_t)address;
    return 0;
}

/* An allocator that gives out what it was told to. */
void *give_room(uint32_t len) { return len && !room ? own_room : (void *)room; }

int32_t take(const uint8_t *data, uint32_t len) { return len ? data[len - 1] : -1; }

int64_t smash(int32_t bytes) {
    volatile uint8_t here[16];
    for (int32_t i = 0; i < bytes; i++) here[i] = 0x41;
    return here[0];
}

int64_t peek(int64_t address) { return *(volatile int64_t *)address; }

/* Puts `what` wherever a guest can: data, stack, heap, the mailbox, vector registers. */
int64_t hide(int64_t what) {
    volatile uint64_t below[512];
    for (int i = 0; i < 512; i++) hidden[i] = below[i] = (uint64_t)what;
    uint64_t *heap = (uint64_t *)hlg_alloc(65536);
    for (int i = 0; heap && i < 8192; i++) heap[i] = (uint64_t)what;
    for (uint64_t at = 0x18; at < 0x1000; at += 8) *(volatile uint64_t *)AT(at) = (uint64_t)what;
    for (uint64_t at = 0x4020; at < 0x5000; at += 8) *(volatile uint64_t *)AT(at) = (uint64_t)what;
    for (uint64_t at = 0x9000; at < 0xa000; at += 8) *(volatile uint64_t *)AT(at) = (uint64_t)what;
    __asm__ volatile("movq %0, %%xmm7\n movq %0, %%xmm13\n mov %0, %%r10\n movq %0, %%mm3" ::"r"(what)
                     : "xmm7", "xmm13", "r10");
    return (int64_t)(heap ? heap[0] : below[0]);
}

/* Where `hide` puts it: data, the end of the stack, the heap. */
int64_t where(int32_t part) {
    volatile uint64_t here = 0;
    return part == 0 ? (int64_t)(uintptr_t)hidden : part == 1 ? (int64_t)(uintptr_t)&here : *(int64_t *)HLG_BOOT_HEAP;
}

/* How often the complement of `what` stands anywhere that this guest may read, its own registers included. */
int64_t find(int64_t what, int64_t start, int64_t end) {
    uint64_t wanted = ~(uint64_t)what, found = 0, seven, thirteen, ten, three;
    __asm__ volatile("movq %%xmm7, %0\n movq %%xmm13, %1\n mov %%r10, %2\n movq %%mm3, %3"
                     : "=r"(seven), "=r"(thirteen), "=r"(ten), "=r"(three));
    found += (seven == wanted) + (thirteen == wanted) + (ten == wanted) + (three == wanted);
    for (int64_t at = start; at < end; at += 8) found += *(volatile uint64_t *)at == wanted;
    return (int64_t)found;
}

HLG_EXPORT(int32_t, lie, int32_t, int32_t, int32_t);
HLG_EXPORT(int32_t, swallow, int32_t);
HLG_EXPORT(int32_t, ring, int32_t);
HLG_EXPORT(int32_t, flood);
HLG_EXPORT(int32_t, silent);
HLG_EXPORT(hl_result, anywhere, const uint8_t *, uint32_t);
HLG_EXPORT(int32_t, set_room, int64_t);
HLG_EXPORT_AS("hlfuzz_alloc", void *, give_room, uint32_t);
HLG_EXPORT(int32_t, take, const uint8_t *, uint32_t);
HLG_EXPORT(int64_t, smash, int32_t);
HLG_EXPORT(int64_t, peek, int64_t);
HLG_EXPORT(int64_t, hide, int64_t);
HLG_EXPORT(int64_t, where, int32_t);
HLG_EXPORT(int64_t, find, int64_t, int64_t, int64_t);
