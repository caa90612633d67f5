//! The policies in `docs/POLICY.md` load and decide as the text says.

use super::*;

const PAGE: &str = include_str!("../../../../../docs/POLICY.md");

fn blocks() -> Vec<&'static str> {
    PAGE.split("```cedar\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn every_block_loads() {
    assert_eq!(blocks().len(), 3);
    for block in blocks() {
        if let Err(error) = load(&[("page.cedar", block)]) {
            panic!("{error}\n{block}");
        }
    }
}

#[test]
fn the_first_example_decides_as_described() {
    let operator = || Ask::tool("github", "delete_repo").attribute("roles", json!(["operator"]));
    check(
        blocks().first().unwrap(),
        &[
            (Ask::tool("files", "read"), "permit"),
            (Ask::tool("files", "write"), "not_permitted"),
            (Ask::tool("crm", "find_customer"), "not_permitted"),
            (Ask::tool("crm", "find_customer").attribute("groups", json!(["sales"])), "permit email phone"),
            (Ask::tool("github", "create_repo").attribute("roles", json!(["operator"])), "permit"),
            (operator(), "forbidden"),
            (operator().token("t"), "permit"),
            (Ask::tool("github", "delete_repo").token("t"), "not_permitted"),
        ],
    );
}
