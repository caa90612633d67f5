//! The id of a request: a UUID of version 7, in the log, in `x-request-id`, in problems, in audit rows.

use std::fmt;

/// Identifies one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// An id by the time and 16 random bytes (RFC 9562, section 5.7).
    pub fn new(unix_ms: i64, random: [u8; 16]) -> Self {
        let mut bytes = random;
        let [_, _, time @ ..] = unix_ms.to_be_bytes();
        for (byte, part) in bytes.iter_mut().zip(time) {
            *byte = part;
        }
        let [.., version, _, variant, _, _, _, _, _, _, _] = &mut bytes;
        *version = (*version & 0x0f) | 0x70;
        *variant = (*variant & 0x3f) | 0x80;
        Self(bytes)
    }

    /// Its bytes.
    pub fn bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_in_order_of_time() {
        let id = RequestId::new(1_795_342_314_123, [0xff; 16]).to_string();
        assert_eq!(id, "01a202bd-aa8b-7fff-bfff-ffffffffffff");
        assert!(id.parse::<mcpg_cp_api::Id>().is_ok());
        assert!(RequestId::new(1, [0; 16]).to_string() < RequestId::new(2, [0; 16]).to_string());
    }
}
