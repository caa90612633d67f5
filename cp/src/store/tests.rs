//! One behaviour suite, on SQLite and on PostgreSQL.
//!
//! A case is one function that takes a [`Bench`]: a store on an empty database, its clock, and two organizations. On SQLite every
//! case is a test. On PostgreSQL one test starts a server and runs every case on a database of its own, connected as the role that
//! a control plane has.

mod audit;
mod bench;
mod catalogue;
mod conditions;
mod foreign;
mod forwarding;
mod hearing;
mod isolation;
#[allow(dead_code, unreachable_pub, reason = "what this suite does not use is for the tests of others")]
#[path = "../../../tests/support/postgres.rs"]
mod postgres;
mod publishing;
mod search;
mod terms;
mod tokens;
mod tree;

use bench::{Bench, cases};

cases! {
    tree: org_by_slug_and_subdomain, orgs_are_listed_in_pages, an_organization_changes_at_its_version,
        workspaces_and_environments, what_is_in_use_stays, roles_are_granted_once_and_revoked,
        what_operators_do_is_in_the_chain;
    tokens: api_tokens_are_found_by_their_hash, platform_tokens_are_of_no_organization,
        a_key_is_claimed_once, a_claim_that_was_left_behind, leases_change_hands, a_lease_is_kept_while_there_is_work,
        a_sign_in_ends_once, enrolment_is_for_one, what_has_had_its_time_is_swept;
    publishing: documents_have_versions, references_and_revocation_lists, revisions_are_numbered_without_holes,
        numbers_go_on_where_gateways_are, rollouts_go_in_stages, changes_are_told_when_they_are_in_force;
    hearing: acknowledgements_are_written_once, many_gateways_are_heard_at_once, the_order_of_words_does_not_matter,
        a_gateway_that_is_retired_is_forgotten;
    terms: terms_grow_with_every_change, versions_go_on_where_gateways_are,
        replicas_sign_one_version, nobody_sees_foreign_terms, those_who_wait_are_told_of_terms;
    audit: fifty_writers_make_one_chain, what_retention_leaves_verifies, usage_adds_up;
    forwarding: logs_are_taken_over_once, replicas_take_over_once, a_foreign_log_is_not_taken_over,
        holes_are_rows, rows_go_to_their_environment, a_log_is_one_instance_s, calls_are_counted_once,
        names_are_bounded;
    search: what_fits_is_found, zones_are_what_a_migration_makes_of_rows;
    foreign: foreign_and_absent_are_alike;
    isolation: nothing_of_another_organization, foreign_references_are_not_found,
        a_dropped_transaction_changes_nothing, a_failed_transaction_goes_no_further;
}
