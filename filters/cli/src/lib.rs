//! The plugin author's command line: pack, hash, sign, verify, push.
