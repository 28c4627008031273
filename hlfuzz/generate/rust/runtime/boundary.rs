/// The boundary of a Wasm guest: what the host calls, and what calls the host.
#[cfg(target_arch = "wasm32")]
mod boundary {
    use super::{Error, INVALID, Message, UNSPECIFIED, answer, answered, record};
    use super::alloc::vec::Vec;
    use core::cell::RefCell;

    /// A variable of a program with one thread.
    struct Lone<T>(RefCell<T>);

    // SAFETY: a Wasm guest without shared memory has one thread; calls inside calls find the cell
    // borrowed.
    unsafe impl<T> Sync for Lone<T> {}

    #[repr(C, align(16))]
    #[derive(Clone, Copy)]
    struct Chunk([u8; 16]);

    /// Memory that the host has asked for and not yet handed over filled.
    static LENT: Lone<Vec<Vec<Chunk>>> = Lone(RefCell::new(Vec::new()));
    /// The last response, until the host has read it.
    static RESULT: Lone<Vec<u8>> = Lone(RefCell::new(Vec::new()));

    /// Room for the bytes of a request, or of a host function's answer; 0: no memory.
    // SAFETY: no other function of this name can be in a guest, or linking fails.
    #[unsafe(no_mangle)]
    pub extern "C" fn hlfuzz_alloc(len: u32) -> u32 {
        let count = (len as usize).div_ceil(16).max(1);
        let mut block = Vec::new();
        if block.try_reserve_exact(count).is_err() {
            return 0;
        }
        block.resize(count, Chunk([0; 16]));
        let at = block.as_mut_ptr() as usize as u32;
        LENT.0.borrow_mut().push(block);
        at
    }

    /// Calls `use_it` with bytes that the host has put where `hlfuzz_alloc` said, then frees them.
    fn received<T>(at: u32, len: u32, use_it: impl FnOnce(&[u8]) -> T) -> Option<T> {
        if len == 0 {
            return Some(use_it(&[]));
        }
        let mut lent = LENT.0.borrow_mut();
        let index = lent.iter().rposition(|block| block.as_ptr() as usize as u32 == at)?;
        let block = lent.swap_remove(index);
        drop(lent);
        if len as usize > block.len() * 16 {
            return None;
        }
        // SAFETY: a chunk is 16 bytes without padding, so the block has `len` initialised bytes, and
        // this function owns it.
        let bytes = unsafe { core::slice::from_raw_parts(block.as_ptr().cast(), len as usize) };
        Some(use_it(bytes))
    }

    /// An export's work: from the host's request to the place of the response record.
    pub fn serve<Q: Message, A: Message>(
        at: u32,
        len: u32,
        act: impl FnOnce(Q) -> Result<A, Error>,
    ) -> u64 {
        let record = received(at, len, |bytes| answer(bytes, act)).unwrap_or_else(|| {
            record(Err(Error::new(INVALID, "the request is not where hlfuzz_alloc gave room")))
        });
        let place = (record.as_ptr() as usize as u64) << 32 | record.len() as u64;
        RESULT.0.replace(record);
        place
    }

    /// A call of a host function.
    pub fn ask<Q: Message, A: Message>(
        request: &Q,
        call: unsafe extern "C" fn(u32, u32) -> u64,
    ) -> Result<A, Error> {
        let bytes = request.encode()?;
        // SAFETY: the host reads these bytes, which live until it has answered, and writes only to
        // memory that it asks for by `hlfuzz_alloc`.
        let place = unsafe { call(bytes.as_ptr() as usize as u32, bytes.len() as u32) };
        received((place >> 32) as u32, place as u32, answered).unwrap_or_else(|| {
            Err(Error::new(INVALID, "the host function's answer is not where hlfuzz_alloc gave room"))
        })
    }

    /// The implementation behind exports: made at the first call, and kept.
    pub struct Guest<T>(Lone<Option<T>>);

    impl<T> Guest<T> {
        pub const fn new() -> Self {
            Self(Lone(RefCell::new(None)))
        }

        pub fn with<A>(
            &self,
            make: impl FnOnce() -> T,
            act: impl FnOnce(&mut T) -> Result<A, Error>,
        ) -> Result<A, Error> {
            match self.0.0.try_borrow_mut() {
                Ok(mut guest) => act(guest.get_or_insert_with(make)),
                // A host function has called the guest again.
                Err(_) => Err(Error::new(UNSPECIFIED, "the guest is in a call already")),
            }
        }
    }
}

#[cfg(target_arch = "wasm32")]
pub use boundary::{Guest, ask, serve};

/// Host functions exist for Wasm guests only; elsewhere (in tests of the guest) they fail.
#[cfg(not(target_arch = "wasm32"))]
pub fn no_host<A>(symbol: &str) -> Result<A, Error> {
    Err(Error::new(UNKNOWN, format!("{symbol} exists only inside a Wasm guest")))
}
