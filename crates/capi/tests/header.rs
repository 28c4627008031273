//! include/hlfuzz.h is what this crate really exports, and a C compiler sees the same sizes as Rust.

use hlfuzz::*;
use std::path::Path;
use std::process::Command;

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_committed_header_is_current() {
    let config = cbindgen::Config::from_file(here().join("cbindgen.toml")).unwrap();
    let mut bytes = Vec::new();
    cbindgen::generate_with_config(here(), config).unwrap().write(&mut bytes);
    let fresh = String::from_utf8(bytes).unwrap();
    let path = here().join("include/hlfuzz.h");
    if std::env::var_os("HLFUZZ_WRITE_HEADER").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == fresh,
        "include/hlfuzz.h is stale: run `HLFUZZ_WRITE_HEADER=1 cargo test -p hlfuzz-capi --test header`"
    );
}

#[test]
fn c_and_rust_agree_on_every_layout() {
    let sizes = [
        ("hl_value", size_of::<hl_value>()),
        ("hl_error", size_of::<hl_error>()),
        ("hl_module_options", size_of::<hl_module_options>()),
        ("hl_template_options", size_of::<hl_template_options>()),
        ("hl_sandbox_options", size_of::<hl_sandbox_options>()),
        ("hl_hostcall_info", size_of::<hl_hostcall_info>()),
        ("hl_trap_info", size_of::<hl_trap_info>()),
        ("hl_stats", size_of::<hl_stats>()),
        ("hl_probe_info", size_of::<hl_probe_info>()),
        ("hl_bytes_call", size_of::<hl_bytes_call>()),
        ("hl_difference", size_of::<hl_difference>()),
        ("hl_register", size_of::<hl_register>()),
        ("hl_verifier_options", size_of::<hl_verifier_options>()),
        ("hl_snapshot_info", size_of::<hl_snapshot_info>()),
        ("hl_wire_fault", size_of::<hl_wire_fault>()),
    ];
    let mut source = String::from("#include \"hlfuzz.h\"\n");
    for (name, size) in sizes {
        source += &format!("_Static_assert(sizeof({name}) == {size}, \"{name}\");\n");
    }
    source += &format!(
        "_Static_assert(offsetof(hl_stats, vcpu_cpu) == {}, \"vcpu_cpu\");\n",
        std::mem::offset_of!(hl_stats, vcpu_cpu)
    );
    let dir = tempfile_dir();
    let file = dir.join("layout.c");
    std::fs::write(&file, source).unwrap();
    let status = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only", "-I"])
        .arg(here().join("include"))
        .arg(&file)
        .status()
        .expect("a C compiler");
    std::fs::remove_dir_all(&dir).unwrap();
    assert!(status.success());
}

fn tempfile_dir() -> std::path::PathBuf {
    let dir = std::env::temp_dir().join(format!("hlfuzz-header-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}
