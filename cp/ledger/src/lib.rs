//! The audit ledger: BLAKE3 chain, signed checkpoints, an independent verifier.
