use super::*;

#[test]
fn renders_what_was_counted() {
    let metrics = Metrics::new().unwrap();
    metrics.binding("files").permitted.inc();
    metrics.refused("rate_limited");
    metrics.reloaded(false);
    metrics.observe(|| vec![Sample::new(SampleKind::ConnectionsOpen, 3)]).unwrap();
    let text = String::from_utf8(metrics.render()).unwrap();
    for line in [
        r#"mcpg_requests_total{binding="files",env="",org="",outcome="permitted",workspace=""} 1"#,
        r#"mcpg_refusals_total{env="",org="",reason="rate_limited",workspace=""} 1"#,
        r#"mcpg_revision_reloads_total{result="refused"} 1"#,
        "mcpg_revision_last_reload_successful 0",
        "mcpg_connections_open 3",
    ] {
        assert!(text.lines().any(|have| have == line), "`{line}` is missing from\n{text}");
    }
}

#[test]
fn a_name_cannot_be_taken_twice() {
    let metrics = Metrics::new().unwrap();
    let read = || vec![Sample::new(SampleKind::AuditRows, 1)];
    metrics.observe(read).unwrap();
    assert!(metrics.observe(read).is_err());
}
