//! The real gateway over real sockets.
