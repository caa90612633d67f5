//! What one message may cost. The defaults hold for a gateway of ordinary tools.

/// Bounds of one message. Sizes are bytes as received, before unescaping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The whole body. Never above 4 GiB, whatever is set.
    pub body_bytes_max: usize,
    /// Nested objects and arrays, the message itself being the first. Never above
    /// [`Limits::DEPTH_CEILING`], whatever is set.
    pub depth_max: u32,
    /// Values of any kind in the whole message.
    pub values_max: usize,
    /// Members of any one object.
    pub object_keys_max: usize,
    /// The `id` with its quotes.
    pub id_bytes_max: usize,
    /// The `method`.
    pub method_bytes_max: usize,
    /// A tool's or prompt's name, a resource's URI, a task's id.
    pub name_bytes_max: usize,
}

impl Limits {
    /// The deepest nesting that can be set: the parser keeps one bit for each level.
    pub const DEPTH_CEILING: u32 = 128;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 4 * 1024 * 1024,
            depth_max: 64,
            values_max: 1_000_000,
            object_keys_max: 131_072,
            id_bytes_max: 1024,
            method_bytes_max: 256,
            name_bytes_max: 8 * 1024,
        }
    }
}
