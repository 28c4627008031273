//! Who is ready: a lock-free list that many threads add to and one empties, with one wake-up for all that is in it.
//!
//! The thread that finds the list empty rings (writes an eventfd); those behind it need not. The reader silences the
//! bell first and takes the list then: the other way round, a bell that rang in between would be lost. The `loom` test
//! below tries every interleaving, and the wrong order must fail it.

#[cfg(loom)]
use loom::sync::{
    Arc,
    atomic::{AtomicBool, AtomicPtr, Ordering},
};
use std::ptr::null_mut;
#[cfg(not(loom))]
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicPtr, Ordering},
};

/// One that can be ready, named by a number of its owner's choice. In a list once at most.
pub struct Entry {
    pub tag: u64,
    listed: AtomicBool,
    next: AtomicPtr<Entry>,
}

impl Entry {
    pub fn new(tag: u64) -> Arc<Self> {
        Arc::new(Self { tag, listed: AtomicBool::new(false), next: AtomicPtr::new(null_mut()) })
    }
}

/// The entries that are ready. Holds a reference to each.
pub struct Ready {
    head: AtomicPtr<Entry>,
}

impl Default for Ready {
    fn default() -> Self {
        Self { head: AtomicPtr::new(null_mut()) }
    }
}

impl Ready {
    /// Any thread: adds an entry. True: the list was empty, so its reader must be told.
    pub fn push(&self, entry: &Arc<Entry>) -> bool {
        if entry.listed.swap(true, Ordering::AcqRel) {
            return false;
        }
        let raw = Arc::into_raw(entry.clone()).cast_mut();
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            entry.next.store(head, Ordering::Relaxed);
            match self.head.compare_exchange_weak(head, raw, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return head.is_null(),
                Err(now) => head = now,
            }
        }
    }

    /// The one reader, after it has silenced the bell: takes all tags, in the order in which they came.
    pub fn take(&self, tags: &mut Vec<u64>) {
        let from = tags.len();
        let mut at = self.head.swap(null_mut(), Ordering::AcqRel);
        while !at.is_null() {
            // SAFETY: `push` made the pointer from an Arc whose reference the list held; it is off the list now.
            let entry = unsafe { Arc::from_raw(at.cast_const()) };
            at = entry.next.load(Ordering::Relaxed);
            tags.push(entry.tag);
            // From here on it may be pushed again. A push that found it listed happened before this exchange, and what
            // it announced is seen after it.
            entry.listed.swap(false, Ordering::AcqRel);
        }
        tags[from..].reverse();
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        self.take(&mut Vec::new());
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn tags_come_in_the_order_of_their_entries_once_each_and_again_after_that() {
        let (ready, entries) = (Ready::default(), [Entry::new(5), Entry::new(3), Entry::new(9)]);
        assert!(ready.push(&entries[0]), "the first one rings");
        assert!(!ready.push(&entries[1]) && !ready.push(&entries[2]));
        assert!(!ready.push(&entries[1]), "it is in the list already");
        let mut tags = Vec::new();
        ready.take(&mut tags);
        assert_eq!(tags, [5, 3, 9]);
        assert!(ready.push(&entries[1]));
        ready.take(&mut tags);
        assert_eq!(tags, [5, 3, 9, 3]);
    }

    #[test]
    fn the_list_keeps_no_entry_alive_that_was_taken_or_dropped_with_it() {
        let entry = Entry::new(1);
        let ready = Ready::default();
        ready.push(&entry);
        ready.take(&mut Vec::new());
        ready.push(&entry);
        drop(ready);
        assert_eq!(Arc::strong_count(&entry), 1);
    }
}

#[cfg(all(test, loom))]
mod tests {
    use super::*;
    use loom::sync::atomic::AtomicU32;
    use loom::thread;

    /// Two threads become ready, one of them twice; the reader sleeps until the bell rings, as a loop on an eventfd does.
    fn model(silence_first: bool) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.max_branches = 2_000;
        builder.check(move || {
            let ready = Arc::new(Ready::default());
            let bell = Arc::new(AtomicU32::new(0));
            let threads: Vec<_> = [1u64, 2]
                .into_iter()
                .map(|tag| {
                    let (ready, bell) = (ready.clone(), bell.clone());
                    thread::spawn(move || {
                        if ready.push(&Entry::new(tag)) {
                            bell.fetch_add(1, Ordering::AcqRel);
                        }
                    })
                })
                .collect();
            let mut tags = Vec::new();
            while tags.len() < 2 {
                // a real loop sleeps here; a lost wake-up never ends, which loom reports as too many branches
                if bell.load(Ordering::Acquire) == 0 {
                    thread::yield_now();
                    continue;
                }
                if silence_first {
                    bell.store(0, Ordering::SeqCst);
                    ready.take(&mut tags);
                } else {
                    ready.take(&mut tags);
                    bell.store(0, Ordering::SeqCst);
                }
            }
            tags.sort_unstable();
            assert_eq!(tags, [1, 2]);
            for thread in threads {
                thread.join().unwrap();
            }
        });
    }

    #[test]
    fn whoever_is_ready_is_heard_of() {
        model(true);
    }

    #[test]
    #[should_panic(expected = "exceeded maximum number of branches")]
    fn taking_the_list_before_silencing_the_bell_is_found() {
        model(false);
    }
}
