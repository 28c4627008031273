//! The host of the played guest: uses a sandbox in any order that its interface allows, and checks after each step what
//! must hold whatever the guest does.

use super::guest::{Played, TEXT};
use super::random::Random;
use super::{EXPORTS, IMPORTS};
use crate::deadline::Deadline;
use crate::sandbox::{BytesCall, Form, Level, MAX_DEPTH, Room, Sandbox, Status, TrapCause};
use crate::snapshot::PAGE;
use hlfuzz_abi::{Mailbox, POSTED_BYTES, TEXT_BYTES, VECTOR_BYTES, Value};
use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Steps of one case at most, before everything is ended.
const STEPS: u64 = 12;
/// One case in so many compares all of guest RAM; the others the pages that the guest wrote.
const WHOLE_EVERY: u64 = 64;
/// One case in so many looks at all of the mailbox.
const WIPE_EVERY: u64 = 8;

/// What the next answer of the guest belongs to.
#[derive(Clone, Copy, PartialEq)]
enum Asked {
    Call,
    /// With bytes, in this form.
    Bytes(Form),
    /// `resume`, of what is innermost.
    Resume,
    Fail,
}

pub struct Judge {
    it: Sandbox,
    played: Arc<Played>,
    /// Another thread writes the mailbox.
    pub words_change: bool,
    seed: u64,
    /// The open calls, as the host counts them: how many results each has.
    open: Vec<u32>,
    hostcalls: usize,
    posted_modes: [u8; IMPORTS.len()],
    form: Form,
    reset_after: bool,
    /// The host has written guest memory since it was last compared.
    host_wrote: bool,
    /// How often each kind of end was seen.
    seen: [u64; 8],
    lies: u64,
}

impl Judge {
    pub fn new(it: Sandbox, played: Arc<Played>) -> Self {
        Self {
            it,
            played,
            words_change: false,
            seed: 0,
            open: Vec::new(),
            hostcalls: 0,
            posted_modes: [0; IMPORTS.len()],
            form: Form::None,
            reset_after: false,
            host_wrote: false,
            seen: [0; 8],
            lies: 0,
        }
    }

    /// One case: from an idle sandbox to an idle sandbox.
    pub fn case(&mut self, seed: u64) {
        self.seed = seed;
        let mut random = Random::new(seed);
        let late = random.one_in(32);
        self.played.begin(!seed, late);
        self.it.set_deadline(if late {
            Deadline { cpu: Duration::ZERO, wall: Duration::ZERO }
        } else {
            Deadline { cpu: Duration::from_secs(1), wall: Duration::from_secs(5) }
        });
        self.it.options.slice = random.one_in(16).then_some(Duration::ZERO);
        for import in [1, 2, 5] {
            if random.one_in(16) {
                let mode = random.below(4) as u8;
                if self.it.set_posted_mode(import, mode) == Status::Done {
                    self.posted_modes[import as usize] = mode;
                }
            }
        }
        self.reset_after = random.one_in(2);
        self.it.reset_at_end(self.reset_after);
        let status = self.start(&mut random);
        self.settle(status);
        for _ in 0..random.below(STEPS) {
            if self.open.is_empty() {
                break;
            }
            self.step(&mut random);
        }
        self.end(&mut random);
    }

    /// Begins an outermost or a nested call.
    fn start(&mut self, random: &mut Random) -> (Asked, Status) {
        let export = random.below(EXPORTS.len() as u64 + 1) as u32;
        let Some((params, results)) = EXPORTS.get(export as usize).copied().flatten() else {
            assert_eq!(self.it.call(export, &[]), Status::Invalid, "{self}: no function there");
            return (Asked::Call, Status::Invalid);
        };
        let args: Vec<Value> = (0..params).map(|_| [random.hostile(), 0]).collect();
        if self.open.is_empty() && params >= 2 && random.one_in(2) {
            return self.start_bytes(random, export, results, &args);
        }
        if random.one_in(16) {
            assert_eq!(self.it.call(export, &vec![[0; 2]; params as usize + 1]), Status::Invalid, "{self}");
        }
        self.open.push(results);
        let status = self.it.call(export, &args);
        (Asked::Call, status)
    }

    fn start_bytes(
        &mut self,
        random: &mut Random,
        export: u32,
        results: u32,
        args: &[Value],
    ) -> (Asked, Status) {
        let form = match results {
            1 => random.pick(&[Form::None, Form::Packed, Form::InPlace]),
            2 => random.pick(&[Form::None, Form::Pair]),
            _ => Form::None,
        };
        let alloc_args = [[random.hostile(), 0]];
        let room = if random.one_in(4) {
            Room::Scratch(random.hostile())
        } else {
            Room::Allocator { export: 3, args: &alloc_args, len_at: 0 }
        };
        let len = match random.below(16) {
            0 => VECTOR_BYTES + random.below(8192) as usize,
            1 => VECTOR_BYTES,
            _ => random.below(256) as usize,
        };
        let call = BytesCall { export, args, at: random.below(args.len() as u64 - 1) as usize, room, form };
        self.open.push(results);
        self.form = form;
        let status = self.it.call_bytes(&call, &vec![0xab; len]);
        (Asked::Bytes(form), status)
    }

    /// Waits through slices, ends what `status` ended, and checks it.
    fn settle(&mut self, (asked, mut status): (Asked, Status)) {
        for _ in 0.. {
            status = self.it.finish_call(status);
            if status != Status::Running {
                break;
            }
            assert_eq!(self.it.call(1, &[]), Status::Busy, "{self}: one thing at a time");
            assert_eq!(self.it.nop(), Status::Busy, "{self}");
            status = self.it.wait();
        }
        self.seen[status as usize] += 1;
        match status {
            Status::HostCall => self.a_host_call(asked),
            Status::Done => {
                assert!(asked != Asked::Fail, "{self}: the failure of a host function is not forgotten");
                let results = self.open.pop();
                self.results_count(asked, results);
                self.ended();
            }
            Status::Trap => self.trapped(asked),
            Status::Timeout => self.all_ended(),
            Status::Invalid => {
                self.open.pop();
                self.ended();
            }
            Status::Dead | Status::Busy | Status::Running => {
                panic!("{self}: {status:?}: {}", self.it.message())
            }
        }
        self.always();
    }

    fn a_host_call(&mut self, asked: Asked) {
        assert!(asked != Asked::Fail, "{self}: the failure of a host function is not forgotten");
        self.hostcalls += 1;
        let call = self.it.host_call().expect("the host call that waits");
        let (params, _) = IMPORTS[call.import as usize].expect("an imported function");
        assert_eq!(call.args.len(), params as usize, "{self}");
        assert!(self.hostcalls <= self.open.len() && self.open.len() <= MAX_DEPTH, "{self}");
    }

    /// The counts are the interface's, whatever the guest says.
    fn results_count(&self, asked: Asked, results: Option<u32>) {
        let outermost = self.open.is_empty();
        let bytes = matches!(asked, Asked::Bytes(_)) || outermost && self.form != Form::None;
        if bytes {
            let most = self.it.ram.len() - self.it.layout().heap.start as usize;
            assert!(self.it.result_bytes().len() <= most, "{self}");
        }
        assert_eq!(Some(self.it.results().len() as u32), results, "{self}");
    }

    fn trapped(&mut self, asked: Asked) {
        let cause = self.it.trap().unwrap_or_else(|| panic!("{self}: a trap has a cause")).clone();
        match &cause {
            TrapCause::Wasm { text, .. } => {
                self.is_text(text);
                self.open.pop();
                assert!(asked != Asked::Fail, "{self}: the failure of a host function is not forgotten");
                self.ended();
            }
            TrapCause::HostFailed => {
                assert!(asked == Asked::Fail, "{self}: no host function has failed");
                self.open.pop();
                self.ended();
            }
            TrapCause::Vector(_) => {
                self.open.pop();
                assert!(self.open.is_empty(), "{self}: a vector belongs to the outermost call");
                self.ended();
            }
            TrapCause::Runtime(text) => {
                if text.starts_with(char::from(TEXT)) {
                    self.is_text(text);
                }
                self.all_ended();
            }
            TrapCause::Limit(cause) => panic!("{self}: {cause:?} where nothing is limited"),
            TrapCause::Abi(_) | TrapCause::Exception(_) => {
                self.lies += 1;
                self.all_ended();
            }
        }
    }

    /// A guest's text is cut to its area.
    fn is_text(&self, text: &str) {
        assert!(text.len() <= 3 * TEXT_BYTES, "{self}: a text of {} bytes", text.len());
        if !self.words_change {
            assert!(text.bytes().all(|byte| byte == TEXT), "{self}: bytes from elsewhere in {text:?}");
        }
    }

    /// The innermost call has ended.
    fn ended(&mut self) {
        if self.open.is_empty() {
            self.form = Form::None;
            assert!(self.it.is_idle(), "{self}");
            if self.reset_after {
                self.is_clean();
            }
        } else {
            assert!(self.it.host_call().is_some(), "{self}: the host call round it still waits");
        }
    }

    /// Everything has ended, and the snapshot is back.
    fn all_ended(&mut self) {
        self.open.clear();
        self.hostcalls = 0;
        self.form = Form::None;
        assert!(self.it.is_idle() && self.it.host_call().is_none(), "{self}");
        assert!(self.it.posted().calls.is_empty(), "{self}: posted calls of a guest that broke the protocol");
        self.is_clean();
        if !self.words_change {
            // SAFETY: the mailbox lives as long as the sandbox.
            let from = unsafe { &(*self.it.mailbox_ptr()).from_guest };
            assert_eq!((from.word.load(Relaxed), from.posted), (0, 0), "{self}: an answer is left");
        }
    }

    fn is_clean(&mut self) {
        for page in self.played.touched() {
            let snapshot = self.it.snapshot.as_ref().expect("a sandbox has a snapshot");
            // SAFETY: a page of guest RAM.
            let same = unsafe { snapshot.same(page, self.it.ram.as_ptr().add(page as usize * PAGE)) };
            assert!(same, "{self}: page {page:#x} is not as in the snapshot");
        }
        self.is_wiped();
        if self.host_wrote || self.seed.is_multiple_of(WHOLE_EVERY) {
            self.host_wrote = false;
            self.is_clean_throughout();
        }
    }

    /// Of what either side left in the mailbox nothing is there but the host's settings.
    fn is_wiped(&self) {
        let wiped = self.it.options.level == Level::Strict && !self.words_change;
        if !wiped || !self.seed.is_multiple_of(WIPE_EVERY) {
            return;
        }
        let settings = [
            offset_of!(Mailbox, control)..offset_of!(Mailbox, text),
            offset_of!(Mailbox, posted_modes)..offset_of!(Mailbox, posted),
        ];
        for at in (0..size_of::<Mailbox>()).step_by(8) {
            // SAFETY: inside the mailbox, which lives as long as the sandbox.
            let word = unsafe { self.it.mailbox.as_ptr().add(at).cast::<u64>().read() };
            assert!(word == 0 || settings.iter().any(|kept| kept.contains(&at)), "{self}: left at {at:#x}");
        }
    }

    fn is_clean_throughout(&self) {
        let (pages, first) = self.it.differences().unwrap();
        assert_eq!((pages, first), (0, None), "{self}: not at the snapshot");
    }

    /// What holds at any time.
    fn always(&self) {
        let queue = self.it.posted();
        assert!(queue.copy.len() <= POSTED_BYTES, "{self}");
        for call in &queue.calls {
            let (params, results) = IMPORTS[call.import as usize].expect("an imported function");
            assert_eq!((call.args.len(), results), (params as usize, 0), "{self}");
            assert!(self.posted_modes[call.import as usize] != 0, "{self}: an import that is not posted");
            assert!(call.bytes.start <= call.bytes.end && call.bytes.end <= queue.copy.len(), "{self}");
        }
        assert!(self.it.message().len() <= 3 * TEXT_BYTES + 256, "{self}");
    }

    /// One step while a host call waits.
    fn step(&mut self, random: &mut Random) {
        let import = self.it.host_call().map_or(0, |call| call.import);
        let (_, results) = IMPORTS[import as usize].unwrap_or_default();
        match random.below(12) {
            0..4 => {
                if random.one_in(8) {
                    let wrong = vec![[0; 2]; results as usize + 1];
                    assert_eq!(self.it.resume(&wrong), Status::Invalid, "{self}");
                }
                self.hostcalls -= 1;
                let values: Vec<Value> = (0..results).map(|_| [random.hostile(), 0]).collect();
                let status = self.it.resume(&values);
                self.settle((Asked::Resume, status))
            }
            4..6 => {
                self.hostcalls -= 1;
                let status = self.it.fail();
                self.settle((Asked::Fail, status))
            }
            6..8 if self.open.len() < MAX_DEPTH => {
                let before = self.open.len();
                let (asked, status) = self.start(random);
                if self.open.len() == before {
                    return; // refused before anything ran
                }
                self.settle((asked, status))
            }
            8 => self.ask(|it| it.nop()),
            9 => self.ask(|it| it.global_get(6).err().unwrap_or(Status::Done)),
            10 => {
                let (ptr, len) = (random.hostile(), random.hostile());
                let export = random.one_in(2).then_some(6);
                self.ask(|it| match it.view(export, ptr, len) {
                    Ok(at) => {
                        if let Some(at) = at {
                            let start = at as usize - it.ram.as_ptr() as usize;
                            let lowest = it.layout().heap.start as usize;
                            assert!(len == 0 || start >= lowest, "a view of {start:#x}");
                            assert!(start + len as usize <= it.ram.len(), "a view of {start:#x}, {len}");
                        }
                        Status::Done
                    }
                    Err(status) => status,
                })
            }
            _ => {
                let (ptr, len) = (random.hostile(), random.below(2 * PAGE as u64) as usize);
                let export = random.one_in(2).then_some(6);
                self.host_wrote = true;
                self.ask(|it| it.write(export, ptr, &vec![0xcd; len]).err().unwrap_or(Status::Done))
            }
        }
    }

    /// What the host asks while a host call waits: answered and nothing else, or everything has ended.
    fn ask(&mut self, ask: impl FnOnce(&mut Sandbox) -> Status) {
        let status = ask(&mut self.it);
        self.seen[status as usize] += 1;
        if let Status::Done | Status::Invalid = status {
            assert!(self.it.host_call().is_some(), "{self}: {status:?}: the host call still waits");
            self.always();
            return;
        }
        assert!(matches!(status, Status::Trap | Status::Timeout), "{self}: {status:?} of a request");
        self.it.finish_call(status);
        // the host function does not know, and answers
        let again = if self.seed.is_multiple_of(2) { self.it.fail() } else { self.it.call(1, &[]) };
        assert_eq!(again, status, "{self}: it learns how its call has ended");
        self.all_ended();
    }

    fn end(&mut self, random: &mut Random) {
        if !self.open.is_empty() {
            assert_eq!(self.it.reset(), Status::Busy, "{self}");
            assert_eq!(self.it.kill(), Status::Done, "{self}: {}", self.it.message());
            self.all_ended();
        }
        if self.host_wrote {
            let writable = self.it.layout().heap.start / PAGE as u64;
            let (_, first) = self.it.differences().unwrap();
            assert!(first.is_none_or(|page| u64::from(page) >= writable), "{self}: the host wrote {first:?}");
        }
        if random.one_in(2) || !self.reset_after {
            assert_eq!(self.it.reset(), Status::Done, "{self}: {}", self.it.message());
            self.is_clean();
        }
    }

    /// A test in which little happens shows little.
    pub fn enough_was_seen(&self, cases: u64) {
        for status in [Status::Done, Status::HostCall, Status::Trap, Status::Timeout, Status::Invalid] {
            let count = self.seen[status as usize];
            assert!(count > cases / 200, "{status:?} was seen {count} times in {cases} cases");
        }
        assert!(self.lies > cases / 50, "{} lies in {cases} cases", self.lies);
    }
}

impl std::fmt::Display for Judge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HLFUZZ_FUZZ_SEED={}", self.seed)
    }
}
