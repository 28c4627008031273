//! Random machine code, and registers to run it with: bytes, and instructions of the kinds that reach for what a guest
//! must not have.

use hlfuzz_abi::map;
use hlfuzz_vmm::layout::Layout;

/// Bytes of one piece of code.
pub const PIECE: usize = 256;

/// SplitMix64 (Steele, Lea, Flood 2014).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    fn byte(&mut self) -> u8 {
        self.next() as u8
    }
}

/// Addresses that every sandbox has.
const PLACES: [u64; 14] = [
    0,
    map::PML4,
    map::GDT,
    map::IDT,
    map::STUBS,
    map::RING0_STACK,
    map::TABLE_POOL,
    map::BOOT,
    map::MAILBOX,
    map::MAILBOX + 0x4000,
    map::MAILBOX + 0x8000,
    map::MAILBOX + 0x9000,
    map::MAILBOX + 0xb000,
    map::DOORBELL,
];

/// Instructions that only a kernel may use, and ways into one (Intel SDM vol. 2).
const PRIVILEGED: [&[u8]; 24] = [
    &[0xf4],                   // hlt
    &[0xfa],                   // cli
    &[0xfb],                   // sti
    &[0xe4, 0x10],             // in al, 16
    &[0xe6, 0x10],             // out 16, al
    &[0xef],                   // out dx, eax
    &[0xf3, 0x6f],             // rep outsd
    &[0x0f, 0x22, 0xd8],       // mov cr3, rax
    &[0x0f, 0x20, 0xc0],       // mov rax, cr0
    &[0x0f, 0x23, 0xf8],       // mov dr7, rax
    &[0x0f, 0x30],             // wrmsr
    &[0x0f, 0x32],             // rdmsr
    &[0x0f, 0x01, 0xd1],       // xsetbv
    &[0x0f, 0x01, 0xf8],       // swapgs
    &[0x0f, 0x01, 0xc1],       // vmcall
    &[0x0f, 0x01, 0xd9],       // vmmcall
    &[0x0f, 0x06],             // clts
    &[0x0f, 0x08],             // invd
    &[0x0f, 0x05],             // syscall
    &[0x0f, 0x34],             // sysenter
    &[0x48, 0x0f, 0x07],       // sysret
    &[0x48, 0xcf],             // iretq
    &[0xcd, 0x80],             // int 0x80
    &[0xf3, 0x48, 0x0f, 0xae], // wrfsbase and others
];

fn instruction(random: &mut Random, code: &mut Vec<u8>) {
    let tail = |random: &mut Random, code: &mut Vec<u8>| {
        code.push(random.byte());
        if random.below(3) == 0 {
            (0..random.below(5)).for_each(|_| code.push(random.byte()));
        }
    };
    match random.below(16) {
        0 => (0..1 + random.below(8)).for_each(|_| code.push(random.byte())),
        1 => {
            code.extend([0x48 | random.byte() & 7, random.pick(&[0x89, 0x8b, 0x88, 0xc7, 0x01, 0x8d, 0x63])]);
            tail(random, code);
        }
        2 => {
            code.extend(random.pick(&[&[0xf3][..], &[0xf2], &[], &[0xf3, 0x48], &[0x66], &[0x67, 0xf3]]));
            code.push(random.pick(&[0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf]));
        }
        3 => {
            code.extend(random.pick(&[&[0x8e][..], &[0x8c], &[0x0f, 0xa1], &[0x0f, 0xa9], &[0x0f, 0xb4]]));
            tail(random, code);
        }
        4 => {
            code.push(0xd8 | random.byte() & 7);
            tail(random, code);
        }
        5 => {
            code.extend(random.pick(&[&[][..], &[0x66], &[0xf3], &[0xf2]]));
            code.extend([0x0f, random.byte()]);
            tail(random, code);
        }
        6 => {
            code.push(random.pick(&[0xc5, 0xc4, 0x62]));
            code.extend([random.byte(), random.byte(), random.byte()]);
            tail(random, code);
        }
        7 | 8 => {
            let which = random.below(PRIVILEGED.len() as u64) as usize;
            code.extend(PRIVILEGED[which]);
            if which + 1 == PRIVILEGED.len() {
                code.push(0xc0 | random.byte());
            }
        }
        9 => {
            code.extend(random.pick(&[&[0xeb][..], &[0x74], &[0x75], &[0xe2], &[0xff], &[0xff], &[0xcd]]));
            code.push(random.byte());
        }
        10 => {
            code.push(random.pick(&[0x50, 0x54, 0x5c, 0x58, 0x9c, 0x9d, 0xc9, 0xc3, 0xcb, 0xcc, 0xf1, 0xfd]))
        }
        11 => {
            code.extend([0x48 * random.below(2) as u8 + 0x40 * random.below(2) as u8, 0xa3]);
            code.extend((random.pick(&PLACES) + 4 * random.below(4)).to_le_bytes());
        }
        12 => {
            code.extend([0x0f, random.pick(&[0xae, 0xc7, 0x01, 0x00, 0x18, 0x0d])]);
            tail(random, code);
        }
        13 => code.extend(random.pick(&[
            &[0x0f, 0xa2][..],
            &[0x0f, 0x31],
            &[0x0f, 0x33],
            &[0x0f, 0x01, 0xf9],
            &[0x0f, 0x01, 0xd0],
            &[0x0f, 0x77],
            &[0x0f, 0x0b],
        ])),
        14 => {
            code.extend([0xf0, random.pick(&[0x01, 0x87, 0xff, 0x0f, 0x81])]);
            tail(random, code);
        }
        _ => {
            code.extend([0x48, random.pick(&[0x83, 0x81, 0xc1, 0xd1, 0xf7])]);
            tail(random, code);
        }
    }
}

/// An ELF file whose text is `pieces` pieces of random code, each of which falls into the next.
pub fn artifact(pieces: usize, seed: u64) -> Vec<u8> {
    let mut elf = vec![0u8; 4096];
    elf[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
    let mut put = |at: usize, bytes: &[u8]| elf[at..at + bytes.len()].copy_from_slice(bytes);
    put(18, &[62]);
    put(40, &64u64.to_le_bytes()); // section headers
    put(58, &[64, 0, 1]);
    put(68, &[1]);
    put(72, &[6]); // SHF_ALLOC, SHF_EXECINSTR
    put(88, &4096u64.to_le_bytes());
    put(96, &((pieces * PIECE) as u64).to_le_bytes());
    for piece in 0..pieces as u64 {
        let mut random = Random(seed ^ piece << 32);
        let mut code = Vec::with_capacity(PIECE + 16);
        let only_bytes = random.below(4) == 0;
        while code.len() < PIECE {
            if only_bytes { code.push(random.byte()) } else { instruction(&mut random, &mut code) }
        }
        elf.extend(&code[..PIECE]);
    }
    elf
}

/// What the sixteen registers hold at the start, in the order of their numbers; rsp 0 keeps the guest's own stack.
pub fn registers(random: &mut Random, layout: &Layout) -> Vec<[u64; 2]> {
    let own = [
        layout.text[0].start,
        layout.artifact.start,
        layout.artifact.end,
        layout.stack.start,
        layout.stack.end - 256,
        layout.heap.start,
        layout.arena.start,
        layout.arena.end - 64,
        layout.whole.end,
        1 << 47,
        0xffff_8000_0000_0000,
    ];
    (0..16)
        .map(|number| {
            let value = match random.below(6) {
                0 => random.next() >> random.below(64),
                1 => random.below(64),
                2 => random.pick(&PLACES) + 4 * random.below(4),
                3 => random.pick(&PLACES) + random.below(0x2_b000),
                _ => random.pick(&own).wrapping_add(random.below(128)),
            };
            let keeps = number == 4 && random.below(2) == 0;
            [if keeps { 0 } else { value }, 0]
        })
        .collect()
}
