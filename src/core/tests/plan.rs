//! Plans of updates: nothing changes but with the expected plan, and then it is a reread.

use std::sync::Arc;

use super::bench::{Bench, config, program};
use crate::api::{AccessScope, Request, Ticket};
use crate::config::spec::{Config, GroupSpec};
use crate::core::Input;
use crate::domain::Namespec;
use crate::effects::{LoadError, LoaderOutcome, PlannedUpdate};

fn new_config() -> Arc<Config> {
    config(vec![(999, vec![program("new", "new")])])
}

/// The answer of the loader.
fn planned(ticket: u64, active: &[Arc<GroupSpec>], id: &str) -> Input {
    Input::Loader(LoaderOutcome::Planned {
        ticket: Ticket(ticket),
        result: Ok(Box::new(PlannedUpdate {
            config: new_config(),
            active: active.to_vec(),
            id: id.to_owned(),
            json: "{}".to_owned(),
        })),
    })
}

const REFUSED: &str = "fault FAILED: the configuration or the groups changed since this plan was made, and nothing was changed (make a new plan)";

#[test]
fn a_plan_changes_nothing() {
    let mut bench = Bench::up(|_| {});
    let before = Arc::clone(bench.fleet.config());
    assert_eq!(
        bench.ask(0, Request::PlanUpdate),
        ["plan Ticket(1) of 1 groups"]
    );
    let lines = bench.give(0, planned(1, &before.groups, "a"));
    assert_eq!(lines, ["answer 1 Text(\"{}\")"]);
    assert_eq!(bench.fleet.config(), &before);
    let lines = bench.ask(0, Request::AddGroup("new".to_owned()));
    assert_eq!(
        lines.last().map(String::as_str),
        Some("answer 2 fault BAD_NAME: new")
    );
}

#[test]
fn a_reread_with_the_expected_plan_is_a_reread() {
    let mut bench = Bench::up(|_| {});
    let active = bench.fleet.config().groups.clone();
    bench.ask(0, Request::RereadIfPlan("a".to_owned()));
    let lines = bench.give(0, planned(1, &active, "a"));
    assert_eq!(lines, ["answer 1 +[new] ~[] -[cat]"]);
    assert_eq!(bench.fleet.config().groups, new_config().groups);
}

#[test]
fn another_plan_or_other_groups_refuse_the_reread() {
    let mut bench = Bench::up(|_| {});
    let before = Arc::clone(bench.fleet.config());
    let expected = |ticket| [format!("answer {ticket} {REFUSED}")];
    bench.ask(0, Request::RereadIfPlan("a".to_owned()));
    assert_eq!(bench.give(0, planned(1, &before.groups, "b")), expected(1));
    bench.ask(0, Request::RereadIfPlan("a".to_owned()));
    assert_eq!(
        bench.give(0, planned(2, &new_config().groups, "a")),
        expected(2)
    );
    assert_eq!(bench.fleet.config(), &before);
}

#[test]
fn a_wrong_configuration_has_no_plan() {
    let mut bench = Bench::up(|_| {});
    for (ticket, request) in [
        (1, Request::PlanUpdate),
        (2, Request::RereadIfPlan("a".to_owned())),
    ] {
        bench.ask(0, request);
        let failed = LoaderOutcome::Planned {
            ticket: Ticket(ticket),
            result: Err(LoadError::of("bad".to_owned())),
        };
        let lines = bench.give(0, Input::Loader(failed));
        assert_eq!(lines, [format!("answer {ticket} fault CANT_REREAD: bad")]);
    }
}

#[test]
fn a_plan_needs_access_to_everything_and_blocks_an_upgrade() {
    let mut bench = Bench::up(|_| {});
    let mine = || AccessScope::Only(vec![Namespec::parse("cat:*")]);
    for request in [Request::PlanUpdate, Request::RereadIfPlan("a".to_owned())] {
        let lines = bench.ask_within(0, request, mine());
        let refused = |line: &String| line.contains("fault FAILED: permission denied");
        assert!(lines.iter().any(refused), "{lines:?}");
    }
    bench.ask(0, Request::PlanUpdate);
    let lines = bench.ask(0, Request::Upgrade);
    assert_eq!(
        lines,
        ["answer 4 fault FAILED: not while the configuration is being read"]
    );
}
