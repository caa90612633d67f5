//! The limits of the configuration, for the parts that keep them.

use mcpg_config::Config;
use mcpg_filters::transform::redact::RedactLimits;

use crate::guard::{ConnectionLimits, GuardLimits, HeadLimits};
use crate::revision::BodyLimits;

pub(super) fn redact(config: &Config) -> RedactLimits {
    RedactLimits { body_bytes_max: config.server.limits.redact_bytes_max, ..RedactLimits::default() }
}

pub(super) fn guard(config: &Config) -> GuardLimits {
    let limits = &config.server.limits;
    GuardLimits {
        head: HeadLimits { bytes_max: limits.header_bytes_max, fields_max: limits.header_count_max },
        connections: ConnectionLimits {
            connections_max: limits.connections_max,
            per_ip_max: limits.connections_per_ip_max,
        },
        handshake_timeout: limits.tls_handshake_timeout,
        header_timeout: limits.header_timeout,
        idle_timeout: limits.idle_timeout,
        write_timeout: limits.write_timeout,
        read_timeout: limits.body_timeout,
        linger: config.server.shutdown.drain / 3,
        requests_max: limits.requests_per_connection_max,
    }
}

pub(super) fn message(config: &Config) -> mcpg_protocol::Limits {
    let limits = &config.server.limits;
    mcpg_protocol::Limits {
        body_bytes_max: limits.body_bytes_max,
        depth_max: u32::try_from(limits.json_depth_max).unwrap_or(u32::MAX),
        ..mcpg_protocol::Limits::default()
    }
}

pub(super) fn body(config: &Config) -> BodyLimits {
    let limits = &config.server.limits;
    BodyLimits {
        request_bytes_max: limits.body_bytes_max,
        request_timeout: limits.body_timeout,
        response_bytes_max: limits.response_bytes_max,
        event_bytes_max: limits.sse_event_bytes_max,
        held_bytes_max: limits.redact_bytes_max,
    }
}
