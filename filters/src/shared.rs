//! What filters have of the process: it outlives the revisions that they are built for.

/// The filters' part of the process. One for all revisions and scopes.
#[derive(Debug, Default)]
pub struct Shared {}
