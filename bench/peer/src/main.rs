//! Times calls of one Wasm function in-process: on a living instance, and on a fresh instance for each call.
//!
//! `hlfuzz-peer MODULE FUNCTION SAMPLES [I32…]` prints one line of JSON: the peer rows of `hlfuzz bench`. The engine is
//! set up as its authors advise for many short-lived instances: pooling allocator, copy-on-write memory images, pages
//! kept resident. Imported functions return zeros. Pin the process from outside (`taskset`).

mod engine;
mod measure;

use std::process::ExitCode;

use wasmtime::Result;
use wasmtime::error::{Context as _, bail};

const USAGE: &str = "usage: hlfuzz-peer MODULE FUNCTION SAMPLES [I32…]";
/// Exit code for wrong arguments.
const EXIT_USAGE: u8 = 2;
/// Exit code when the module cannot be loaded or run.
const EXIT_FAILED: u8 = 3;

struct Request {
    module: String,
    function: String,
    samples: usize,
    args: Vec<i32>,
}

impl Request {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let (Some(module), Some(function), Some(samples)) = (words.next(), words.next(), words.next()) else {
            bail!("{USAGE}");
        };
        let samples = samples.parse::<usize>().with_context(|| format!("SAMPLES is {samples:?}; {USAGE}"))?;
        if samples == 0 {
            bail!("SAMPLES must be at least 1; {USAGE}");
        }
        let args = words
            .map(|word| word.parse::<i32>().with_context(|| format!("argument {word:?} is no i32; {USAGE}")))
            .collect::<Result<_>>()?;
        Ok(Self { module, function, samples, args })
    }
}

fn run(request: &Request) -> Result<String> {
    let wasm = std::fs::read(&request.module).with_context(|| format!("reading {}", request.module))?;
    let loaded = engine::Loaded::new(&wasm).with_context(|| format!("loading {}", request.module))?;
    let call = measure::living_instance(&loaded, &request.function, &request.args, request.samples)?;
    let fresh = measure::fresh_instances(&loaded, &request.function, &request.args, request.samples)?;
    Ok(format!(
        "{{\"schema\":\"hlfuzz.peer/1\",\"samples\":{},\"call\":{},\"reinstantiate_and_call\":{}}}",
        request.samples,
        call.json(),
        fresh.json()
    ))
}

fn main() -> ExitCode {
    let request = match Request::parse(std::env::args().skip(1)) {
        Ok(request) => request,
        Err(error) => {
            eprintln!("hlfuzz-peer: {error:#}");
            return EXIT_USAGE.into();
        }
    };
    match run(&request) {
        Ok(json) => {
            println!("{json}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("hlfuzz-peer: {error:#}");
            EXIT_FAILED.into()
        }
    }
}
