//! The compiler's configuration: shared engine settings plus the target and its CPU features.

use wasmtime::{Config, Engine, OptLevel};

use crate::error::Error;
use crate::tunables;

/// What artifacts are compiled for. Naming it turns off inference from the host CPU, which would pick AVX-512 although
/// the VM only enables x87, SSE and AVX state.
pub const TARGET: &str = "x86_64-unknown-linux-gnu";

/// One CPU feature that compiled code may use when the host has it.
struct CpuFeature {
    /// The name of Cranelift's setting.
    setting: &'static str,
    present: bool,
}

macro_rules! cpu_features {
    ($($setting:literal => $name:tt),+ $(,)?) => {
        [$(CpuFeature { setting: $setting, present: std::is_x86_feature_detected!($name) }),+]
    };
}

/// The features that we let the compiler use, never AVX-512.
fn cpu_features() -> [CpuFeature; 12] {
    cpu_features! {
        "has_sse3" => "sse3",
        "has_ssse3" => "ssse3",
        "has_sse41" => "sse4.1",
        "has_sse42" => "sse4.2",
        "has_popcnt" => "popcnt",
        "has_cmpxchg16b" => "cmpxchg16b",
        "has_avx" => "avx",
        "has_avx2" => "avx2",
        "has_fma" => "fma",
        "has_bmi1" => "bmi1",
        "has_bmi2" => "bmi2",
        "has_lzcnt" => "lzcnt",
    }
}

/// Names of the CPU features that artifacts compiled on this machine may use.
pub fn enabled_cpu_features() -> Vec<&'static str> {
    cpu_features().into_iter().filter(|feature| feature.present).map(|feature| feature.setting).collect()
}

/// Makes the engine that compiles guest modules. It can compile but not run.
///
/// # Errors
/// [`Error::Internal`] when the compiler refuses its configuration; that is a bug in this build.
pub fn compiler_engine() -> Result<Engine, Error> {
    let mut config = Config::new();
    tunables::apply(&mut config);
    config.cranelift_opt_level(OptLevel::Speed);
    // Stack walks use frame pointers and trap tables; nothing in the VM reads `.eh_frame`.
    config.native_unwind_info(false);
    config.target(TARGET).map_err(|error| Error::internal("compiler target", &error))?;
    for setting in enabled_cpu_features() {
        // SAFETY: each setting names an x86-64 instruction-set extension that this CPU has, so that code compiled with
        // it runs on this CPU.
        unsafe { config.cranelift_flag_enable(setting) };
    }
    Engine::new(&config).map_err(|error| Error::internal("compiler configuration", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiler_accepts_its_configuration() {
        compiler_engine().expect("engine");
    }

    #[test]
    fn avx512_is_never_enabled() {
        assert!(enabled_cpu_features().iter().all(|name| !name.contains("512")));
    }
}
