//! The requirements of RFC 7643 and RFC 7644, one test per row and database. Each runs on a directory
//! that follows the RFC to the letter and on one with the default profile. The checks themselves are
//! in `conformance/src/rows`.

use std::path::Path;

use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::{PgConnection, QueryableByName, sql_query};

use rollbook_conformance::host::Host;
use rollbook_conformance::report::{Outcome, run_row};
use rollbook_conformance::rows::{self, Row};
use rollbook_conformance::server::Server;
use rollbook_conformance::subject::Column;

use crate::support::{Database, TestApp};

/// Both columns of one row, in process; on a process of its own where the row looks at the log, the
/// database or a restart.
fn holds(name: &str, database: fn() -> Database) {
    let all = rows::all();
    let row = all.into_iter().find(|row| row.name == name).expect("a row of that name");
    let app = TestApp::start(database());
    let key = app.api.bearer.clone().expect("an API key");
    let clock = app.clock.clone();
    let host = Host::rollbook(&app.url, &key).expect("an organization");
    let host = host.with_clock(move |duration| clock.advance(duration));
    let skipped: Vec<Column> = Column::BOTH
        .into_iter()
        .filter(|column| match run_row(&host, row, *column) {
            Outcome::Skipped(_) => true,
            outcome => {
                assert_good(row, *column, &outcome);
                false
            }
        })
        .collect();
    if !skipped.is_empty() {
        let (_database, host) = process(database());
        for column in skipped {
            assert_good(row, column, &run_row(&host, row, column));
        }
    }
}

fn assert_good(row: &Row, column: Column, outcome: &Outcome) {
    let Row { id, source, text, .. } = row;
    let column = column.name();
    assert!(outcome.is_good(), "{id} ({source}, {column}): {text}\n{}", outcome.reason());
}

/// A database and the binary on it; the binary ends before the database goes.
fn process(database: Database) -> (Database, Host) {
    let binary = Path::new(env!("CARGO_BIN_EXE_rollbook"));
    let url = database.url();
    let server = if url.starts_with("postgres") {
        Server::start_on(binary, &url.clone(), Box::new(move || dump(&url)))
    } else {
        Server::start(binary)
    };
    let host = server.and_then(Host::own).expect("the server starts");
    (database, host)
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// Every row of every table as text.
fn dump(url: &str) -> Result<Vec<u8>, String> {
    let mut conn = PgConnection::establish(url).map_err(|error| error.to_string())?;
    let mut lines = |query: &str| {
        let rows: Vec<Line> =
            sql_query(query).load(&mut conn).map_err(|error| error.to_string())?;
        Ok::<_, String>(rows.into_iter().map(|row| row.line).collect::<Vec<_>>())
    };
    let tables = lines(
        "SELECT quote_ident(table_name)::text AS line FROM information_schema.tables \
         WHERE table_schema = 'public' AND table_type = 'BASE TABLE'",
    )?;
    let mut text = String::new();
    for table in tables {
        // Bytes as text where they are text, so that nothing hides in hexadecimal.
        let query = format!(
            "SELECT t::text AS line FROM \
             (SELECT set_config('bytea_output', 'escape', false)) s, {table} t"
        );
        text.extend(lines(&query)?.into_iter().map(|line| line + "\n"));
    }
    Ok(text.into_bytes())
}

macro_rules! rows {
    ($($name:ident),* $(,)?) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];

        $(mod $name {
            use crate::support::Database;

            #[test]
            fn sqlite() {
                super::holds(stringify!($name), Database::sqlite);
            }

            #[test]
            fn postgres() {
                super::holds(stringify!($name), Database::postgres);
            }
        })*
    };
}

/// A row without a test, or a test without a row, is a mistake in the list below.
#[test]
fn every_row_has_a_test() {
    let known: Vec<&str> = rows::all().iter().map(|row| row.name).collect();
    assert_eq!(NAMES, known);
    assert_eq!(NAMES.len(), 204);
}

rows![
    rfc_a1_every_body_has_schemas,
    rfc_a2_attribute_names_follow_the_grammar,
    rfc_a3_attribute_names_are_case_insensitive,
    rfc_a4_integer_has_no_fraction_or_exponent,
    rfc_a5_date_time_has_date_and_time,
    rfc_a6_binary_is_base64,
    rfc_a7_reference_is_a_uri,
    rfc_a8_emitted_references_can_be_followed,
    rfc_a9_order_of_members_changes_nothing,
    rfc_a10_complex_holds_no_complex,
    rfc_a11_at_most_one_value_is_primary,
    rfc_a12_absent_primary_is_false,
    rfc_a13_type_and_value_are_returned_once,
    rfc_a14_canonical_type_is_returned,
    rfc_a15_references_compare_without_the_version,
    rfc_a16_absent_null_and_empty_are_one_state,
    rfc_a17_schemas_is_never_empty,
    rfc_a18_schemas_lists_only_known_uris,
    rfc_a19_schemas_has_no_duplicate_and_no_order,
    rfc_a20_every_type_has_the_common_attributes,
    rfc_a21_server_assigns_id,
    rfc_a22_id_is_unique_and_stable,
    rfc_a23_id_never_contains_bulk_id,
    rfc_a24_id_is_case_exact_read_only_and_always_returned,
    rfc_a25_server_never_invents_external_id,
    rfc_a26_external_id_belongs_to_the_client,
    rfc_a27_sent_meta_is_ignored,
    rfc_a28_created_and_last_modified_are_instants,
    rfc_a29_location_is_where_the_resource_is,
    rfc_a30_version_equals_the_etag,
    rfc_a31_schemas_includes_the_base_schema,
    rfc_a32_extension_attributes_sit_below_their_uri,
    rfc_a33_extension_data_and_its_uri_go_together,
    rfc_a34_required_extension_is_demanded,
    rfc_a35_read_only_is_never_changed,
    rfc_a36_immutable_is_set_once,
    rfc_a37_write_only_is_never_shown,
    rfc_a38_returned_always_survives_projection,
    rfc_a39_returned_request_appears_when_named,
    rfc_a40_returned_default_appears_unless_excluded,
    rfc_a41_case_exact_decides_comparison,
    rfc_a42_declared_uniqueness_is_enforced,
    rfc_a43_canonical_values_are_enforced_or_open,
    rfc_a44_required_attributes_are_demanded,
    rfc_k1_user_name_is_required_and_unique,
    rfc_k2_password_never_leaves_the_server,
    rfc_k3_no_password_is_kept,
    rfc_k4_user_name_is_prepared_before_comparing,
    rfc_k5_email_is_canonicalised_lightly,
    rfc_k6_country_is_iso_3166_when_enforced,
    rfc_k7_certificate_is_base64_der,
    rfc_k8_groups_of_a_user_are_read_only,
    rfc_k9_groups_type_tells_direct_from_indirect,
    rfc_k10_group_display_name_is_required,
    rfc_k11_members_carry_value_ref_and_type,
    rfc_k12_manager_is_resolved,
    rfc_h1_paths_are_appended_to_the_base_uri,
    rfc_h2_bodies_are_utf8_json,
    rfc_h3_scim_json_is_served,
    rfc_h4_plain_json_is_served,
    rfc_h5_both_media_types_are_accepted,
    rfc_h6_answers_show_the_state_that_is_held,
    rfc_h7_message_uri_is_demanded,
    rfc_h8_message_schemas_are_not_listed,
    rfc_h9_version_segment_is_honoured,
    rfc_h10_unknown_parameters_are_ignored,
    rfc_h11_endpoints_are_plural_and_discoverable,
    rfc_h12_unsupported_verb_is_405_with_allow,
    rfc_c1_create_is_201,
    rfc_c2_location_stands_in_header_and_meta,
    rfc_c3_body_is_the_full_new_resource,
    rfc_c4_read_only_attributes_are_ignored,
    rfc_c5_attributes_left_out_take_the_default,
    rfc_c6_conflict_is_409_uniqueness,
    rfc_c7_resource_type_comes_from_the_endpoint,
    rfc_c8_malformed_body_is_400_and_stores_nothing,
    rfc_r1_get_by_id,
    rfc_r2_attributes_replaces_the_default_set,
    rfc_r3_excluded_attributes_spares_returned_always,
    rfc_r4_projection_on_every_answer,
    rfc_r5_attribute_notation,
    rfc_r6_sub_attribute_projection,
    rfc_r7_attributes_and_excluded_attributes_exclude_each_other,
    rfc_q1_list_response,
    rfc_q2_no_match_is_an_empty_list,
    rfc_q3_resources_present,
    rfc_q4_partial_results_say_where,
    rfc_q5_root_query_covers_all_types,
    rfc_q6_root_query_with_attributes_of_one_type,
    rfc_q7_too_many_results,
    rfc_q8_search_at_root_and_types,
    rfc_q9_search_request,
    rfc_q10_sensitive_filter,
    rfc_q11_deleted_resources_never_show,
    rfc_f1_only_matching_resources,
    rfc_f2_operators,
    rfc_f3_no_order_of_booleans_and_binaries,
    rfc_f4_precedence,
    rfc_f5_not_requires_parentheses,
    rfc_f6_grammar,
    rfc_f7_names_in_any_case,
    rfc_f8_complex_by_sub_attribute,
    rfc_f9_multi_valued_matches_any_value,
    rfc_f10_value_filter,
    rfc_f11_case_exact,
    rfc_f12_unknown_operator,
    rfc_f13_present,
    rfc_f14_null_and_unassigned,
    rfc_f15_defaulted_attributes,
    rfc_f16_unicode_normalised,
    rfc_f17_extension_attributes,
    rfc_f18_hostile_filter,
    rfc_s1_sort_by_and_order,
    rfc_s2_order_follows_the_type,
    rfc_s3_multi_valued_by_primary,
    rfc_s4_without_a_value,
    rfc_s5_complex_by_sub_attribute,
    rfc_s6_sort_before_paging,
    rfc_p1_start_index,
    rfc_p2_never_more_than_count,
    rfc_p3_count_zero_and_below,
    rfc_p4_total_results_on_every_page,
    rfc_p5_beyond_the_end_and_not_a_number,
    rfc_p6_max_results_bounds_the_page,
    rfc_u1_put_answers_the_whole_resource,
    rfc_u2_put_creates_nothing,
    rfc_u3_given_values_replace,
    rfc_u4_omitted_values_are_cleared,
    rfc_u5_immutable_values_stay,
    rfc_u6_read_only_values_are_ignored,
    rfc_u7_missing_required_value,
    rfc_u8_put_to_a_taken_user_name,
    rfc_x1_patch_is_announced,
    rfc_x2_patch_body,
    rfc_x3_one_op_each,
    rfc_x4_remove_needs_a_path,
    rfc_x5_malformed_path,
    rfc_x6_operations_in_order,
    rfc_x7_patch_is_atomic,
    rfc_x8_patch_answer,
    rfc_x9_one_primary,
    rfc_x10_mutability,
    rfc_x11_schemas_follow_extensions,
    rfc_x12_add_needs_a_value,
    rfc_x13_add_without_a_path,
    rfc_x14_add_by_kind_of_attribute,
    rfc_x15_add_of_what_is_there_is_no_change,
    rfc_x16_add_with_an_unmatched_filter,
    rfc_x17_remove_whole_attributes,
    rfc_x18_remove_matching_values,
    rfc_x19_remove_a_sub_attribute,
    rfc_x20_remove_of_required_or_read_only,
    rfc_x21_replace_without_a_path,
    rfc_x22_replace_of_an_absent_attribute,
    rfc_x23_replace_by_kind_of_attribute,
    rfc_x24_replace_every_match,
    rfc_x25_replace_with_an_unmatched_filter,
    rfc_x26_taken_user_name_and_many_members,
    rfc_d1_delete_is_204,
    rfc_d2_gone_is_404,
    rfc_d3_user_name_is_free_again,
    rfc_d4_deletion_cleans_references,
    rfc_b1_bulk_request_and_response,
    rfc_b2_members_of_an_operation,
    rfc_b3_failures_do_not_stop_the_rest,
    rfc_b4_fail_on_errors,
    rfc_b5_bulk_id_is_repeated,
    rfc_b6_bulk_id_references,
    rfc_b7_circular_references,
    rfc_b8_one_result_each,
    rfc_b9_limits,
    rfc_b10_the_outcome_of_the_order,
    rfc_m1_me_without_a_user,
    rfc_m2_me_is_the_user_of_the_token,
    rfc_v1_service_provider_config,
    rfc_v2_config_without_credentials,
    rfc_v3_lists_of_schemas_and_types,
    rfc_v4_one_schema_or_type,
    rfc_v5_resource_type,
    rfc_v6_schema,
    rfc_v7_parameters_are_ignored,
    rfc_v8_filter_is_forbidden,
    rfc_v9_discovery_is_read_only,
    rfc_v10_announced_is_served,
    rfc_t1_etag_header,
    rfc_t2_meta_version,
    rfc_t3_if_match,
    rfc_t4_if_none_match,
    rfc_t5_every_change_moves_the_tag,
    rfc_t6_weak_tags_say_so,
    rfc_e1_every_error_has_the_error_body,
    rfc_e2_status_is_a_string,
    rfc_e3_detail_for_people,
    rfc_e4_scim_type_fits,
    rfc_e5_status_codes,
    rfc_e6_nothing_inside_is_shown,
    rfc_z1_unauthorized_names_the_scheme,
    rfc_z2_token_opens_one_tenant_alone,
    rfc_z3_tls_is_available,
    rfc_z4_tokens_are_random_and_stored_hashed,
    rfc_z5_tokens_expire_and_are_revoked,
    rfc_z6_read_only_token_cannot_write,
    rfc_z7_log_holds_nothing_personal,
    rfc_z8_unicode_is_prepared,
];
