//! Builds the in-VM runtime (crates/guest) and checks that it carries the very release of wasmtime that compiles.
//!
//! The artifact's own version check compares only the major number, while layouts changed between patch releases: so
//! the two lock files are compared here, and the build fails when they differ.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "x86_64-unknown-linux-gnu";

fn main() {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let root = here.join("../..");
    let guest = here.join("../guest");
    for path in ["Cargo.toml", "Cargo.lock", "guest.ld", "src", ".cargo", "memfd-stub"] {
        println!("cargo::rerun-if-changed={}", guest.join(path).display());
    }
    println!("cargo::rerun-if-changed={}", here.join("src/tunables.rs").display());
    println!("cargo::rerun-if-changed={}", here.join("../abi/src").display());
    println!("cargo::rerun-if-changed={}", root.join("Cargo.lock").display());

    let compiler = locked_version(&root.join("Cargo.lock"));
    let runtime = locked_version(&guest.join("Cargo.lock"));
    assert!(
        compiler == runtime,
        "the compiler is wasmtime {compiler} and the in-VM runtime wasmtime {runtime}; pin the same release in \
         Cargo.toml and crates/guest/Cargo.toml and update both lock files"
    );
    println!("cargo::rustc-env=HLFUZZ_WASMTIME={compiler}");

    // <target>/<profile>/build/<package>/out: one build of the runtime serves every profile of the host crates
    let shared = out.ancestors().nth(4).map_or_else(|| out.join("runtime"), |target| target.join("runtime"));
    let built = build_runtime(&guest, &shared);
    // a copy of our own, because another profile's build may replace the shared one
    let elf = out.join("runtime.elf");
    fs::copy(&built, &elf).unwrap_or_else(|e| panic!("copying {}: {e}", built.display()));
    println!("cargo::rustc-env=HLFUZZ_RUNTIME_ELF={}", elf.display());
}

/// The one version of `wasmtime` in a lock file.
fn locked_version(lock: &Path) -> String {
    let text = fs::read_to_string(lock).unwrap_or_else(|e| panic!("reading {}: {e}", lock.display()));
    let mut versions = text
        .split("[[package]]")
        .filter(|package| package.contains("\nname = \"wasmtime\"\n"))
        .filter_map(|package| package.split("\nversion = \"").nth(1)?.split('"').next());
    match (versions.next(), versions.next()) {
        (Some(one), None) => one.to_owned(),
        _ => panic!("{} must hold exactly one version of wasmtime", lock.display()),
    }
}

/// Runs a nested cargo for the freestanding workspace; nothing of the outer build may leak in.
fn build_runtime(guest: &Path, target_dir: &Path) -> PathBuf {
    let mut cargo = Command::new(env::var_os("CARGO").expect("cargo sets it"));
    for (key, _) in env::vars_os() {
        let key = key.to_string_lossy().into_owned();
        let keep = key == "CARGO_HOME" || key.starts_with("CARGO_NET") || key.starts_with("CARGO_HTTP");
        let cargo_own = ["CARGO", "RUSTC", "RUSTFLAGS", "RUSTDOC"].iter().any(|p| key.starts_with(p));
        let build_script = ["TARGET", "HOST", "PROFILE", "OPT_LEVEL", "DEBUG", "OUT_DIR", "NUM_JOBS"]
            .contains(&key.as_str());
        if (cargo_own && !keep) || build_script {
            cargo.env_remove(&key);
        }
    }
    let status = cargo
        .current_dir(guest) // its .cargo/config.toml is found from the working directory
        .args(["build", "--release", "--locked", "--target", TARGET, "--target-dir"])
        .arg(target_dir)
        .status()
        .unwrap_or_else(|e| panic!("starting cargo for the in-VM runtime: {e}"));
    assert!(status.success(), "building the in-VM runtime (crates/guest) failed; its output is above");
    target_dir.join(TARGET).join("release/hlfuzz-guest")
}
