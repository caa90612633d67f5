//! The control plane: tenants, roles, plugin sets, revisions.
