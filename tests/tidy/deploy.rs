//! The systemd units: they parse, and they are as locked down as they claim.
