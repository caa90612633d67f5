//! `audit:` as it is written; the settings of `observability.audit` are the same.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where and how decisions are recorded.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Audit {
    /// The folder of the ledger, below that of this file if relative.
    pub(crate) dir: String,
    /// What has to have happened to a decision's row before its call is dispatched.
    pub(crate) mode: Mode,
    /// The Ed25519 key that signs checkpoints, PEM: a path or a `$secret://` reference. Default: the ledger's own, in `dir`.
    pub(crate) signing_key: Option<String>,
    /// The longest time that a written row waits for fdatasync, in milliseconds.
    #[schemars(range(min = 1, max = 10_000))]
    pub(crate) fsync_interval_ms: u64,
    /// Rows between two checkpoints, at most.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub(crate) checkpoint_rows: u64,
    /// Time between two checkpoints, at most, while rows are written, in milliseconds.
    #[schemars(range(min = 100, max = 86_400_000))]
    pub(crate) checkpoint_interval_ms: u64,
    /// Bytes of a segment before the next is begun.
    #[schemars(range(min = 1_048_576, max = 4_294_967_296_u64))]
    pub(crate) segment_bytes_max: u64,
    /// Rows waiting to be written in `async` mode; rows beyond are dropped and counted in a gap row.
    #[schemars(range(min = 16, max = 1_048_576))]
    pub(crate) queue_rows_max: usize,
    /// Organizations whose logs are open at once, each with a thread and four files. Beyond, the one that rested longest is closed
    /// and opened again with its next row.
    #[schemars(range(min = 1, max = 65_536))]
    pub(crate) organizations_open_max: usize,
    /// How much of what policy decided on is in a decision's row, so that `mcpg policy replay` can decide it again.
    pub(crate) record_input: RecordInput,
    /// Names of attributes and arguments of which rows hold a keyed hash only.
    #[schemars(length(max = 256))]
    pub(crate) record_input_mask: Vec<String>,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            dir: "./audit".to_owned(),
            mode: Mode::default(),
            signing_key: None,
            fsync_interval_ms: 50,
            checkpoint_rows: 10_000,
            checkpoint_interval_ms: 60_000,
            segment_bytes_max: 64 << 20,
            queue_rows_max: 8_192,
            organizations_open_max: 512,
            record_input: RecordInput::default(),
            record_input_mask: Vec::new(),
        }
    }
}

/// How much of what policy decided on is in a decision's row.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RecordInput {
    /// Nothing.
    None,
    /// What the policies in force read to decide the call.
    #[default]
    Read,
    /// Every attribute of the caller and every argument.
    Full,
}

/// What has to have happened to a decision's row before its call is dispatched.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// Handed to the kernel: survives the death of the process.
    #[default]
    Written,
    /// On stable storage: survives the loss of power.
    Sync,
    /// In the queue.
    Async,
}
