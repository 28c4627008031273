//! What a state belongs to: facts about the guest, its limits and the build that must be the same where it is loaded.

use super::Reason;
use hlfuzz_abi::Value;

/// What a guest's state depends on, beside its memory and registers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// In an order that both sides know: the first that differs is reported.
    pub facts: Vec<Fact>,
    /// Instruction sets that the guest's code was compiled for.
    pub cpu: Vec<String>,
    /// Values of the imported globals; None: any will do.
    pub globals: Option<Vec<Value>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// As messages call it.
    pub name: String,
    pub value: FactValue,
    /// What it means that it differs.
    pub reason: Reason,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FactValue {
    Number(u64),
    Digest([u8; 32]),
    Text(String),
}
