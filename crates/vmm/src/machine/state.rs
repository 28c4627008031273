//! All that the host can read of a vCPU, by name: for comparing one with another.

use super::{Machine, Registers};
use crate::again::kvm;
use crate::error::{Error, Kind, Result};
use crate::xsave::{self, MXCSR, ST_XMM, X87, XSTATE_BV, YMM};
use kvm_bindings::{Msrs, kvm_dtable, kvm_msr_entry, kvm_segment, kvm_vcpu_events};

/// One register, little endian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    pub name: String,
    pub value: Vec<u8>,
}

/// Model-specific registers (Intel SDM vol. 4); those that a KVM does not have are left out.
const MSRS: [(&str, u32); 13] = [
    ("sysenter_cs", 0x174),
    ("sysenter_esp", 0x175),
    ("sysenter_eip", 0x176),
    ("misc_enable", 0x1a0),
    ("debugctl", 0x1d9),
    ("pat", 0x277),
    ("xss", 0xda0),
    ("star", 0xc000_0081),
    ("lstar", 0xc000_0082),
    ("cstar", 0xc000_0083),
    ("fmask", 0xc000_0084),
    ("kernel_gs_base", 0xc000_0102),
    ("tsc_aux", 0xc000_0103),
];

/// Parts of XSTATE_BV.
const X87_IN_USE: u8 = 1;
const SSE_IN_USE: u8 = 1 << 1;
const AVX_IN_USE: u8 = 1 << 2;
/// FCW after FNINIT; everything else of a part in its first state is zero (Intel SDM vol. 1, 13.6).
const FIRST_FCW: u16 = 0x37f;

impl Machine {
    /// Every register that the host can read, with the vCPU at a quiet point. Of a part of the XSAVE area that is in its
    /// first state, that state is given, whatever stands in the area.
    pub fn all_registers(&self) -> Result<Vec<Register>> {
        let registers = self.registers()?;
        let mut all = Vec::with_capacity(96);
        let mut put = |name: &str, value: &[u8]| {
            all.push(Register { name: name.to_owned(), value: value.to_vec() });
        };
        general(&registers, &mut put);
        system(&registers, &mut put);
        put("events", &event_bytes(&registers.events));
        vector(xsave::area(&registers.xsave), &mut put);
        let debug = kvm("reading debug registers", || self.vcpu.get_debug_regs())?;
        for (index, value) in debug.db.iter().enumerate() {
            put(&format!("dr{index}"), &value.to_le_bytes());
        }
        put("dr6", &debug.dr6.to_le_bytes());
        put("dr7", &debug.dr7.to_le_bytes());
        let extended = kvm("reading XCR0", || self.vcpu.get_xcrs())?;
        put("xcr0", &extended.xcrs[0].value.to_le_bytes());
        for (name, index) in MSRS {
            if let Some(value) = self.msr(index)? {
                put(name, &value.to_le_bytes());
            }
        }
        Ok(all)
    }

    fn msr(&self, index: u32) -> Result<Option<u64>> {
        let entry = kvm_msr_entry { index, ..Default::default() };
        let mut msrs = Msrs::from_entries(&[entry])
            .map_err(|_| Error::new(Kind::Internal, "one register does not fit KVM's list"))?;
        let read = kvm("reading model-specific registers", || self.vcpu.get_msrs(&mut msrs))?;
        Ok((read == 1).then(|| msrs.as_slice()[0].data))
    }
}

fn general(from: &Registers, put: &mut impl FnMut(&str, &[u8])) {
    let r = &from.regs;
    for (name, value) in [
        ("rax", r.rax),
        ("rbx", r.rbx),
        ("rcx", r.rcx),
        ("rdx", r.rdx),
        ("rsi", r.rsi),
        ("rdi", r.rdi),
        ("rbp", r.rbp),
        ("rsp", r.rsp),
        ("r8", r.r8),
        ("r9", r.r9),
        ("r10", r.r10),
        ("r11", r.r11),
        ("r12", r.r12),
        ("r13", r.r13),
        ("r14", r.r14),
        ("r15", r.r15),
        ("rip", r.rip),
        ("rflags", r.rflags),
    ] {
        put(name, &value.to_le_bytes());
    }
}

fn system(from: &Registers, put: &mut impl FnMut(&str, &[u8])) {
    let s = &from.sregs;
    for (name, it) in [
        ("cs", &s.cs),
        ("ss", &s.ss),
        ("ds", &s.ds),
        ("es", &s.es),
        ("fs", &s.fs),
        ("gs", &s.gs),
        ("tr", &s.tr),
        ("ldtr", &s.ldt),
    ] {
        put(name, &segment(it));
    }
    let table = |it: &kvm_dtable| [&it.base.to_le_bytes()[..], &it.limit.to_le_bytes()].concat();
    put("gdtr", &table(&s.gdt));
    put("idtr", &table(&s.idt));
    for (name, value) in [
        ("cr0", s.cr0),
        ("cr2", s.cr2),
        ("cr3", s.cr3),
        ("cr4", s.cr4),
        ("cr8", s.cr8),
        ("efer", s.efer),
        ("apic_base", s.apic_base),
    ] {
        put(name, &value.to_le_bytes());
    }
}

/// Selector, base, limit, attributes.
fn segment(it: &kvm_segment) -> Vec<u8> {
    let flags = [it.type_, it.present, it.dpl, it.db, it.s, it.l, it.g, it.avl, it.unusable];
    [&it.selector.to_le_bytes()[..], &it.base.to_le_bytes(), &it.limit.to_le_bytes(), &flags].concat()
}

fn vector(area: &[u8], put: &mut impl FnMut(&str, &[u8])) {
    let in_use = |part: u8| area[XSTATE_BV.start] & part != 0;
    let mut st_xmm = area[ST_XMM].to_vec();
    let mut x87 = area[X87].to_vec();
    let (st, xmm) = st_xmm.split_at_mut(8 * 16);
    if !in_use(X87_IN_USE) {
        x87.fill(0);
        x87[..2].copy_from_slice(&FIRST_FCW.to_le_bytes());
        st.fill(0);
    }
    if !in_use(SSE_IN_USE) {
        xmm.fill(0);
    }
    let mut high = area[YMM].to_vec();
    if !in_use(AVX_IN_USE) {
        high.fill(0);
    }
    put("fcw", &x87[..2]);
    put("fsw", &x87[2..4]);
    put("ftw", &x87[4..5]);
    put("fop", &x87[6..8]);
    put("fip", &x87[8..16]);
    put("fdp", &x87[16..24]);
    put("mxcsr", &area[MXCSR]);
    for (index, value) in st.chunks(16).enumerate() {
        put(&format!("st{index}"), &value[..10]);
    }
    for (index, (low, high)) in xmm.chunks(16).zip(high.chunks(16)).enumerate() {
        put(&format!("ymm{index}"), &[low, high].concat());
    }
}

/// What is pending, as numbers one after the other.
fn event_bytes(it: &kvm_vcpu_events) -> Vec<u8> {
    let bytes = [
        it.exception.injected,
        it.exception.nr,
        it.exception.has_error_code,
        it.exception.pending,
        it.interrupt.injected,
        it.interrupt.nr,
        it.interrupt.soft,
        it.nmi.injected,
        it.nmi.pending,
        it.nmi.masked,
    ];
    [&bytes[..], &it.exception.error_code.to_le_bytes(), &it.sipi_vector.to_le_bytes()].concat()
}
