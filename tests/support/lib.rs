//! End-to-end tests, fixtures and the servers they start.
