//! Gateway configuration: bytes in, validated `Config` out.
