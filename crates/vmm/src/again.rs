//! Operations of KVM that a signal interrupted are made again; what fails otherwise is an error with its place.

use crate::error::{Error, Result};
use crate::inject::{self, point};
use std::io;

/// After so many interruptions in a row somebody is sending signals without end.
const TRIES: u32 = 100;

/// What `act` returns. `what` names the operation in the error.
pub(crate) fn kvm<T>(
    what: &str,
    mut act: impl FnMut() -> std::result::Result<T, kvm_ioctls::Error>,
) -> Result<T> {
    let mut tries = 1;
    loop {
        let result = match inject::failing(point::KVM) {
            Some(error) => Err(kvm_ioctls::Error::new(error)),
            None => act(),
        };
        match result {
            Ok(value) => return Ok(value),
            Err(error) if error.errno() == libc::EINTR && tries < TRIES => tries += 1,
            Err(error) => return Err(Error::kvm(what, error)),
        }
    }
}

/// The same for an operation that returns a number, negative with errno set when it fails.
#[inline]
pub(crate) fn number(what: &str, mut act: impl FnMut() -> i32) -> Result<i32> {
    let mut tries = 1;
    loop {
        let error = match inject::check(point::KVM) {
            Ok(()) => {
                let result = act();
                if result >= 0 {
                    return Ok(result);
                }
                io::Error::last_os_error()
            }
            Err(error) => error,
        };
        if error.kind() != io::ErrorKind::Interrupted || tries == TRIES {
            return Err(Error::os(what, &error));
        }
        tries += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_operation_is_made_again_but_not_for_ever() {
        let mut calls = 0;
        let mut interrupted = |times: u32| {
            calls = 0;
            let result = kvm("testing", || {
                calls += 1;
                if calls > times { Ok(calls) } else { Err(kvm_ioctls::Error::new(libc::EINTR)) }
            });
            (result.map_err(|error| error.message), calls)
        };
        assert_eq!(interrupted(3), (Ok(4), 4));
        let (result, calls) = interrupted(u32::MAX);
        assert!(result.unwrap_err().starts_with("testing: Interrupted"));
        assert_eq!(calls, TRIES);
    }
}
