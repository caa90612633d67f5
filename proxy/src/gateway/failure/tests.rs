use super::*;

#[test]
fn failures_have_a_meaning() {
    let upstream = |kind| Error::new(kind).into_up();
    for (error, expected) in [
        (upstream(ErrorType::ConnectRefused), Some(RpcError::UpstreamUnavailable)),
        (upstream(ErrorType::InvalidCert), Some(RpcError::UpstreamUnavailable)),
        (upstream(ErrorType::ConnectionClosed), Some(RpcError::UpstreamUnavailable)),
        (upstream(ErrorType::H2Error), Some(RpcError::UpstreamUnavailable)),
        (upstream(ErrorType::InvalidH2), Some(RpcError::UpstreamInvalid)),
        (Error::new(OVER), Some(RpcError::Denied)),
        (upstream(ErrorType::ConnectTimedout), Some(RpcError::UpstreamTimeout)),
        (upstream(ErrorType::ReadTimedout), Some(RpcError::UpstreamTimeout)),
        (upstream(ErrorType::InvalidHTTPHeader), Some(RpcError::UpstreamInvalid)),
        (Error::new(ErrorType::ReadError).into_down(), None),
        (Error::new(ErrorType::InternalError).into_in(), Some(RpcError::InternalError)),
    ] {
        assert_eq!(classify(&error), expected, "{error}");
    }
}
