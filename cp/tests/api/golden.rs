//! The published description of the API.

use std::path::Path;

use mcpg_cp::api::{endpoints, openapi};

/// Compares a file of the repository with what this build makes of it; with `MCPG_ACCEPT` set it writes the file.
pub(crate) fn same(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if std::env::var_os("MCPG_ACCEPT").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == text,
        "{} is out of date: run this test with MCPG_ACCEPT=1 and look at the difference",
        path.display()
    );
}

#[test]
fn the_openapi_document_is_the_published_one() {
    same("config/schema/control-plane.openapi.json", &openapi::text(endpoints()));
}

#[test]
fn operations_are_named_once_and_permissions_fit_their_level() {
    let mut operations: Vec<&str> = endpoints().iter().map(|endpoint| endpoint.operation).collect();
    let all = operations.len();
    operations.sort_unstable();
    operations.dedup();
    assert_eq!(operations.len(), all);
    for endpoint in endpoints() {
        let mcpg_cp::api::endpoint::Access::On(permission) = endpoint.access else { continue };
        let deepest = endpoint.parameters().fold(None, |deepest, name| match name {
            "org" => Some(mcpg_cp_api::Level::Organization),
            "workspace" => Some(mcpg_cp_api::Level::Workspace),
            "environment" => Some(mcpg_cp_api::Level::Environment),
            _ => deepest,
        });
        let level = permission.level().or(deepest);
        assert_eq!(level, deepest, "{}: {permission:?} does not apply there", endpoint.operation);
    }
}
