//! What a query or a transaction can fail with, in the words of the callers, and how the databases' own errors map to it.
//!
//! INVARIANT: nothing of another tenant is in an error. A reference to another tenant's row and a reference to nothing are
//! both [`StoreError::NotFound`].

use sqlx::error::ErrorKind;

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It is not there, or it is another tenant's.
    #[error("not found")]
    NotFound,
    /// The name is taken.
    #[error("it exists already")]
    Exists,
    /// Something else still hangs on it.
    #[error("it is still in use")]
    InUse,
    /// It has changed since it was read.
    #[error("it is at version {current} now")]
    VersionMismatch {
        /// The version that it has.
        current: i64,
    },
    /// Rows of a log that do not follow those that are there.
    #[error("the rows behind row {} are wanted", kept.seq)]
    OutOfOrder {
        /// The last row that is there.
        kept: mcpg_ledger::Head,
    },
    /// Rows of a log that are others than those that are there by the same numbers.
    #[error("row {seq} is not the one that was taken over before")]
    Forked {
        /// The last row that was taken over.
        seq: u64,
    },
    /// The log is another gateway's.
    #[error("the log is another gateway's")]
    OtherGateway,
    /// The value cannot be stored.
    #[error("{what} cannot be stored")]
    Invalid {
        /// Which value.
        what: &'static str,
    },
    /// Somebody else was faster, several times over. Nothing was applied; the whole can be tried again.
    #[error("too many are changing the same thing at once")]
    Contention,
    /// The database does not answer, or says that it cannot.
    #[error("the database is not available")]
    Unavailable {
        /// Whether the transaction can have come into force all the same.
        applied: Applied,
        /// What was seen of it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What is stored cannot be read.
    #[error("what is stored as {what} cannot be read")]
    Corrupt {
        /// Which value.
        what: &'static str,
    },
    /// The transaction failed before and takes no more statements.
    #[error("the transaction has failed before")]
    Aborted,
    /// The database refused a statement that it should not refuse: a defect.
    #[error("the database refused a statement")]
    Internal(#[source] sqlx::Error),
}

/// Whether a transaction that ended in [`StoreError::Unavailable`] came into force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It did not: it can be tried again.
    No,
    /// Nobody knows: the connection was lost while it was being committed. Read before trying again.
    Unknown,
}

/// The time that was granted is over.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {waited_ms} ms")]
pub(super) struct TimedOut {
    pub(super) waited_ms: u128,
}

impl StoreError {
    /// Whether the whole transaction can be run again without applying anything twice.
    pub fn may_be_retried(&self) -> bool {
        matches!(self, Self::Contention | Self::Unavailable { applied: Applied::No, .. })
    }

    /// The same failure, seen while the transaction was being committed.
    pub(super) fn while_committing(self) -> Self {
        match self {
            Self::Unavailable { source, .. } => Self::Unavailable { applied: Applied::Unknown, source },
            other => other,
        }
    }

    pub(super) fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable { applied: Applied::No, source: source.into() }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let sqlx::Error::Database(database) = &error else {
            return match error {
                sqlx::Error::RowNotFound => Self::NotFound,
                sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Corrupt { what: "a row" },
                sqlx::Error::ColumnNotFound(_) | sqlx::Error::Encode(_) => Self::Internal(error),
                // Input and output, TLS, a pool without connections, a broken protocol, a driver's thread that died.
                error => Self::unavailable(error),
            };
        };
        match database.kind() {
            ErrorKind::UniqueViolation => return Self::Exists,
            ErrorKind::ForeignKeyViolation => return Self::NotFound,
            ErrorKind::CheckViolation | ErrorKind::NotNullViolation => {
                return Self::Invalid { what: "a value" };
            }
            _ => {}
        }
        match database.code().as_deref().map(classify) {
            Some(Class::Contention) => Self::Contention,
            Some(Class::Unavailable) => Self::unavailable(error),
            Some(Class::Invalid) => Self::Invalid { what: "a value" },
            _ => Self::Internal(error),
        }
    }
}

enum Class {
    Contention,
    Unavailable,
    Invalid,
    Other,
}

/// SQLSTATE of PostgreSQL has five characters; the extended result codes of SQLite are numbers of fewer.
fn classify(code: &str) -> Class {
    if code.len() == 5 {
        return match code {
            // Serialization failure, deadlock, lock not available.
            "40001" | "40P01" | "55P03" => Class::Contention,
            // Cancelled by a timeout; a standby; the administrator or a crash ended the backend; starting up.
            "57014" | "25006" | "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => Class::Unavailable,
            // Text that the encoding refuses, a value out of range, too long a value for an index.
            "22021" | "22003" | "54000" => Class::Invalid,
            code if code.starts_with("08") || code.starts_with("53") || code.starts_with("58") => {
                Class::Unavailable
            }
            _ => Class::Other,
        };
    }
    // The low byte is the primary code.
    match code.parse::<u32>().map(|code| code & 0xff) {
        // Busy, locked.
        Ok(5 | 6) => Class::Contention,
        // No memory, read-only, interrupted, input or output, full, cannot open.
        Ok(7 | 8 | 9 | 10 | 13 | 14) => Class::Unavailable,
        // Too big; a value of another type than the column's.
        Ok(18) => Class::Invalid,
        _ => Class::Other,
    }
}
