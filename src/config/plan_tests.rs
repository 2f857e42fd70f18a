//! Plans of updates between two texts.

use super::super::load_with_places;
use super::super::lookup::Fake;
use super::super::options::DaemonOptions;
use super::*;

fn read(text: &str) -> (Vec<Arc<GroupSpec>>, KeyPlaces) {
    let machine = Fake::default().with("/etc/s.conf", &format!("[supervisord]\n{text}"));
    let (config, places) =
        load_with_places("/etc/s.conf", &DaemonOptions::default(), &machine).expect("valid");
    (config.groups, places)
}

fn planned(active: &str, new: &str) -> UpdatePlan {
    let (groups, places) = read(new);
    plan(&read(active).0, &groups, &places)
}

/// A plan in short form: `GROUP ACTION [SECTION ACTION KEY=OLD>NEW@PLACE …] …`.
fn shown(plan: &UpdatePlan) -> String {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let key = |change: &KeyChange| {
        let place = value(&change.place);
        let values = match change.hidden {
            true => "hidden".to_owned(),
            false => format!("{}>{}", value(&change.old), value(&change.new)),
        };
        let live = if change.live { "!" } else { "" };
        format!(" {}{live}={values}@{place}", change.key)
    };
    let program = |program: &ProgramPlan| {
        let keys: String = program.keys.iter().map(key).collect();
        format!(" [{} {:?}{keys}]", program.section, program.action)
    };
    let group = |group: &GroupPlan| {
        let own: String = group.keys.iter().map(key).collect();
        let programs: String = group.programs.iter().map(program).collect();
        format!("{} {:?}{own}{programs}", group.name, group.action)
    };
    let groups: Vec<String> = plan.groups.iter().map(group).collect();
    groups.join("; ")
}

const BASE: &str = "[program:a]\ncommand=a\n[program:b]\ncommand=b\n";

#[test]
fn nothing_to_do_is_an_empty_plan() {
    let plan = planned(BASE, BASE);
    assert!(plan.is_empty() && plan.groups.is_empty());
    assert_eq!(plan.unchanged.len(), 2);
    // Another text with the same meaning.
    let other = BASE.replace("command=a", "command=a ; a comment\nstartsecs=1");
    assert_eq!(planned(BASE, &other), plan);
}

#[test]
fn groups_are_added_removed_and_restarted() {
    let new = "[program:b]\ncommand=b2\n[program:c]\ncommand=c\n";
    let plan = planned(BASE, new);
    assert_eq!(
        shown(&plan),
        "b Restart [program:b Restart command=b>b2@/etc/s.conf:3]; c Add [program:c Add]; a Remove [program:a Remove]"
    );
    assert!(!plan.is_empty() && plan.unchanged.is_empty());
}

#[test]
fn cgroup_keys_are_live_unless_the_group_restarts() {
    let live = BASE.replace("command=a\n", "command=a\nmemory_max=1MB\n");
    let expected = "a Live [program:a Live memory_max!=->1MB@/etc/s.conf:4]";
    assert_eq!(shown(&planned(BASE, &live)), expected);
    let both = live.replace("command=a", "command=c");
    assert_eq!(
        shown(&planned(BASE, &both)),
        "a Restart [program:a Restart command=a>c@/etc/s.conf:3 memory_max!=->1MB@/etc/s.conf:4]"
    );
}

#[test]
fn a_group_restarts_with_all_its_programs() {
    let group = format!("{BASE}[group:g]\nprograms=a,b\n");
    let new = group.replace("command=a", "command=c");
    let plan = planned(&group, &new);
    assert_eq!(
        shown(&plan),
        "g Restart [program:a Restart command=a>c@/etc/s.conf:3] [program:b Restart]"
    );
    let reason = plan.groups[0].programs[1].reason.as_deref();
    assert_eq!(reason, Some("its group restarts"));
    let later = format!("{group}priority=5\n");
    assert!(
        shown(&planned(&group, &later)).starts_with("g Restart priority=999>5@/etc/s.conf:8 "),
        "{}",
        shown(&planned(&group, &later))
    );
    let without = group.replace("programs=a,b", "programs=a");
    assert_eq!(
        shown(&planned(&group, &without)),
        "b Add [program:b Add]; g Restart [program:a Restart] [program:b Remove]"
    );
}

#[test]
fn a_plan_contains_no_secret() {
    const SECRET: &str = "hunter2";
    let old = format!("{BASE}environment=PASSWORD={SECRET}\nserverurl=http://u:{SECRET}@h\n");
    let new = old.replace(SECRET, "swordfish");
    let plan = planned(&old, &new);
    assert_eq!(
        shown(&plan),
        "b Restart [program:b Restart environment=hidden@/etc/s.conf:6 serverurl=hidden@/etc/s.conf:7]"
    );
    let json = serde_json::to_string(&plan).expect("written");
    assert!(
        !json.contains(SECRET) && !json.contains("swordfish"),
        "{json}"
    );
    // The variables of all programs.
    let all = format!("environment=PASSWORD={SECRET}\n{BASE}");
    assert_eq!(
        shown(&planned(BASE, &all)),
        "a Restart [program:a Restart environment=hidden@/etc/s.conf:2]; b Restart [program:b Restart environment=hidden@/etc/s.conf:2]"
    );
}

#[test]
fn every_key_with_a_secret_is_marked() {
    for (_, key) in super::super::key::all() {
        let may_be = ["environment", "password", "token", "secret"];
        let is_named = may_be.iter().any(|word| key.name.contains(word));
        // The name of a file is no secret.
        let is_path = matches!(
            key.name,
            "environment_file" | "tokens_file" | "password_file"
        );
        assert!(!is_named || key.is_secret || is_path, "{}", key.name);
    }
}

#[test]
fn the_same_text_with_another_meaning_has_a_reason() {
    let text = "[program:a]\ncommand=%(ENV_X)s\n";
    let with = |value: &str| {
        let mut machine = Fake::default().with("/etc/s.conf", &format!("[supervisord]\n{text}"));
        machine.env.push(("X".to_owned(), value.to_owned()));
        load_with_places("/etc/s.conf", &DaemonOptions::default(), &machine).expect("valid")
    };
    let ((old, _), (new, places)) = (with("1"), with("2"));
    let plan = plan(&old.groups, &new.groups, &places);
    let program = &plan.groups[0].programs[0];
    assert!(program.keys.is_empty() && program.action == GroupAction::Restart);
    assert!(
        program
            .reason
            .as_deref()
            .is_some_and(|reason| reason.starts_with("the text is the same"))
    );
}

#[test]
fn an_identifier_stands_for_what_the_update_does() {
    let new = BASE.replace("command=a", "command=c");
    let id = planned(BASE, &new).id;
    assert_eq!(id.len(), 16);
    // A comment does not matter, a hidden value does.
    assert_eq!(planned(BASE, &format!("; comment\n{new}")).id, id);
    let secret = format!("{new}environment=A=1\n");
    assert_ne!(planned(BASE, &secret).id, id);
    assert_ne!(
        planned(BASE, &secret).id,
        planned(BASE, &secret.replace("A=1", "A=2")).id
    );
    // The active groups count too.
    assert_ne!(
        planned(&BASE.replace("command=a", "command=d"), &new).id,
        id
    );
}

#[test]
fn a_scaled_group_is_rescaled() {
    let text = |number: u8, command: &str| {
        format!(
            "[program:a]\ncommand={command}\nprocess_name=a%(process_num)d\nnumprocs={number}\n"
        )
    };
    let scaled = |number| {
        let mut groups = read(&text(number, "a")).0;
        Arc::make_mut(&mut groups[0]).programs[0].template =
            Arc::clone(&read(&text(1, "a")).0[0].programs[0].template);
        Arc::make_mut(&mut groups[0]).programs[0].scaled = true;
        groups
    };
    let (groups, places) = read(&text(1, "a"));
    let same = plan(&scaled(3), &groups, &places);
    assert!(same.is_empty() && same.groups[0].scaled);
    let (groups, places) = read(&text(2, "a"));
    let other = plan(&scaled(3), &groups, &places);
    assert_eq!(
        shown(&other),
        "a Rescale [program:a Rescale numprocs=1>2@/etc/s.conf:5]"
    );
}
