//! Serving requests: calls into the module, calls out of it, memories and globals.

use crate::exchange::{self, exchange, set_text};
use crate::limits::{Exceeded, Limits};
use alloc::string::ToString;
use alloc::vec::Vec;
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::copy_nonoverlapping;
use hlfuzz_abi::{
    Boot, MAX_FRAMES, MAX_VALUES, NO_ALLOCATOR, POSTED_BYTES, PostedHeader, VECTOR_ALLOC_ARGS, VECTOR_BYTES,
    VECTOR_PARAMS, Value, answer, op, trap,
};
use wasmtime::*;

/// An export by its position in the module's list; what cannot be asked for is `Other`.
#[derive(Clone, Copy)]
enum Slot {
    Func { func: Func, params: u32, results: u32 },
    Memory(Memory),
    Global(Global),
    Other,
}

pub struct State {
    pub limits: Limits,
    exports: Vec<Slot>,
    memory: Option<Memory>,
}

impl State {
    pub fn new(record: &Boot) -> Self {
        Self { limits: Limits::new(record), exports: Vec::new(), memory: None }
    }
}

/// Fills the export table. The default memory is the one named "memory" (`named`), else the first.
pub fn register(store: &mut Store<State>, exports: &[Extern], named: &[bool]) {
    let mut slots = Vec::with_capacity(exports.len());
    let mut memory = None;
    for (position, export) in exports.iter().enumerate() {
        slots.push(match export {
            Extern::Func(func) => {
                let ty = func.ty(&*store);
                Slot::Func {
                    func: *func,
                    params: ty.params().len() as u32,
                    results: ty.results().len() as u32,
                }
            }
            Extern::Memory(it) => {
                if memory.is_none() || named.get(position) == Some(&true) {
                    memory = Some(*it);
                }
                Slot::Memory(*it)
            }
            Extern::Global(global) => Slot::Global(*global),
            _ => Slot::Other,
        });
    }
    let state = store.data_mut();
    state.exports = slots;
    state.memory = memory;
}

/// Dead stack that booting leaves behind, so that the snapshot holds zeros where small calls will write.
const BOOT_STACK: usize = 16 << 10;
/// Native stack of a small call.
const CALL_STACK: usize = 640;

/// Answers requests until the VM is gone.
pub fn forever(store: &mut Store<State>) -> ! {
    exchange::answer_header(0, 0);
    publish_memory(&mut *store);
    exchange::clean_stack::<BOOT_STACK>();
    let mut word = answer::DONE;
    loop {
        let request = exchange(word);
        word = request_once(&mut *store, request);
        publish_memory(&mut *store);
        exchange::clean_stack::<CALL_STACK>();
    }
}

/// Serves one request that may come at any time: while idle, or while a host function runs.
fn request_once(mut store: impl AsContextMut<Data = State>, request: u32) -> u32 {
    let slot = || store.as_context().data().exports.get(exchange::request_index() as usize).copied();
    match request {
        op::CALL => match slot() {
            Some(Slot::Func { func, params, results }) => call(store, func, params, results),
            _ => refuse("no exported function at that position"),
        },
        op::BYTES => match slot() {
            Some(Slot::Func { func, params, results }) => call_bytes(store, func, params, results),
            _ => refuse("no exported function at that position"),
        },
        op::MEMORY => match slot() {
            Some(Slot::Memory(memory)) => {
                let (base, len) = (memory.data_ptr(&store) as u64, memory.data_size(&store) as u64);
                // SAFETY: the block holds at least one value.
                unsafe { *exchange::answer_values() = [base, len] };
                done(1)
            }
            _ => refuse("no exported memory at that position"),
        },
        op::GLOBAL_GET => match slot() {
            Some(Slot::Global(global)) => match raw_of(global.get(&mut store)) {
                Some(raw) => {
                    // SAFETY: the block holds at least one value.
                    unsafe { *exchange::answer_values() = raw };
                    done(1)
                }
                None => refuse("the global holds a reference"),
            },
            _ => refuse("no exported global at that position"),
        },
        op::GLOBAL_SET => match slot() {
            Some(Slot::Global(global)) => {
                // SAFETY: the block holds at least one value.
                let raw = unsafe { *exchange::request_values() };
                let content = global.ty(&store).content().clone();
                match value_of(&content, raw).map(|value| global.set(&mut store, value)) {
                    Some(Ok(())) => done(0),
                    Some(Err(error)) => refuse(&error.to_string()),
                    None => refuse("the global holds a reference"),
                }
            }
            _ => refuse("no exported global at that position"),
        },
        op::NOP => done(0),
        _ => refuse("unknown request"),
    }
}

fn done(n: u32) -> u32 {
    exchange::answer_header(0, n);
    answer::DONE
}

fn refuse(why: &str) -> u32 {
    set_text(why);
    exchange::answer_header(0, 0);
    answer::REFUSED
}

/// Runs an export. Arguments and results are passed in the answer block itself: the compiled entry reads all of its
/// arguments before it runs and writes all results after, so host calls in between may use the block.
fn call(mut store: impl AsContextMut<Data = State>, func: Func, params: u32, results: u32) -> u32 {
    if exchange::request_n() != params {
        return refuse("wrong number of arguments");
    }
    let values = exchange::answer_values();
    // SAFETY: both blocks hold MAX_VALUES values, which is the most a function type can have; the host has checked
    // the argument types against the module's.
    let outcome = unsafe {
        copy_nonoverlapping(exchange::request_values(), values, params as usize);
        let slots =
            core::ptr::slice_from_raw_parts_mut(values.cast::<ValRaw>(), params.max(results) as usize);
        func.call_unchecked(&mut store, slots)
    };
    match outcome {
        Ok(()) => done(results),
        Err(error) => failed(store, &error),
    }
}

fn failed(mut store: impl AsContextMut<Data = State>, error: &Error) -> u32 {
    let _ = store.as_context_mut().take_pending_exception();
    answer_failure(error, answer::TRAP)
}

/// Answers with an error: where it happened, and what it was. Returns the answer word: `otherwise` for an error that is
/// neither a trap nor a failed host function.
pub fn answer_failure(error: &Error, otherwise: u32) -> u32 {
    let (word, aux) = classify(error);
    let frames = if word == answer::TRAP { put_frames(error) } else { 0 };
    exchange::answer_header(aux, frames);
    if aux == trap::OTHER { otherwise } else { word }
}

/// Leaves the frames of the trap as values; returns their number.
fn put_frames(error: &Error) -> u32 {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return 0 };
    let mut count = 0;
    for frame in trace.frames().iter().take(MAX_FRAMES) {
        let offset = frame.module_offset().map_or(u64::MAX, |offset| offset as u64);
        // SAFETY: the block holds more values than there are frames.
        unsafe { *exchange::answer_values().add(count as usize) = [u64::from(frame.func_index()), offset] };
        count += 1;
    }
    count
}

/// `call` with a byte vector: room from the allocator, the bytes, the call, in one exchange.
fn call_bytes(mut store: impl AsContextMut<Data = State>, func: Func, params: u32, results: u32) -> u32 {
    let (head, data) = exchange::request_vector();
    let (at, len) = (head.at as usize, head.len as usize);
    let fits = params as usize <= VECTOR_PARAMS && at + 2 <= params as usize && len <= VECTOR_BYTES;
    if exchange::request_n() != params || !fits || head.n_alloc as usize > VECTOR_ALLOC_ARGS {
        return refuse("wrong number of arguments");
    }
    let mut args = [[0; 2]; VECTOR_PARAMS];
    // The answer of a host function that the allocator calls would lie where the arguments are.
    // SAFETY: the block holds MAX_VALUES values.
    unsafe { copy_nonoverlapping(exchange::request_values(), args.as_mut_ptr(), params as usize) };
    let address = if head.alloc == NO_ALLOCATOR {
        head.scratch as usize
    } else {
        let alloc = match store.as_context().data().exports.get(head.alloc as usize).copied() {
            Some(Slot::Func { func, params, results: 1 }) if params == head.n_alloc => func,
            _ => return refuse("no allocator at that position"),
        };
        let mut values = [[0; 2]; VECTOR_ALLOC_ARGS];
        for (value, arg) in values.iter_mut().zip(head.alloc_args) {
            value[0] = arg;
        }
        // SAFETY: it holds more values than the function has parameters and results; the host has checked the types.
        let outcome = unsafe {
            let count = head.n_alloc.max(1) as usize;
            let slots = core::ptr::slice_from_raw_parts_mut(values.as_mut_ptr().cast::<ValRaw>(), count);
            alloc.call_unchecked(&mut store, slots)
        };
        if let Err(error) = outcome {
            return failed(store, &error);
        }
        values[0][0] as u32 as usize
    };
    let Some(memory) = store.as_context().data().memory else {
        return refuse("no exported memory for the bytes");
    };
    let size = memory.data_size(&store);
    let no_room = address == 0 && len != 0 && head.alloc != NO_ALLOCATOR;
    if no_room || address > size || len > size - address {
        // SAFETY: the block holds at least one value.
        unsafe { *exchange::answer_values() = [address as u64, 0] };
        exchange::answer_header(0, 1);
        return answer::NO_ROOM;
    }
    (args[at], args[at + 1]) = ([address as u64, 0], [len as u64, 0]);
    let values = exchange::answer_values();
    // SAFETY: `address` and `len` are inside memory; the rest as in `call`.
    let outcome = unsafe {
        copy_nonoverlapping(data, memory.data_ptr(&store).add(address), len);
        copy_nonoverlapping(args.as_ptr(), values, params as usize);
        let slots =
            core::ptr::slice_from_raw_parts_mut(values.cast::<ValRaw>(), params.max(results) as usize);
        func.call_unchecked(&mut store, slots)
    };
    match outcome {
        Ok(()) => {
            exchange::answer_header(address as u32, results);
            answer::DONE
        }
        Err(error) => failed(store, &error),
    }
}

/// What unwinds a guest whose host function failed.
#[derive(Debug)]
struct HostFailed;

impl fmt::Display for HostFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a host function failed")
    }
}

impl core::error::Error for HostFailed {}

/// The answer word and code for an error; leaves a text where the code alone does not say it.
fn classify(error: &Error) -> (u32, u32) {
    if let Some(code) = error.downcast_ref::<Trap>() {
        return (answer::TRAP, *code as u32);
    }
    if error.downcast_ref::<HostFailed>().is_some() {
        return (answer::HOST_FAILED, 0);
    }
    if error.downcast_ref::<ThrownException>().is_some() {
        return (answer::TRAP, trap::EXCEPTION);
    }
    set_text(&alloc::format!("{error:#}"));
    (answer::TRAP, error.downcast_ref::<Exceeded>().map_or(trap::OTHER, |limit| limit.code))
}

fn publish_memory(store: impl AsContext<Data = State>) {
    let context = store.as_context();
    if let Some(memory) = context.data().memory {
        exchange::answer_memory(memory.data_ptr(&context) as u64, memory.data_size(&context) as u64);
    }
}

/// A start function may call out before the export table exists.
fn publish_memory_while_starting(caller: &mut Caller<'_, State>) {
    if let Some(Extern::Memory(memory)) = caller.get_export("memory") {
        exchange::answer_memory(memory.data_ptr(&caller) as u64, memory.data_size(&caller) as u64);
    }
}

/// The import at `index`: hands its arguments to the host and waits, serving nested requests meanwhile.
pub fn host_function(store: &mut Store<State>, index: usize, ty: FuncType) -> Func {
    let (params, results) = (ty.params().len(), ty.results().len());
    // SAFETY: `values` holds max(params, results) slots of the declared types; the host checks result types.
    unsafe {
        Func::new_unchecked(store, ty, move |mut caller: Caller<'_, State>, values| {
            let values = values.as_mut_ptr();
            if results == 0 && post(&mut caller, index, params, values) {
                return Ok(());
            }
            copy_nonoverlapping(values.cast(), exchange::answer_values(), params.min(MAX_VALUES));
            let mut word = answer::HOSTCALL;
            exchange::answer_header(index as u32, params as u32);
            loop {
                publish_memory(&caller);
                if caller.data().memory.is_none() {
                    publish_memory_while_starting(&mut caller);
                }
                match exchange(word) {
                    op::RESUME => {
                        copy_nonoverlapping(exchange::request_values(), values.cast(), results);
                        return Ok(());
                    }
                    op::FAIL => return Err(HostFailed.into()),
                    nested => word = request_once(&mut caller, nested),
                }
            }
        })
    }
}

/// Queues a call that wants no answer; false when it must be made the ordinary way (not posted, queue full, or bytes
/// that are not in memory, which the host will refuse with a reason).
///
/// # Safety
/// `values` holds `params` slots.
unsafe fn post(
    caller: &mut Caller<'_, State>,
    index: usize,
    params: usize,
    values: *const MaybeUninit<ValRaw>,
) -> bool {
    let mode = exchange::posted_mode(index) as usize;
    if mode == 0 {
        return false;
    }
    let values = values.cast::<Value>();
    let mut source: (*const u8, usize) = (core::ptr::null(), 0);
    if mode >= 2 {
        let at = mode - 2;
        let Some(memory) = caller.data().memory else { return false };
        if at + 1 >= params {
            return false;
        }
        // SAFETY: at + 1 < params.
        let (ptr, len) =
            unsafe { ((*values.add(at))[0] as u32 as usize, (*values.add(at + 1))[0] as u32 as usize) };
        let size = memory.data_size(&caller);
        if ptr > size || len > size - ptr || len > POSTED_BYTES {
            return false;
        }
        source = (memory.data_ptr(&caller).wrapping_add(ptr), len);
    }
    let used = exchange::posted_used() as usize;
    let need = size_of::<PostedHeader>() + params * size_of::<Value>() + source.1.next_multiple_of(16);
    if used > POSTED_BYTES || need > POSTED_BYTES - used {
        return false;
    }
    // SAFETY: `need` bytes fit behind `used`; `source` was checked against the memory's size.
    unsafe {
        let entry = exchange::posted_area().add(used);
        let header =
            PostedHeader { import: index as u32, n: params as u32, bytes: source.1 as u32, reserved: 0 };
        entry.cast::<PostedHeader>().write(header);
        let body = entry.add(size_of::<PostedHeader>());
        copy_nonoverlapping(values.cast::<u8>(), body, params * size_of::<Value>());
        copy_nonoverlapping(source.0, body.add(params * size_of::<Value>()), source.1);
    }
    exchange::set_posted_used((used + need) as u32);
    true
}

/// A value of type `ty` from its raw form; none for references.
pub fn value_of(ty: &ValType, raw: Value) -> Option<Val> {
    Some(match ty {
        ValType::I32 => Val::I32(raw[0] as i32),
        ValType::I64 => Val::I64(raw[0] as i64),
        ValType::F32 => Val::F32(raw[0] as u32),
        ValType::F64 => Val::F64(raw[0]),
        ValType::V128 => Val::V128(V128::from(u128::from(raw[0]) | u128::from(raw[1]) << 64)),
        ValType::Ref(_) => return None,
    })
}

fn raw_of(value: Val) -> Option<Value> {
    Some(match value {
        Val::I32(v) => [u64::from(v as u32), 0],
        Val::I64(v) => [v as u64, 0],
        Val::F32(v) => [u64::from(v), 0],
        Val::F64(v) => [v, 0],
        Val::V128(v) => [v.as_u128() as u64, (v.as_u128() >> 64) as u64],
        _ => return None,
    })
}
