//! The API as its clients meet it, on SQLite and on PostgreSQL.
//!
//! A case is one function that takes a [`World`]: a router over an empty database with two organizations and callers of every role. On
//! SQLite every case is a test. On PostgreSQL a test starts a server and runs the cases of a module, each on a database of its own, connected
//! as the role that a control plane has.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::print_stderr,
    clippy::string_slice,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a failed assumption here is a failed test"
)]

mod actions;
mod behaviour;
mod chains;
mod credentials;
mod documents;
mod fleet;
mod forwarding;
mod generated;
mod golden;
mod matrix;
mod observed;
#[allow(dead_code, unreachable_pub, reason = "what this suite does not use is for the tests of others")]
#[path = "../../../tests/support/packages.rs"]
mod packages;
#[allow(dead_code, unreachable_pub, reason = "what this suite does not use is for the tests of others")]
#[path = "../../../tests/support/postgres.rs"]
mod postgres;
mod process;
#[allow(dead_code, unreachable_pub, reason = "what this suite does not use is for the tests of others")]
#[path = "../../../tests/support/provider.rs"]
mod provider;
mod sso;
mod tenants;
mod terms;
mod traced;
mod world;

use world::cases;

cases! {
    behaviour: the_articles_tree_is_made_and_read, what_is_wrong_is_said_with_its_place,
        a_change_wants_the_tag_that_was_read, a_repetition_gets_the_same_answer, lists_come_in_pages,
        api_tokens_are_shown_once_and_end, roles_need_their_tier, a_licence_is_for_its_organization,
        gateways_enrol_with_a_token_of_the_environment, plain_http_is_kept;
    credentials: platform_tokens_are_made_and_revoked, a_session_ends_by_signing_out;
    documents: a_plugin_set_is_put_in_versions, what_a_document_says_is_checked, secrets_are_referred_to;
    fleet: drift_is_shown, words_may_come_in_any_order, a_change_wakes_whom_it_concerns, a_rollout_only_grows;
    terms: terms_come_first_and_again_when_they_change, a_gateway_says_which_terms_it_has,
        a_licence_that_ends_is_told, what_is_revoked_is_not_published;
    tenants: foreign_and_missing_are_the_same_bytes, host_header_path_and_token_agree,
        a_member_loses_a_role_at_once, nothing_of_another_organization_is_listed;
    actions: every_change_is_one_row, reading_leaves_no_row;
    chains: an_export_is_verified_by_whoever_has_the_key, a_part_of_a_chain_begins_and_ends_at_a_signature,
        what_was_changed_in_the_database_is_named, one_replica_looks_after_the_chains, rows_are_kept_as_long_as_the_licence_says;
    forwarding: rows_of_gateways_are_kept_once, what_gateways_send_is_checked,
        an_environment_s_rows_are_its_gateways;
    observed: what_operators_do_is_listed, usage_is_added_up;
    sso: a_member_signs_in, providers_are_strangers;
    generated: what_is_elsewhere_is_as_good_as_missing, what_is_ones_own_is_there,
        what_a_request_refers_to_is_its_own;
    traced: a_request_is_in_its_callers_trace, a_trace_that_is_none_is_begun_anew, a_publication_is_one_trace;
    matrix: the_matrix_of_who_may_do_what;
}
