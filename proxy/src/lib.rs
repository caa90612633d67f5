//! The MCPG data plane: a governed ingress for the Model Context Protocol.
