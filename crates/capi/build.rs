//! Names the shared library by the version of its interface, so that a program never loads one that it was not built for.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/codes.rs");
    let codes = std::fs::read_to_string("src/codes.rs").expect("src/codes.rs");
    let line = codes.lines().find_map(|line| line.strip_prefix("pub const HL_ABI_VERSION: u32 = "));
    let version = line.and_then(|rest| rest.strip_suffix(';')).expect("HL_ABI_VERSION in src/codes.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libhlfuzz.so.{version}");
}
