/* ---- What the host of a native guest reads: lines of the tables ------------------------------------------ */

#if defined(__wasm__)
#define HL_LIST_EXPORT(function, name, type)
#else
#define HL_LIST_EXPORT(function, name, type) \
    static const hl_entry hl_export_##function HL_TABLE("hlfuzz_exports") = { \
        name, type, __extension__(const void *)function, 0};

/* In assembly, because each line needs a section of its own: a linker that collects what nobody uses then leaves out
 * the host functions that the guest does not call. `label` is that of the line. */
#if defined(__PIC__)
#define HL_LINE_FLAGS "aw"
#else
#define HL_LINE_FLAGS "a"
#endif
/* The linker keeps the first section for the sake of the symbol at its start: it is an empty one. */
__asm__(".pushsection hlfuzz_imports,\"" HL_LINE_FLAGS "\",@progbits,unique,0\n.balign 32\n.popsection\n");
#define HL_LIST_IMPORT(number, label, module, name, type) \
    __asm__(".pushsection hlfuzz_imports,\"" HL_LINE_FLAGS "\",@progbits,unique," #number "\n" \
            ".balign 32\n" #label ":\n.quad 771f, 772f, 773f, 0\n.popsection\n" \
            ".pushsection .rodata,\"a\",@progbits\n" \
            "771: .asciz \"" name "\"\n772: .asciz \"" type "\"\n773: .asciz \"" module "\"\n.popsection\n"); \
    extern const hl_entry label __attribute__((visibility("hidden")));
#endif
