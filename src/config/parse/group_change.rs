//! Makes the processes of one section, for an active group that changes.

use std::sync::Arc;

use super::super::key::SectionKind;
use super::super::lookup::Lookup;
use super::super::path::{absolute, dirname};
use super::super::problem::ConfigErrors;
use super::super::spec::{
    GroupChange, GroupChangeResult, KeyOrigins, ProcessKind, ProgramTemplate,
};
use super::ConfigReader;
use super::program::processes;

/// Makes the processes of a section for `order`. `path`: the configuration file as given. A program that is in no file
/// is read as if it were in that file.
///
/// # Errors
/// All errors in the section.
pub fn build_group_change(
    path: &str,
    order: &GroupChange,
    lookup: &dyn Lookup,
) -> Result<GroupChangeResult, ConfigErrors> {
    let (template, numprocs) = match order {
        GroupChange::Rescale {
            template, numprocs, ..
        } => (Arc::clone(template), Some(*numprocs)),
        GroupChange::Program {
            name,
            options,
            environment,
            ..
        } => (
            Arc::new(ProgramTemplate {
                section: Arc::from(format!("{}{name}", SectionKind::Program.prefix())),
                file: Arc::from(path),
                here: Arc::from(absolute(dirname(path), lookup)),
                options: options
                    .iter()
                    .map(|(key, value)| (Arc::from(key.to_lowercase()), value.as_str().into()))
                    .collect(),
                origins: KeyOrigins::default(),
                environment: environment.clone(),
                kind: ProcessKind::Program,
            }),
            None,
        ),
    };
    let mut reader = ConfigReader::of_template(&template, lookup);
    if let Some(numprocs) = numprocs {
        // The new number replaces the value of the section. It needs no expansion.
        reader
            .ini
            .set(&template.section, "numprocs", &numprocs.to_string());
    }
    let made = processes(
        &mut reader,
        &template.section,
        order.group(),
        &template.kind,
        &template.environment,
    );
    let members = std::mem::take(&mut reader.programs)
        .pop()
        .map(|program| program.members)
        .unwrap_or_default();
    reader.finish()?;
    Ok(GroupChangeResult {
        template,
        members,
        processes: made,
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::load;
    use super::super::super::lookup::Fake;
    use super::super::super::options::DaemonOptions;
    use super::super::super::spec::{Config, NUMPROCS_MAX, ProgramSpec};
    use super::*;
    use crate::domain::GroupName;

    const FILE: &str = "[supervisord]\nenvironment=D=1\n[program:a]\ncommand=a %(process_num)d/%(numprocs)d %(ENV_D)s %(here)s\n\
                        process_name=a%(process_num)d\nnumprocs=2\nnumprocs_start=5\nenvironment=E=\"%(process_num)d\"\n\
                        [DEFAULT]\nstopsignal=KILL\n[group:g]\nprograms=a,b\n[program:b]\ncommand=b\n";

    fn loaded(text: &str) -> Config {
        let machine = Fake::default().with("/etc/s.conf", text);
        load("/etc/s.conf", &DaemonOptions::default(), &machine).expect("valid")
    }

    fn group() -> GroupName {
        GroupName::parse("g").expect("valid")
    }

    fn rescaled(program: &ProgramSpec, numprocs: i64) -> Result<GroupChangeResult, String> {
        let order = GroupChange::Rescale {
            group: group(),
            template: Arc::clone(&program.template),
            numprocs,
        };
        // The fake machine has no file any more.
        build_group_change("/etc/s.conf", &order, &Fake::default()).map_err(|errors| errors.first)
    }

    fn names(members: &[crate::domain::ProcessName]) -> String {
        let names: Vec<&str> = members.iter().map(|name| name.as_str()).collect();
        names.join(" ")
    }

    #[test]
    fn a_group_holds_the_sections_of_its_programs() {
        let config = loaded(FILE);
        let programs = &config.groups[0].programs;
        let shown: Vec<_> = programs
            .iter()
            .map(|program| (program.template.program(), names(&program.members)))
            .collect();
        assert_eq!(shown, [("a", "a5 a6".to_owned()), ("b", "b".to_owned())]);
    }

    #[test]
    fn a_program_is_rescaled_without_reading_the_file() {
        let config = loaded(FILE);
        let group = &config.groups[0];
        let again = rescaled(&group.programs[0], 2).expect("valid");
        let before: Vec<_> = group
            .processes
            .iter()
            .filter(|p| p.name.as_str() != "b")
            .cloned()
            .collect();
        assert_eq!(again.processes, before);
        assert_eq!(again.members, group.programs[0].members);
    }

    #[test]
    fn more_and_fewer_processes_have_the_sections_expansion() {
        let config = loaded(FILE);
        let program = &config.groups[0].programs[0];
        let more = rescaled(program, 3).expect("valid");
        assert_eq!(names(&more.members), "a5 a6 a7");
        assert_eq!(&*more.processes[2].command, "a 7/3 1 /etc");
        assert_eq!(
            more.processes[2].environment.to_vec(),
            [("D", "1"), ("E", "7")].map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert_eq!(more.processes[2].stopsignal, crate::domain::Signal::KILL);
        assert_eq!(rescaled(program, 0).expect("valid").members, []);
        assert_eq!(
            rescaled(program, NUMPROCS_MAX + 1).expect_err("too many"),
            "numprocs 100001 is above upper bound (100000) in section 'program:a' (file: '/etc/s.conf')"
        );
    }

    #[test]
    fn several_processes_need_a_number_in_their_names() {
        let config = loaded("[supervisord]\n[program:a]\ncommand=a\n");
        assert_eq!(
            rescaled(&config.groups[0].programs[0], 2).expect_err("one name"),
            "%(process_num) must be present within process_name when numprocs > 1 in section 'program:a' (file: \
             '/etc/s.conf')"
        );
    }

    #[test]
    fn the_last_program_wins_a_shared_process_name() {
        let config = loaded(
            "[supervisord]\n[program:a]\ncommand=a\nprocess_name=x\n[program:b]\ncommand=b\nprocess_name=x\n[group:g]\n\
             programs=a,b\n",
        );
        let members: Vec<String> = config.groups[0]
            .programs
            .iter()
            .map(|program| names(&program.members))
            .collect();
        assert_eq!(members, ["", "x"]);
        assert_eq!(&*config.groups[0].processes[0].command, "b");
    }

    #[test]
    fn a_program_added_at_run_time_is_parsed_like_a_section() {
        let made = |options: &[(&str, &str)]| {
            let order = GroupChange::Program {
                group: group(),
                name: "n".to_owned(),
                options: options
                    .iter()
                    .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                    .collect(),
                environment: Arc::from([("D".to_owned(), "1".to_owned())]),
            };
            build_group_change("/etc/s.conf", &order, &Fake::default())
                .map_err(|errors| (errors.first, errors.all.len()))
        };
        let made_well = made(&[
            ("COMMAND", "x ; y"),
            ("numprocs", "2"),
            ("process_name", "%(process_num)d"),
            ("other", "1"),
        ])
        .expect("valid");
        assert_eq!(names(&made_well.members), "0 1");
        assert_eq!(&*made_well.processes[0].command, "x ; y");
        assert_eq!(made_well.processes[0].group, group());
        assert_eq!(made_well.template.program(), "n");
        let place = "in section 'program:n' (file: '/etc/s.conf')";
        assert_eq!(
            made(&[]).expect_err("no command").0,
            format!("program section program:n does not specify a command {place}")
        );
        assert_eq!(
            made(&[
                ("command", "x"),
                ("user", "nobody-here"),
                ("startsecs", "y")
            ])
            .expect_err("two"),
            (
                format!("invalid literal for int() with base 10: 'y' {place}"),
                2
            )
        );
    }
}
