//! Verifies untrusted FlatBuffers by a *verification program*: what a schema promises, as bytes.
//!
//! `hlfuzz/schema/wire/flatbuffers/program.py` compiles the programs; its docstring is the contract: the bytes of a
//! program, every rule, and the order in which rules are checked. The verifier in Python keeps the same contract, so
//! that both give the same verdict, and the same fault, for every buffer.
//!
//! Nothing here panics, recurses without limit, or takes more than time linear in the length of its input, whatever
//! the bytes of program and buffer are; a buffer that keeps the rules is verified without allocating.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod enums;
mod fault;
mod parse;
mod program;
mod reader;
mod verify;
mod window;

pub use fault::{Fault, Rule};
pub use program::{Program, ProgramError};
pub use verify::{Limits, MAX_DEPTH, MAX_SIZE};
