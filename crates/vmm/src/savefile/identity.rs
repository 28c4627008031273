//! What a state belongs to: facts about the guest, its limits and the build that must be the same where it is loaded.

use super::{Reason, refused};
use crate::error::{Error, Result};
use hlfuzz_abi::Value;
use std::fmt;

/// What a guest's state depends on, beside its memory and registers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// In an order that both sides know: the first that differs is reported.
    pub facts: Vec<Fact>,
    /// Instruction sets that the guest's code may use.
    pub cpu: Vec<String>,
    /// Values of the imported globals.
    pub globals: Vec<Value>,
    /// The state came from a file, or goes back to one that did: the runtime inside may not be intact.
    pub from_file: bool,
}

/// One property of a guest, of its limits, or of the build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// As messages call it.
    pub name: &'static str,
    pub value: FactValue,
    /// What it means that it differs.
    pub reason: Reason,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FactValue {
    Number(u64),
    Text(String),
}

impl fmt::Display for FactValue {
    /// Safe to print, whoever wrote it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{}", text.escape_debug()),
        }
    }
}

/// What a file says about whose state it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub facts: Vec<(String, FactValue)>,
    pub cpu: Vec<String>,
    pub globals: Vec<Value>,
}

impl Identity {
    pub(super) fn claim(&self) -> Claim {
        Claim {
            facts: self.facts.iter().map(|fact| (fact.name.to_owned(), fact.value.clone())).collect(),
            cpu: self.cpu.clone(),
            globals: self.globals.clone(),
        }
    }

    /// Is this the guest that `claim` describes? `any_globals`: their values do not matter, only how many there are.
    pub(super) fn check(&self, claim: &Claim, any_globals: bool) -> Result<()> {
        for fact in &self.facts {
            match claim.facts.iter().find(|(name, _)| name == fact.name) {
                Some((_, value)) if *value == fact.value => {}
                Some((_, value)) => return Err(differs(fact, &value.to_string())),
                None => return Err(differs(fact, "not given")),
            }
        }
        let same = if any_globals {
            claim.globals.len() == self.globals.len()
        } else {
            claim.globals == self.globals
        };
        if !same {
            return Err(refused(
                Reason::OtherGuest,
                "the snapshot was taken with other values of imported globals; give the same ones",
            ));
        }
        let missing = without(&claim.cpu, &self.cpu);
        if !missing.is_empty() {
            return Err(refused(
                Reason::Cpu,
                format!(
                    "the snapshot needs a CPU with {}, which this one lacks; load it on one that has it",
                    missing.escape_debug()
                ),
            ));
        }
        Ok(())
    }

    /// Why the code of a guest that passed `check` is not the same code.
    pub(super) fn compiled_otherwise(&self, claim: &Claim) -> Error {
        let more = without(&self.cpu, &claim.cpu);
        if more.is_empty() {
            return refused(
                Reason::Version,
                "the snapshot's guest was compiled or laid out by another build of hlfuzz; take the snapshot again",
            );
        }
        refused(
            Reason::Cpu,
            format!(
                "the snapshot's guest was compiled for a CPU without {more}; take the snapshot again here"
            ),
        )
    }
}

fn without(these: &[String], those: &[String]) -> String {
    let left: Vec<&str> = these.iter().filter(|it| !those.contains(it)).map(String::as_str).collect();
    left.join(", ")
}

fn differs(fact: &Fact, theirs: &str) -> Error {
    let (name, ours) = (fact.name, &fact.value);
    let (what, next) = match fact.reason {
        Reason::Version => ("of another version", "take the snapshot again"),
        _ => ("of another guest", "load it with the guest and the limits that it was taken with"),
    };
    refused(
        fact.reason,
        format!("the snapshot is {what}: {name} is {theirs} in the file and {ours} here; {next}"),
    )
}
