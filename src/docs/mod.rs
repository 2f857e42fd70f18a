//! Pages for readers of the code, shown by rustdoc.

/// Decisions that are costly to undo, oldest first. A record is superseded, never edited.
pub mod adr {
    #[doc = include_str!("adr/0001-core-and-shell.md")]
    pub mod adr_0001_core_and_shell {}
    #[doc = include_str!("adr/0002-threads.md")]
    pub mod adr_0002_threads {}
    #[doc = include_str!("adr/0003-spawn-primitive.md")]
    pub mod adr_0003_spawn_primitive {}
    #[doc = include_str!("adr/0004-key-table.md")]
    pub mod adr_0004_key_table {}
    #[doc = include_str!("adr/0005-one-crate.md")]
    pub mod adr_0005_one_crate {}
    #[doc = include_str!("adr/0006-ini-reader.md")]
    pub mod adr_0006_ini_reader {}
    #[doc = include_str!("adr/0007-command-line.md")]
    pub mod adr_0007_command_line {}
    #[doc = include_str!("adr/0008-events-and-listeners.md")]
    pub mod adr_0008_events_and_listeners {}
    #[doc = include_str!("adr/0009-web-page.md")]
    pub mod adr_0009_web_page {}
    #[doc = include_str!("adr/0010-changes-at-run-time.md")]
    pub mod adr_0010_changes_at_run_time {}
    #[doc = include_str!("adr/0011-journal-sender.md")]
    pub mod adr_0011_journal_sender {}
    #[doc = include_str!("adr/0012-rights-of-programs.md")]
    pub mod adr_0012_rights_of_programs {}
    #[doc = include_str!("adr/0013-fd-holder.md")]
    pub mod adr_0013_fd_holder {}
    #[doc = include_str!("adr/0014-dbus.md")]
    pub mod adr_0014_dbus {}
    #[doc = include_str!("adr/0015-programs-tell-of-themselves.md")]
    pub mod adr_0015_programs_tell_of_themselves {}
    #[doc = include_str!("adr/0016-cgroups.md")]
    pub mod adr_0016_cgroups {}
    #[doc = include_str!("adr/0017-handoff.md")]
    pub mod adr_0017_handoff {}
    #[doc = include_str!("adr/0018-import-and-service.md")]
    pub mod adr_0018_import_and_service {}
    #[doc = include_str!("adr/0019-completion.md")]
    pub mod adr_0019_completion {}
    #[doc = include_str!("adr/0020-packages.md")]
    pub mod adr_0020_packages {}
    #[doc = include_str!("adr/0021-logs-that-hang.md")]
    pub mod adr_0021_logs_that_hang {}
    #[doc = include_str!("adr/0022-fast-output.md")]
    pub mod adr_0022_fast_output {}
    #[doc = include_str!("adr/0023-lists.md")]
    pub mod adr_0023_lists {}
    #[doc = include_str!("adr/0024-restarts-in-parallel.md")]
    pub mod adr_0024_restarts_in_parallel {}
    #[doc = include_str!("adr/0025-cost-of-survival.md")]
    pub mod adr_0025_cost_of_survival {}
    #[doc = include_str!("adr/0026-build-profile.md")]
    pub mod adr_0026_build_profile {}
    #[doc = include_str!("adr/0027-table-of-transitions.md")]
    pub mod adr_0027_table_of_transitions {}
    #[doc = include_str!("adr/0028-libraries-beside-our-own.md")]
    pub mod adr_0028_libraries_beside_our_own {}
    #[doc = include_str!("adr/0029-log-sinks.md")]
    pub mod adr_0029_log_sinks {}
    #[doc = include_str!("adr/0030-effects.md")]
    pub mod adr_0030_effects {}
    #[doc = include_str!("adr/0031-schedules.md")]
    pub mod adr_0031_schedules {}
    #[doc = include_str!("adr/0032-lines-in-log-files.md")]
    pub mod adr_0032_lines_in_log_files {}
    #[doc = include_str!("adr/0033-rest.md")]
    pub mod adr_0033_rest {}
    #[doc = include_str!("adr/0034-lists-of-log-targets.md")]
    pub mod adr_0034_lists_of_log_targets {}
    #[doc = include_str!("adr/0035-regular-expressions-of-the-client.md")]
    pub mod adr_0035_regular_expressions_of_the_client {}
    #[doc = include_str!("adr/0036-agent.md")]
    pub mod adr_0036_agent {}
    #[doc = include_str!("adr/0037-configuration-from-a-server.md")]
    pub mod adr_0037_configuration_from_a_server {}
    #[doc = include_str!("adr/0038-process-page.md")]
    pub mod adr_0038_process_page {}
    #[doc = include_str!("adr/0039-a-command-as-source.md")]
    pub mod adr_0039_a_command_as_source {}
    #[doc = include_str!("adr/0040-hub.md")]
    pub mod adr_0040_hub {}
    #[doc = include_str!("adr/0042-linter.md")]
    pub mod adr_0042_linter {}
    #[doc = include_str!("adr/0043-client-at-a-terminal.md")]
    pub mod adr_0043_client_at_a_terminal {}
    #[doc = include_str!("adr/0044-pages-of-the-hub.md")]
    pub mod adr_0044_pages_of_the_hub {}
    #[doc = include_str!("adr/0046-terminal-view.md")]
    pub mod adr_0046_terminal_view {}
    #[doc = include_str!("adr/0047-holds-and-the-audit-trail.md")]
    pub mod adr_0047_holds_and_the_audit_trail {}
}

#[doc = include_str!("handoff.md")]
pub mod handoff {}

#[doc = include_str!("security.md")]
pub mod security {}
