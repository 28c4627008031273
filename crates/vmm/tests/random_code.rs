//! Random machine code in the place of the runtime, at ring 3: it may do what it likes, and the host, other sandboxes and
//! the next call do not notice. HLFUZZ_FUZZ_CODE: how many pieces run; HLFUZZ_FUZZ_SEED: from which seed on.

#![cfg(not(loom))]

mod attack;

use attack::code::{PIECE, Random, artifact, registers};
use attack::*;
use hlfuzz_abi::map;
use hlfuzz_vmm::faults::Faults;
use hlfuzz_vmm::*;
use std::hash::{DefaultHasher, Hasher};
use std::time::{Duration, Instant};

/// Pieces of one template.
const PIECES: usize = 2048;
/// One case in so many compares all that the guest must not write, and calls the sandbox again.
const LOOK_EVERY: u64 = 16;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

/// Tables, stubs, boot record, text and artifact: everything but the page that ring 0 uses as its stack.
fn protected(it: &Sandbox) -> Vec<&[u8]> {
    let layout = it.layout();
    let mut ranges =
        vec![map::PML4..map::RING0_STACK, map::TABLE_POOL..map::BOOT + 4096, layout.artifact.clone()];
    ranges.extend(layout.text.iter().cloned());
    ranges.into_iter().map(|range| it.ram_slice(range.start, range.end).unwrap()).collect()
}

fn hash(it: &Sandbox) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(it.ram_slice(0, it.layout().whole.end).unwrap());
    hasher.finish()
}

struct Storm {
    it: Sandbox,
    /// As it was before anything ran.
    untouched: Vec<Vec<u8>>,
    first: Vec<[u64; 2]>,
    ends: [u64; 8],
}

impl Storm {
    fn new(template: &Template, transport: Transport) -> Self {
        let deadline = Deadline { cpu: Duration::from_millis(3), wall: Duration::from_millis(300) };
        let options = Options { transport, level: Level::Strict, deadline, ..Options::default() };
        let mut it = (0..600)
            .find_map(|_| match template.sandbox(options) {
                Err(error) if error.kind == Kind::Cpu => {
                    std::thread::sleep(Duration::from_millis(100));
                    None
                }
                result => Some(result.unwrap()),
            })
            .expect("a second CPU for the spin transport within a minute");
        assert_eq!(call(&mut it, DUMP, 0, 0), Status::Done);
        let first = it.results().to_vec();
        assert_eq!(it.reset(), Status::Done);
        let untouched = protected(&it).into_iter().map(<[u8]>::to_vec).collect();
        Self { it, untouched, first, ends: [0; 8] }
    }

    fn case(&mut self, seed: u64, piece: u64) {
        let name = format!("HLFUZZ_FUZZ_SEED={seed}");
        let random = &mut Random(seed);
        let layout = self.it.layout().clone();
        // some go into the middle of the exchange and the rest of the guest's text
        let target = if random.below(8) == 0 {
            layout.text[0].start + random.below(0xc00)
        } else {
            layout.text[1].start + piece * PIECE as u64 + random.below(2) * random.below(PIECE as u64)
        };
        let mut args = vec![[target, 0]];
        args.extend(registers(random, &layout));
        // so that what it has written can be looked at
        self.it.set_faults(Faults { do_nothing: true, ..Faults::default() }).unwrap();
        let start = Instant::now();
        let status = self.it.call(RUN, &args);
        assert!(start.elapsed() < Duration::from_secs(20), "{name}: {:?}", start.elapsed());
        self.ends[status as usize] += 1;
        if status == Status::HostCall || status == Status::Running {
            assert_eq!(self.it.kill(), Status::Done, "{name}");
        } else {
            assert!(
                matches!(status, Status::Done | Status::Trap | Status::Timeout),
                "{name}: {status:?} {}",
                self.it.message()
            );
        }
        let look = seed.is_multiple_of(LOOK_EVERY);
        if look {
            assert!(
                protected(&self.it).iter().zip(&self.untouched).all(|(now, before)| *now == &before[..]),
                "{name}: tables, text or artifact were written"
            );
        }
        self.it.set_faults(Faults::default()).unwrap();
        assert_eq!(self.it.reset(), Status::Done, "{name}: {}", self.it.message());
        assert_eq!(self.it.differences().unwrap(), (0, None), "{name}: not at the snapshot");
        if look {
            self.it.set_deadline(Deadline { cpu: Duration::from_secs(1), wall: Duration::from_secs(10) });
            assert_eq!(call(&mut self.it, DUMP, 0, 0), Status::Done, "{name}: {:?}", self.it.trap());
            assert_eq!(self.it.results(), self.first, "{name}: a register survived the reset");
            assert_eq!(self.it.reset(), Status::Done, "{name}");
            assert_eq!(call(&mut self.it, SCAN, 0, 0), Status::Done, "{name}: {:?}", self.it.trap());
            assert_eq!(self.it.results()[0][0], 0, "{name}: a byte was left in the mailbox");
            still_clean(&mut self.it);
            self.it
                .set_deadline(Deadline { cpu: Duration::from_millis(3), wall: Duration::from_millis(300) });
        }
    }
}

fn storm(transport: Transport, first: u64, cases: u64) {
    let elf = guest();
    let mut done = 0;
    let mut ends = [0; 8];
    while done < cases {
        let from = first + done;
        let template = template_with(Tracking::Auto, &elf, &artifact(PIECES, from), 1 << 20);
        let mut other = open(&template, Transport::Exit, Level::Strict);
        assert_eq!(call(&mut other, FILL, 0x0123_4567_89ab_cdef, 0), Status::Done);
        assert_eq!(call(&mut other, COUNT, 0, 0), Status::Done);
        let before = hash(&other);
        let mut storm = Storm::new(&template, transport);
        // a piece runs from four places, with other registers
        let here = (cases - done).min(4 * PIECES as u64);
        for at in 0..here {
            storm.case(from + at, at % PIECES as u64);
        }
        done += here;
        ends.iter_mut().zip(storm.ends).for_each(|(sum, more)| *sum += more);
        assert_eq!(hash(&other), before, "another sandbox's memory, HLFUZZ_FUZZ_SEED={from}");
        assert_eq!(call(&mut other, COUNT, 0, 0), Status::Done);
        assert_eq!(other.results()[0][0], 9, "another sandbox's counter");
        assert_eq!(call(&mut other, SCAN, 0, 0), Status::Done);
        assert!(other.results()[0][0] > 10_000, "another sandbox's mailbox");
    }
    let [done, traps] = [Status::Done, Status::Trap].map(|status| ends[status as usize]);
    assert!(traps > cases / 2 && done > 0, "{ends:?}");
}

#[test]
fn random_code_stays_in_its_place() {
    storm(Transport::Exit, setting("HLFUZZ_FUZZ_SEED", 1), setting("HLFUZZ_FUZZ_CODE", 1_500));
}

#[test]
fn random_code_on_a_thread_of_its_own_stays_in_its_place() {
    storm(Transport::Spin, setting("HLFUZZ_FUZZ_SEED", 1), setting("HLFUZZ_FUZZ_CODE", 1_500) / 4);
}
