//! The guest's half of the handshake: publish an answer, wait for the next request.

use core::arch::asm;
use core::mem::offset_of;
use core::ptr::{read_volatile, write_volatile};
use hlfuzz_abi::{Control, Mailbox, Value, VectorHead, bell, map, transport};

/// Address of a field of the mailbox, which is mapped for as long as the VM exists.
macro_rules! field {
    ($($path:tt)+) => {
        (map::MAILBOX as usize + offset_of!(Mailbox, $($path)+)) as *mut _
    };
}

/// Index, count and values of the request that `exchange` returned.
pub fn request_index() -> u32 {
    // SAFETY: mailbox memory, see `field`.
    unsafe { read_volatile::<u32>(field!(to_guest.index)) }
}

pub fn request_n() -> u32 {
    // SAFETY: mailbox memory, see `field`.
    unsafe { read_volatile::<u32>(field!(to_guest.n)) }
}

pub fn request_values() -> *mut Value {
    field!(to_guest.values)
}

pub fn answer_values() -> *mut Value {
    field!(from_guest.values)
}

/// Everything of an answer but its word.
pub fn answer_header(aux: u32, n: u32) {
    // SAFETY: mailbox memory, see `field`.
    unsafe {
        write_volatile(field!(from_guest.aux), aux);
        write_volatile(field!(from_guest.n), n);
    }
}

pub fn answer_memory(base: u64, len: u64) {
    // SAFETY: mailbox memory, see `field`.
    unsafe {
        write_volatile(field!(from_guest.memory), base);
        write_volatile(field!(from_guest.memory_len), len);
    }
}

/// The head of a byte vector, read once, and its bytes.
pub fn request_vector() -> (VectorHead, *const u8) {
    let data: *mut u8 = field!(vector.data);
    // SAFETY: mailbox memory, see `field`; every bit pattern is a head.
    (unsafe { read_volatile::<VectorHead>(field!(vector.head)) }, data)
}

pub fn posted_used() -> u32 {
    // SAFETY: mailbox memory, see `field`.
    unsafe { read_volatile::<u32>(field!(from_guest.posted)) }
}

pub fn set_posted_used(bytes: u32) {
    // SAFETY: mailbox memory, see `field`.
    unsafe { write_volatile(field!(from_guest.posted), bytes) }
}

fn posted_modes() -> *const u8 {
    field!(posted_modes)
}

pub fn posted_mode(import: usize) -> u8 {
    if import >= hlfuzz_abi::POSTED_MODES {
        return 0;
    }
    // SAFETY: mailbox memory, index checked.
    unsafe { read_volatile(posted_modes().add(import)) }
}

pub fn posted_area() -> *mut u8 {
    field!(posted)
}

/// Leaves a message beside the next answer; what does not fit is cut.
pub fn set_text(text: &str) {
    let n = text.len().min(hlfuzz_abi::TEXT_BYTES);
    // SAFETY: `n` bytes fit the text area.
    unsafe {
        core::ptr::copy_nonoverlapping(text.as_ptr(), field!(text.bytes), n);
        write_volatile(field!(text.len), n as u32);
    }
}

/// Looks for a request before the first pause (a few microseconds).
const QUICK_LOOKS: u32 = 4096;

/// Publishes `word` and waits for a request; returns its op.
///
/// One asm block that writes no stack and keeps no state in restored memory, so that the host may restore all of
/// guest RAM while the vCPU waits here. Stores to the mailbox are ordered by x86's total store order.
#[inline(always)]
pub fn exchange(word: u32) -> u32 {
    let op: u32;
    // SAFETY: touches only the mailbox and the doorbell, both mapped.
    unsafe {
        asm!(
            "mov dword ptr [{mb} + {from}], {word:e}",
            "cmp dword ptr [{mb} + {transport}], {exit}",
            "jne 2f",
            "mov dword ptr [{bell}], {bell_answer}",
            "2:",
            // spin: at first without a pause, which would cost the next call half its length on average
            "mov ecx, {quick}",
            "3:",
            "mov {op:e}, dword ptr [{mb}]",
            "test {op:e}, {op:e}",
            "jnz 6f",
            "dec ecx",
            "jnz 3b",
            // then with pauses; every 1024 looks ask the clock
            "rdtsc",
            "shl rdx, 32",
            "or rax, rdx",
            "mov {start}, rax",
            "4:",
            "mov ecx, 1024",
            "5:",
            "mov {op:e}, dword ptr [{mb}]",
            "test {op:e}, {op:e}",
            "jnz 6f",
            "pause",
            "dec ecx",
            "jnz 5b",
            "rdtsc",
            "shl rdx, 32",
            "or rax, rdx",
            "sub rax, {start}",
            "cmp rax, qword ptr [{mb} + {idle}]",
            "jb 4b",
            "mov dword ptr [{bell}], {bell_idle}",
            "jmp 2b",
            "6:",
            "mov dword ptr [{mb}], 0",
            mb = in(reg) map::MAILBOX,
            bell = in(reg) map::DOORBELL,
            word = in(reg) word,
            op = out(reg) op,
            start = out(reg) _,
            out("rax") _, out("rcx") _, out("rdx") _,
            from = const offset_of!(Mailbox, from_guest),
            transport = const offset_of!(Mailbox, control) + offset_of!(Control, transport),
            idle = const offset_of!(Mailbox, control) + offset_of!(Control, idle_ticks),
            exit = const transport::EXIT,
            bell_answer = const bell::ANSWER,
            bell_idle = const bell::IDLE,
            quick = const QUICK_LOOKS,
            options(nostack)
        );
    }
    op
}

/// Zeroes `BYTES` (a multiple of 32) of dead stack below the caller's frame. What a call left there would be wiped by the
/// reset anyway, but from the other CPU: line by line that costs both sides more than this.
#[inline(always)]
pub fn clean_stack<const BYTES: usize>() {
    // SAFETY: the memory below the stack pointer is dead; without `nostack` the compiler keeps nothing there.
    unsafe {
        asm!(
            "lea {end}, [rsp - 32]",
            "and {end}, -16",
            "lea {at}, [{end} - {bytes}]",
            "xorps xmm0, xmm0",
            "2:",
            "movaps [{at}], xmm0",
            "movaps [{at} + 16], xmm0",
            "add {at}, 32",
            "cmp {at}, {end}",
            "jbe 2b",
            end = out(reg) _,
            at = out(reg) _,
            out("xmm0") _,
            bytes = const BYTES,
        );
    }
}

/// Says that the runtime cannot go on. The host closes or restores the VM; this never returns.
pub fn fatal(text: &str) -> ! {
    set_text(text);
    loop {
        // SAFETY: mailbox and doorbell are mapped; the store to the doorbell leaves the VM.
        unsafe {
            write_volatile::<u32>(field!(from_guest.word), hlfuzz_abi::answer::FATAL);
            write_volatile(map::DOORBELL as *mut u32, bell::FATAL);
        }
    }
}
