//! The built-in filters, one file each, grouped by kind.
