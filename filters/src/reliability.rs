//! Reliability: what keeps one caller from taking the service from the others.

pub mod rate_limit;
