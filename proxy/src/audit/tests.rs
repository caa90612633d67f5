//! What the log promises, with real files and with a file system that fails.
