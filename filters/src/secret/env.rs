//! `$secret://env/NAME`: an environment variable of the gateway.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::{SECRET_BYTES_MAX, SecretErrorReason};

/// Reads a variable; `lookup` is the environment.
pub(super) fn read(
    name: &str,
    lookup: impl FnOnce(&str) -> Option<OsString>,
) -> Result<Vec<u8>, SecretErrorReason> {
    // The system's look-up takes neither.
    if name.contains(['=', '\0']) {
        return Err(SecretErrorReason::NotSet);
    }
    let value = lookup(name).ok_or(SecretErrorReason::NotSet)?.into_vec();
    if value.len() > SECRET_BYTES_MAX { Err(SecretErrorReason::Large) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_read_as_it_is() {
        let lookup = |name: &str| (name == "KEY").then(|| OsString::from("hunter2"));
        assert_eq!(read("KEY", lookup).unwrap(), b"hunter2");
    }

    #[test]
    fn what_is_not_there_or_too_long_is_refused() {
        assert!(matches!(read("KEY", |_| None), Err(SecretErrorReason::NotSet)));
        for name in ["A=B", "A\0", "=", ""] {
            assert!(matches!(read(name, |_| None), Err(SecretErrorReason::NotSet)));
        }
        let long = OsString::from("a".repeat(SECRET_BYTES_MAX + 1));
        assert!(matches!(read("KEY", |_| Some(long)), Err(SecretErrorReason::Large)));
    }
}
