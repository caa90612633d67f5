//! Microbenchmarks, instruction counts and the peer ladder.
