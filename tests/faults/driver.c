/* Lets every system call of making, using and closing a sandbox fail in turn, and looks at what is left.
 *
 *     driver PHASE GUEST FOLDER
 *
 * For each phase, each error and each call: the phase must end well or with a clear error of the right kind, must leave no
 * descriptor, mapping, timer or thread behind, no half-written file in FOLDER, and must succeed the next time. Prints one
 * line for each promise that was broken, then how many calls were made to fail. */
#define _GNU_SOURCE
#include "shim.h"
#include <dirent.h>
#include <errno.h>
#include <hlfuzz.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HELLO = 1, SPIN, CRASH }; /* positions in the guest's exports */

static uint8_t *wasm;
static size_t wasm_len;
static const char *folder;
static int broken;

/* What a phase needs and makes. */
static hl_module *module;
static hl_template *booted;
static hl_template *taken;
static int saved;
static hl_sandbox *box;
static hl_error error;
static int status;

static const char *phase_name;
static unsigned nth;
static int injected;

static void complain(const char *what, const char *detail) {
    printf("%s: call %u (%s) failing with %s: %s%s%s\n", phase_name, nth, fault_hit(), strerror(injected), what,
           *detail ? ": " : "", detail);
    broken++;
}

static const char *saved_path(void) {
    static char path[4096];
    snprintf(path, sizeof path, "%s/saved", folder);
    return path;
}

static int entries(const char *path) {
    DIR *listing = opendir(path);
    int n = 0;
    while (listing && readdir(listing)) n++;
    if (listing) closedir(listing);
    return n;
}

struct Held {
    int fds, threads;
    long mappings, timers;
};

static struct Held held(void) {
    return (struct Held){entries("/proc/self/fd"), entries("/proc/self/task"), fault_mappings(), fault_timers()};
}

static int more(struct Held now, struct Held before) {
    return now.fds > before.fds || now.threads > before.threads || now.mappings > before.mappings ||
           now.timers > before.timers;
}

/* What is held more than before, at once and a second later: a thread that has ended, one of KVM's own too, is listed
 * in /proc for a moment more. */
static int left(struct Held *now, struct Held before) {
    *now = held();
    for (int i = 0; i < 200 && more(*now, before); i++) {
        usleep(5000);
        *now = held();
    }
    return more(*now, before);
}

/* ---- the phases: each makes something, or uses what is there ---- */

static hl_sandbox_options how(uint32_t transport) {
    hl_sandbox_options options = {.size = sizeof options, .transport = transport, .cpu = -1, .cpu_us = 2000};
    if (transport == HL_TRANSPORT_SPIN) options.cpu_us = 20000; /* busy neighbours steal from a spinning vCPU */
    return options;
}

static void compile(void) {
    hl_module_options options = {.size = sizeof options, .cache_dir = folder};
    module = hl_module_new(wasm, wasm_len, &options, &error);
}
static void boot(void) { booted = hl_template_new(module, NULL, &error); }
static void take_snapshot(void) { taken = hl_snapshot_take(box, &error); }
static void save(void) { saved = hl_snapshot_save(booted, saved_path(), 0, &error) == 0; }
static void restore(void) { taken = hl_snapshot_load(module, NULL, saved_path(), &error); }
static void clone_exit(void) {
    hl_sandbox_options options = how(HL_TRANSPORT_EXIT);
    box = hl_sandbox_new(booted, &options, &error);
}
static void clone_spin(void) {
    hl_sandbox_options options = how(HL_TRANSPORT_SPIN);
    do { /* another program may have claimed the CPU for a while */
        box = hl_sandbox_new(booted, &options, &error);
    } while (!box && error.code == HL_E_CPU && usleep(50000) == 0);
}

/* Calls, a trap, a timeout; stops at the first status that is not the expected one. */
static void use(void) {
    static const struct {
        uint32_t func;
        int status;
    } calls[] = {{HELLO, HL_DONE}, {CRASH, HL_TRAP}, {SPIN, HL_TIMEOUT}, {HELLO, HL_DONE}};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        status = hl_call(box, calls[i].func, NULL, 0, HL_CALL_RESET);
        if (status != calls[i].status) return;
        if (status == HL_DONE && hl_results(box, NULL)->i32 != 42) status = HL_INVALID;
    }
}

static void close_all(void) {
    hl_sandbox_close(box);
    hl_template_free(booted);
    hl_template_free(taken);
    hl_module_free(module);
    box = NULL;
    booted = NULL;
    taken = NULL;
    module = NULL;
}

/* ---- what must hold ---- */

static int right_kind(uint32_t code) {
    switch (injected) {
    case ENOMEM:
        return code == HL_E_OUT_OF_MEMORY || code == HL_E_SNAPSHOT_IO;
    case EMFILE:
        return code == HL_E_OUT_OF_FDS || code == HL_E_SNAPSHOT_IO;
    case ENOSPC:
        return code == HL_E_OUT_OF_MEMORY || code == HL_E_SNAPSHOT_IO;
    default:
        return 0; /* EINTR: made again, never reported */
    }
}

static void check_message(const char *message) {
    char number[32];
    snprintf(number, sizeof number, "(os error %d)", injected);
    if (!strstr(message, number)) complain("the message does not say why", message);
    if (!strchr(message, ':') || !strchr(message, ';')) complain("the message has no place or no next step", message);
}

static void check_made(const void *made) {
    if (made) return;
    if (!right_kind(error.code)) complain("an error of the wrong kind", error.message);
    check_message(error.message);
}

static void check_use(void) {
    if (status == HL_DONE) return;
    if (status != HL_DEAD)
        complain("a status that the call should not have", hl_message(box));
    else if (injected == EINTR)
        complain("an interrupted call is reported", hl_message(box));
    else
        check_message(hl_message(box));
}

/* What is not whole has not got its name. */
static void check_folder(void) {
    DIR *listing = opendir(folder);
    struct dirent *entry;
    while (listing && (entry = readdir(listing)))
        if (entry->d_name[0] == '.' && strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            complain("a temporary file is left", entry->d_name);
    if (listing) closedir(listing);
}

/* Whether the last save ended well or not, what has the name can be loaded. */
static void check_saved(void) {
    hl_template *again = hl_snapshot_load(module, NULL, saved_path(), &error);
    if (!again) complain("the file of a snapshot cannot be loaded", error.message);
    hl_template_free(again);
}

static void empty_folder(void) {
    DIR *listing = opendir(folder);
    struct dirent *entry;
    while (listing && (entry = readdir(listing))) unlinkat(dirfd(listing), entry->d_name, 0);
    if (listing) closedir(listing);
}

enum Phase { COMPILE, LOAD, BOOT, SNAPSHOT, SAVE, RESTORE, CLONE, CLONE_SPIN, USE, USE_SPIN, CLOSE, CLOSE_SPIN, PHASES };
static const char *const NAMES[PHASES] = {"compile", "load",     "boot",  "snapshot", "save", "restore", "clone", "clone-spin",
                                          "use",     "use-spin", "close", "close-spin"};

/* Everything that a phase starts from. */
static void prepare(enum Phase phase) {
    if (phase == COMPILE) empty_folder();
    if (phase > LOAD) compile();
    if (phase > BOOT) boot();
    if (phase == SNAPSHOT || phase == USE || phase == CLOSE) clone_exit();
    if (phase == USE_SPIN || phase == CLOSE_SPIN) clone_spin();
    if (phase == RESTORE) save();
    if (phase == SNAPSHOT) use(); /* a sandbox gets its timer with its first call */
}

static void act(enum Phase phase) {
    switch (phase) {
    case COMPILE:
    case LOAD:
        compile();
        break;
    case BOOT:
        boot();
        break;
    case SNAPSHOT:
        take_snapshot();
        break;
    case SAVE:
        save();
        break;
    case RESTORE:
        restore();
        break;
    case CLONE:
        clone_exit();
        break;
    case CLONE_SPIN:
        clone_spin();
        break;
    case USE:
    case USE_SPIN:
        use();
        break;
    default:
        close_all();
    }
}

static const void *made(enum Phase phase) {
    switch (phase) {
    case COMPILE:
    case LOAD:
        return module;
    case BOOT:
        return booted;
    case SAVE:
        return saved ? &saved : NULL;
    case SNAPSHOT:
    case RESTORE:
        return taken;
    default:
        return box;
    }
}

/* Runs a phase once with a fault, and once without. Returns how many calls the phase makes. */
static unsigned once(enum Phase phase, int kind) {
    prepare(phase);
    memset(&error, 0, sizeof error);
    error.size = sizeof error;
    struct Held before = held();
    fault_arm(kind, nth, injected);
    act(phase);
    unsigned calls = fault_disarm();
    if (nth) {
        if (phase == USE || phase == USE_SPIN)
            check_use();
        else if (phase < USE)
            check_made(made(phase));
        if (phase < USE && !made(phase)) {
            struct Held after;
            if (left(&after, before)) complain("a failed call has left something", "");
        }
    }
    if (phase <= LOAD || phase == SAVE) check_folder();
    if (phase == SAVE) check_saved();
    if (phase == USE || phase == USE_SPIN) { /* another sandbox of the template is not touched */
        hl_sandbox_close(box);
        clone_exit();
    } else if (phase < USE && !made(phase)) {
        if (phase == SNAPSHOT && hl_reset(box) == HL_DEAD) { /* its vCPU could not be read */
            hl_sandbox_close(box);
            clone_exit();
        }
        act(phase);
        if (!made(phase)) complain("it does not work afterwards", error.message);
    }
    if (phase > BOOT && phase < CLOSE && box) {
        use();
        if (nth && status != HL_DONE) { /* the vCPU thread begins when the sandbox is made */
            if (phase != CLONE_SPIN || status != HL_DEAD) complain("what was made does not work", hl_message(box));
            check_message(hl_message(box));
        }
    }
    close_all();
    return calls;
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    folder = argv[3];
    wasm = malloc(1 << 20);
    FILE *file = fopen(argv[2], "rb");
    wasm_len = file ? fread(wasm, 1, 1 << 20, file) : 0;
    if (file) fclose(file);
    enum Phase phase = 0;
    while (phase < PHASES && strcmp(argv[1], NAMES[phase])) phase++;
    if (phase == PHASES) return 2;
    phase_name = NAMES[phase];

    static const struct {
        int error, kind;
    } faults[] = {{EINTR, FAULT_IOCTL}, {ENOMEM, FAULT_ANY}, {EMFILE, FAULT_ANY}, {ENOSPC, FAULT_ANY}};
    unsigned injections = 0;
    once(phase, FAULT_ANY); /* what is made once in a process is made here */
    struct Held before = held();
    /* what these do with one error they do with another; each run takes long */
    size_t kinds = phase == RESTORE || strstr(phase_name, "spin") ? 2 : sizeof faults / sizeof *faults;
    for (size_t i = 0; i < kinds; i++) {
        nth = 0;
        unsigned calls = once(phase, faults[i].kind);
        injected = faults[i].error;
        for (nth = 1; nth <= calls; nth++, injections++) {
            once(phase, faults[i].kind);
            struct Held after;
            if (left(&after, before)) {
                char counts[128];
                snprintf(counts, sizeof counts, "%+d descriptors, %+d threads, %+ld mappings, %+ld timers",
                         after.fds - before.fds, after.threads - before.threads, after.mappings - before.mappings,
                         after.timers - before.timers);
                complain("something is left", counts);
            }
            before = after;
        }
    }
    printf("%u faults, %d broken\n", injections, broken);
    free(wasm);
    return broken != 0;
}
