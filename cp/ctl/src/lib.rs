//! The operator's command line, a client of the control plane's API.
