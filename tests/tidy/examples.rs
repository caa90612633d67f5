//! The shipped examples: each loads, as the gateway would load it.
