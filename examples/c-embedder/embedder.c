/* A host in C: loads a guest, gives it one host function, and shows what happens when the guest misbehaves.
 *
 *     embedder guest.wasm
 *     embedder guest.elf */
#include <hlfuzz.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the host function env.price knows: -1 for an item that is not for sale. */
static int32_t price(int32_t item) {
    return item == 'a' ? 120 : item == 'b' ? 250 : -1;
}

static uint8_t *read_file(const char *path, size_t *len) {
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = NULL;
    *len = 0;
    if (file && fseek(file, 0, SEEK_END) == 0) {
        long size = ftell(file);
        rewind(file);
        bytes = size > 0 ? malloc((size_t)size) : NULL;
        if (bytes) *len = fread(bytes, 1, (size_t)size, file);
    }
    if (file) fclose(file);
    return bytes;
}

/* A Wasm module, or a native guest: apart from this they are used alike. */
static hl_module *load(const uint8_t *bytes, size_t len, hl_error *error) {
    int native = len >= 4 && memcmp(bytes, "\177ELF", 4) == 0;
    return (native ? hl_module_new_elf : hl_module_new)(bytes, len, NULL, error);
}

/* Answers host calls until the call has ended. */
static int finish(hl_sandbox *box, int status) {
    while (status == HL_HOSTCALL) {
        hl_hostcall_info call;
        hl_hostcall(box, &call); /* the module has one import, so `import` is 0 */
        int32_t cents = price(call.args[0].i32);
        if (cents < 0) {
            const char *why = "not for sale";
            status = hl_fail(box, why, strlen(why));
        } else {
            hl_value result;
            memset(&result, 0, sizeof result);
            result.i32 = cents;
            status = hl_resume(box, &result, 1);
        }
    }
    return status;
}

/* Calls an export with bytes, which go where the guest's allocator says. */
static int with_bytes(hl_sandbox *box, const hl_module *module, const char *name, uint32_t form, const char *text,
                      uint32_t flags) {
    hl_value none[2], len;
    memset(none, 0, sizeof none);
    memset(&len, 0, sizeof len);
    hl_bytes_call call = {.size = sizeof call,
                          .func = (uint32_t)hl_module_export(module, name),
                          .args = none,
                          .n_args = 2,
                          .form = form,
                          .alloc_func = (uint32_t)hl_module_export(module, "alloc"),
                          .alloc_args = &len,
                          .n_alloc_args = 1};
    return finish(box, hl_call_bytes(box, &call, (const uint8_t *)text, strlen(text), flags));
}

static int call(hl_sandbox *box, const hl_module *module, const char *name, uint32_t flags) {
    return finish(box, hl_call(box, (uint32_t)hl_module_export(module, name), NULL, 0, flags));
}

static void show(const char *what, hl_sandbox *box, int status) {
    hl_trap_info trap = {.size = sizeof trap};
    uint32_t n;
    if (status == HL_DONE) {
        const hl_value *results = hl_results(box, &n);
        printf("%s: %d\n", what, n ? results[0].i32 : 0);
    } else if (status == HL_TRAP && hl_trap(box, &trap) == 0) {
        printf("%s: trap: %.*s\n", what, (int)trap.message_len, trap.message);
    } else {
        printf("%s: %s\n", what, status == HL_TIMEOUT ? "timeout" : hl_message(box));
    }
}

static void use(hl_sandbox *box, const hl_module *module) {
    show("two a, one b", box, with_bytes(box, module, "total", HL_BYTES_NONE, "aab", HL_CALL_RESET));
    show("one z", box, with_bytes(box, module, "total", HL_BYTES_NONE, "az", HL_CALL_RESET));

    if (with_bytes(box, module, "receipt", HL_BYTES_PACKED, "thank you", HL_CALL_RESET) == HL_DONE) {
        uint64_t len;
        const uint8_t *bytes = hl_result_bytes(box, &len);
        printf("receipt: %.*s\n", (int)len, (const char *)bytes);
    }

    /* state lasts until the reset, which is what a call context is */
    with_bytes(box, module, "total", HL_BYTES_NONE, "a", 0);
    with_bytes(box, module, "total", HL_BYTES_NONE, "b", 0);
    show("served in the context", box, call(box, module, "served", 0));
    hl_reset(box);
    show("served after it", box, call(box, module, "served", HL_CALL_RESET));

    show("crash", box, call(box, module, "crash", HL_CALL_RESET));
    hl_set_deadline(box, 20000, 0);
    show("spin", box, call(box, module, "spin", HL_CALL_RESET));
    hl_set_deadline(box, 0, 0);
    show("two b", box, with_bytes(box, module, "total", HL_BYTES_NONE, "bb", HL_CALL_RESET));
}

int main(int argc, char **argv) {
    if (argc != 2 || hl_abi_version() != HL_ABI_VERSION) {
        fprintf(stderr, "usage: embedder GUEST (with a library of version %d)\n", HL_ABI_VERSION);
        return 2;
    }
    size_t len;
    uint8_t *bytes = read_file(argv[1], &len);
    hl_error error = {.size = sizeof error};
    hl_module *module = load(bytes, len, &error);
    free(bytes);
    hl_template *booted = module ? hl_template_new(module, NULL, &error) : NULL;
    hl_sandbox_options options = {.size = sizeof options, .transport = HL_TRANSPORT_EXIT, .cpu = -1};
    hl_sandbox *box = booted ? hl_sandbox_new(booted, &options, &error) : NULL;
    if (box)
        use(box, module);
    else
        fprintf(stderr, "%s: %s\n", argv[1], error.message);
    int failed = !box;
    hl_sandbox_close(box);
    hl_template_free(booted);
    hl_module_free(module);
    return failed;
}
