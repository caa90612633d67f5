//! Every function that takes an id or a name: another organization's is answered exactly as one that does not exist.

use std::fmt::Debug;

use mcpg_ledger::Head;

use super::bench::{Bench, alice, display, slug};
use super::publishing::{enrolled, tree};
use crate::store::{
    BindingId, EnvironmentId, Forward, GatewayId, Heartbeat, Labels, NewDocument, NewEnrollmentToken,
    NewRevision, Outcome, Page, Parent, Precondition, RolloutState, Stage, StoreError, TokenId, Word,
    Workspace,
};

/// Things of an organization, or of none.
struct Things {
    workspace: Workspace,
    environment: EnvironmentId,
    gateway: GatewayId,
    binding: BindingId,
    token: TokenId,
    enrollment: TokenId,
}

fn said<T: Debug>(outcome: &Result<T, StoreError>) -> String {
    format!("{outcome:?}")
}

/// Runs each attempt in a transaction of its own and keeps what was said.
macro_rules! attempts {
    ($bench:ident, $($name:literal: |$write:ident| $attempt:expr;)+) => {{
        let mut all = Vec::new();
        $({
            let mut $write = $bench.evil().begin(alice()).await.unwrap();
            let outcome = said(&$attempt.await);
            $write.rollback().await;
            all.push(($name, outcome));
        })+
        all
    }};
}

async fn attempted(bench: &Bench, things: &Things) -> Vec<(&'static str, String)> {
    let Things { workspace, environment, gateway, binding, token, enrollment } = things;
    let set = Parent::PluginSet(&workspace.id);
    let config = Parent::GatewayConfig(environment);
    let new = NewDocument { media: "text/plain", bytes: b"x" };
    let (any, at) = (Precondition::Any, Precondition::Version(1));
    let beat =
        Word::Is(Heartbeat { started_at: 1, software: "1".to_owned(), applied_revision: None, terms: None });
    let made = Word::Made { number: 1, digest: None, outcome: Outcome::Applied };
    let token_for = || NewEnrollmentToken {
        id: None,
        environment_id: environment.clone(),
        hash: "new".to_owned(),
        labels: Labels::new(),
        expires_at: i64::MAX,
    };
    let sign = |_| {
        Ok::<_, StoreError>(NewRevision {
            document: Vec::new(),
            signature: Vec::new(),
            key_id: String::new(),
            note: String::new(),
            rollback_of: None,
        })
    };
    let stretch = Forward {
        log: [5; 16],
        previous: Head::genesis("evil", &[5; 16]),
        entries: &[],
        last: Head::genesis("evil", &[5; 16]).hash,
    };
    let (percent, page) = (Stage::Percent(1), Page::default());
    let label = display("x");
    attempts! { bench,
        "workspace": |write| write.workspace(&workspace.slug);
        "workspace by id": |write| write.workspace_by_id(&workspace.id);
        "update workspace": |write| write.update_workspace(&workspace.slug, None, &label);
        "delete workspace": |write| write.delete_workspace(&workspace.slug, Some(1));
        "create environment": |write| write.create_environment(workspace, &slug("dev"), &label);
        "environments": |write| write.environments(&workspace.id, &page);
        "environment": |write| write.environment_by_id(environment);
        "update environment": |write| write.update_environment(environment, Some(1), &label);
        "delete environment": |write| write.delete_environment(environment, None);
        "binding": |write| write.role_binding(binding);
        "revoke": |write| write.revoke(binding);
        "token": |write| write.api_token(token);
        "revoke token": |write| write.revoke_api_token(token);
        "touch token": |write| write.touch_api_token(token);
        "document": |write| write.document(set, "main");
        "documents": |write| write.documents(set, &page);
        "versions": |write| write.document_versions(set, "main", &page);
        "version": |write| write.document_version(set, "main", 1);
        "put document": |write| write.put_document(set, "main", any, new);
        "put document at": |write| write.put_document(set, "main", at, new);
        "put config": |write| write.put_document(config, "config", any, new);
        "delete document": |write| write.delete_document(set, "main", any);
        "reference": |write| write.secret_reference(&workspace.id, "db");
        "references": |write| write.secret_references(&workspace.id, &page);
        "put reference": |write| write.put_secret_reference(&workspace.id, "db", "$secret://env/A", any);
        "delete reference": |write| write.delete_secret_reference(&workspace.id, "db", any);
        "enrolment tokens": |write| write.enrollment_tokens(environment, &page);
        "enrolment token": |write| write.enrollment_token(enrollment);
        "create enrolment token": |write| write.create_enrollment_token(token_for());
        "revoke enrolment token": |write| write.revoke_enrollment_token(enrollment);
        "gateways": |write| write.gateways(environment, &page);
        "gateway": |write| write.gateway(gateway);
        "retire": |write| write.retire_gateway(gateway);
        "heartbeat": |write| write.hear_one(gateway, 1, beat);
        "publish": |write| write.publish_revision(environment, sign);
        "revision": |write| write.revision(environment, 1);
        "revisions": |write| write.revisions(environment, &page);
        "rollout": |write| write.rollout(environment, 1);
        "begin rollout": |write| write.begin_rollout(environment, 1, &percent);
        "update rollout": |write| write.update_rollout(environment, 1, None, (&percent, RolloutState::Paused));
        "acknowledge": |write| write.hear_one(gateway, 1, made);
        "acknowledgements": |write| write.acknowledgements(environment, 1, &page);
        "acknowledged": |write| write.acknowledged(environment, 1);
        "forward": |write| write.forward(gateway, &stretch);
    }
}

pub(super) async fn foreign_and_absent_are_alike(bench: Bench) {
    let (team, prod) = tree(&bench).await;
    let gateway = enrolled(&bench, &prod, "gw").await;
    let mut write = bench.write().await;
    let new = NewDocument { media: "text/plain", bytes: b"x" };
    write.put_document(Parent::PluginSet(&team.id), "main", Precondition::Any, new).await.unwrap();
    write.put_secret_reference(&team.id, "db", "$secret://env/A", Precondition::Any).await.unwrap();
    let sign = |_| {
        Ok::<_, StoreError>(NewRevision {
            document: Vec::new(),
            signature: Vec::new(),
            key_id: String::new(),
            note: String::new(),
            rollback_of: None,
        })
    };
    write.publish_revision(&prod.id, sign).await.unwrap();
    write.begin_rollout(&prod.id, 1, &Stage::Percent(5)).await.unwrap();
    let grant = mcpg_cp_api::Grant {
        member: "bob@acme.com".parse().unwrap(),
        role: mcpg_cp_api::Role::Admin,
        on: "org/acme".parse().unwrap(),
    };
    let binding = write.grant(&grant).await.unwrap().0.id;
    let token = write.create_api_token(super::tokens::new_token("aa", "org/acme")).await.unwrap().id;
    let enrollment = NewEnrollmentToken {
        id: None,
        environment_id: prod.id.clone(),
        hash: "other".to_owned(),
        labels: Labels::new(),
        expires_at: i64::MAX,
    };
    let enrollment = write.create_enrollment_token(enrollment).await.unwrap().id;
    write.commit().await.unwrap();

    let nobody = "018bcfe5-6800-7fff-bfff-ffffffffffff";
    let absent = Things {
        workspace: Workspace { id: nobody.parse().unwrap(), slug: slug("nobody"), ..team.clone() },
        environment: nobody.parse().unwrap(),
        gateway: nobody.parse().unwrap(),
        binding: nobody.parse().unwrap(),
        token: nobody.parse().unwrap(),
        enrollment: nobody.parse().unwrap(),
    };
    let foreign = Things {
        workspace: team,
        environment: prod.id.clone(),
        gateway: gateway.id,
        binding,
        token,
        enrollment,
    };
    let before = said(&bench.acme().read().await.unwrap().audit_chain().await);
    let (foreign, absent) = (attempted(&bench, &foreign).await, attempted(&bench, &absent).await);
    assert_eq!(foreign, absent);
    for (name, said) in foreign {
        let is_nothing = said == "Err(NotFound)"
            || said.starts_with("Ok(Listed { items: [], next: None })")
            || ["Ok(())", "Ok(None)", "Ok(Nothing)", "Ok(Acknowledged { applied: 0, rejected: 0 })"]
                .contains(&said.as_str());
        assert!(is_nothing, "{name}: {said}");
    }
    assert_eq!(said(&bench.acme().read().await.unwrap().audit_chain().await), before);
}
