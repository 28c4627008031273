//! The two measuring loops and their percentiles.

use std::time::Instant;

use wasmtime::error::bail;
use wasmtime::{AsContext, Func, Result, Store, ValRaw, ValType};

use crate::engine::Loaded;

/// Calls timed as one sample on a living instance: such a call takes about as long as reading the clock.
const CALLS_PER_SAMPLE: u32 = 64;
/// Samples that are thrown away first, in percent of all.
const WARM_UP_PERCENT: usize = 10;

/// Durations of one call, in ns.
pub struct Times {
    sorted: Vec<f64>,
}

impl Times {
    fn new(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        Self { sorted: samples }
    }

    fn percentile(&self, percent: usize) -> f64 {
        self.sorted[(self.sorted.len() - 1) * percent / 100]
    }

    /// `{"p50_ns": …, "p99_ns": …}`
    pub fn json(&self) -> String {
        format!("{{\"p50_ns\":{:.1},\"p99_ns\":{:.1}}}", self.percentile(50), self.percentile(99))
    }
}

/// Calls `function` again and again on one instance; nothing is reset in between.
pub fn living_instance(loaded: &Loaded, function: &str, args: &[i32], samples: usize) -> Result<Times> {
    let (mut store, func) = loaded.instantiate(function)?;
    let mut call = Call::new(&store, func, args)?;
    sampled(samples, || {
        let start = Instant::now();
        for _ in 0..CALLS_PER_SAMPLE {
            call.run(&mut store)?;
        }
        Ok(nanoseconds(start) / f64::from(CALLS_PER_SAMPLE))
    })
}

/// Calls `function` on a fresh instance each time; making and dropping the instance counts.
pub fn fresh_instances(loaded: &Loaded, function: &str, args: &[i32], samples: usize) -> Result<Times> {
    sampled(samples, || {
        let start = Instant::now();
        let (mut store, func) = loaded.instantiate(function)?;
        Call::new(&store, func, args)?.run(&mut store)?;
        drop(store);
        Ok(nanoseconds(start))
    })
}

fn sampled(samples: usize, mut sample: impl FnMut() -> Result<f64>) -> Result<Times> {
    for _ in 0..samples * WARM_UP_PERCENT / 100 {
        sample()?;
    }
    Ok(Times::new((0..samples).map(|_| sample()).collect::<Result<_>>()?))
}

fn nanoseconds(start: Instant) -> f64 {
    start.elapsed().as_nanos() as f64
}

/// A function whose argument types have been checked once.
struct Call {
    func: Func,
    args: Vec<ValRaw>,
    values: Vec<ValRaw>,
}

impl Call {
    fn new(store: impl AsContext, func: Func, args: &[i32]) -> Result<Self> {
        let ty = func.ty(store);
        if ty.params().len() != args.len() || !ty.params().all(|ty| matches!(ty, ValType::I32)) {
            bail!(
                "the function takes {} parameters, which must all be i32, and {} were given",
                ty.params().len(),
                args.len()
            );
        }
        if ty.results().any(|ty| ty.is_ref()) {
            bail!("the function returns a reference; only numbers can be measured");
        }
        let args: Vec<ValRaw> = args.iter().map(|&value| ValRaw::i32(value)).collect();
        let values = vec![ValRaw::i32(0); ty.params().len().max(ty.results().len())];
        Ok(Self { func, args, values })
    }

    fn run(&mut self, store: &mut Store<()>) -> Result<()> {
        self.values[..self.args.len()].copy_from_slice(&self.args);
        // SAFETY: `new` checked that all parameters are i32, and `values` has room for parameters and results.
        unsafe { self.func.call_unchecked(store, &mut self.values[..]) }
    }
}
