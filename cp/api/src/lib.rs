//! Wire types of the control plane's API.
