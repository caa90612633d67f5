use super::*;

const ORG: &str = "org/acme-corp";
const TEAM: &str = "workspace/acme-corp/platform-team";
const PROD: &str = "env/acme-corp/platform-team/prod";

fn grant(member: &str, role: &str, on: &str) -> Grant {
    Grant { member: member.parse().unwrap(), role: role.parse().unwrap(), on: on.parse().unwrap() }
}

/// The three bindings of the product's article.
fn grants() -> Vec<Grant> {
    vec![
        grant("alice@acme.com", "admin", ORG),
        grant("bob@acme.com", "operator", TEAM),
        grant("carol@acme.com", "viewer", PROD),
    ]
}

fn decide(tier: Tier, member: &str, permission: Permission, target: &str) -> Result<(), Refusal> {
    authorize(&grants(), tier, &member.parse().unwrap(), permission, &target.parse().unwrap())
}

/// Every permission on the node that owns it (or an environment, where any does), for every role: one row each.
#[test]
fn the_matrix_of_roles_is_as_documented() {
    let row = |member: &str| {
        Permission::ALL
            .map(|permission| {
                let target = match permission.level() {
                    Some(Level::Organization) => ORG,
                    Some(Level::Workspace) => TEAM,
                    Some(Level::Environment) | None => PROD,
                };
                match decide(Tier::Enterprise, member, permission, target) {
                    Ok(()) => "yes",
                    Err(Refusal::NotFound) => "404",
                    Err(Refusal::Role { .. }) => "403",
                    Err(Refusal::WrongLevel { .. }) => "400",
                }
            })
            .join(" ")
    };
    //                                      reads       | workspace | gw | tree roles | organization
    assert_eq!(row("alice@acme.com"), "yes yes yes yes yes yes yes yes yes yes yes");
    assert_eq!(row("bob@acme.com"), "yes yes yes yes yes yes 403 403 404 404 404");
    assert_eq!(row("carol@acme.com"), "yes yes yes 404 404 403 403 403 404 404 404");
    assert_eq!(row("mallory@evil.com"), "404 404 404 404 404 404 404 404 404 404 404");
}

#[test]
fn roles_flow_down_and_never_sideways() {
    let check = |member: &str, target: &str, expected: Result<(), Refusal>| {
        assert_eq!(
            decide(Tier::Enterprise, member, Permission::ReadAudit, target),
            expected,
            "{member} on {target}"
        );
    };
    check("bob@acme.com", TEAM, Ok(()));
    check("bob@acme.com", PROD, Ok(()));
    check("bob@acme.com", ORG, Err(Refusal::NotFound));
    check("bob@acme.com", "workspace/acme-corp/finance-team", Err(Refusal::NotFound));
    check("alice@acme.com", "env/acme-corp/finance-team/prod", Ok(()));
    check("alice@acme.com", "org/other-corp", Err(Refusal::NotFound));
    check("alice@acme.com", "env/other-corp/platform-team/prod", Err(Refusal::NotFound));
    check("carol@acme.com", "env/acme-corp/platform-team/staging", Err(Refusal::NotFound));
}

#[test]
fn a_permission_applies_where_its_subject_lives() {
    let refused = decide(Tier::Enterprise, "alice@acme.com", Permission::ManageBilling, PROD);
    assert_eq!(
        refused,
        Err(Refusal::WrongLevel { permission: Permission::ManageBilling, level: Level::Environment })
    );
}

#[test]
fn narrower_grants_need_their_tier() {
    let check = |tier: Tier, role: &str, on: &str, expected: Option<&str>| {
        let refused = admit(&grant("bob@acme.com", role, on), tier).err().map(|error| error.to_string());
        assert_eq!(refused.as_deref(), expected, "{role} on {on} at {tier}");
    };
    check(Tier::Community, "viewer", ORG, None);
    check(
        Tier::Pro,
        "operator",
        TEAM,
        Some("`workspace.rbac` needs tier `team`; this organization has `pro`"),
    );
    check(Tier::Team, "operator", TEAM, None);
    check(
        Tier::Team,
        "viewer",
        PROD,
        Some("`environment.rbac` needs tier `enterprise`; this organization has `team`"),
    );
    check(Tier::Enterprise, "viewer", PROD, None);
    check(
        Tier::Enterprise,
        "admin",
        TEAM,
        Some("`admin` cannot be granted on one workspace: grant it on its organization"),
    );
    check(
        Tier::Enterprise,
        "operator",
        PROD,
        Some("`operator` cannot be granted on one environment: grant it on its workspace"),
    );
}

#[test]
fn a_lapsed_tier_takes_narrow_grants_away_but_not_the_organizations() {
    let check = |tier: Tier, member: &str, expected: Result<(), Refusal>| {
        assert_eq!(decide(tier, member, Permission::ReadMetrics, PROD), expected, "{member} at {tier}");
    };
    check(Tier::Team, "bob@acme.com", Ok(()));
    check(Tier::Pro, "bob@acme.com", Err(Refusal::NotFound));
    check(Tier::Team, "carol@acme.com", Err(Refusal::NotFound));
    check(Tier::Community, "alice@acme.com", Ok(()));
}

#[test]
fn the_highest_of_several_roles_counts() {
    let member = "dora@acme.com";
    let grants = [grant(member, "viewer", ORG), grant(member, "operator", TEAM)];
    let decide = |target: &str| {
        authorize(
            &grants,
            Tier::Team,
            &member.parse().unwrap(),
            Permission::WriteSecrets,
            &target.parse().unwrap(),
        )
    };
    assert_eq!(decide(TEAM), Ok(()));
    assert_eq!(
        decide("workspace/acme-corp/finance-team"),
        Err(Refusal::Role { has: Role::Viewer, needs: Role::Operator })
    );
}

#[test]
fn what_leads_to_a_role_can_be_seen_and_what_is_beside_it_cannot() {
    let check = |tier: Tier, member: &str, node: &str, expected: bool| {
        let seen = see(&grants(), tier, &member.parse().unwrap(), &node.parse().unwrap());
        assert_eq!(seen.is_ok(), expected, "{member} and {node} at {tier}");
    };
    for node in [ORG, TEAM, PROD] {
        check(Tier::Enterprise, "carol@acme.com", node, true);
        check(Tier::Enterprise, "bob@acme.com", node, true);
        check(Tier::Enterprise, "mallory@evil.com", node, false);
        check(Tier::Team, "carol@acme.com", node, false);
        check(Tier::Community, "alice@acme.com", node, true);
    }
    check(Tier::Enterprise, "carol@acme.com", "env/acme-corp/platform-team/staging", false);
    check(Tier::Enterprise, "bob@acme.com", "workspace/acme-corp/finance-team", false);
    check(Tier::Enterprise, "alice@acme.com", "org/other-corp", false);
}
