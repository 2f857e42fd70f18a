//! Groups: without members, with a member twice, and with members of other groups.

use std::collections::HashMap;

use super::super::key::SectionKind;
use super::super::problem::SourceSpan;
use super::super::value;
use super::explained::Explained;
use super::input::{Findings, LintInput, span_of_part};
use super::rule::Rule;

/// Checks the `[group:x]` sections.
pub(super) fn check(input: &LintInput<'_>, found: &mut Findings) {
    let mut groups: HashMap<String, (String, SourceSpan)> = HashMap::new();
    for section in input.ini.sections() {
        if SectionKind::of(&section.name) != Some(SectionKind::Group) {
            continue;
        }
        let Some(entry) = input.entry(&section.name, "programs") else {
            continue;
        };
        let explained = |rule, text: String| Explained::new(rule, text).key("programs");
        let members = value::list(&entry.value);
        if members.is_empty() {
            let text = format!("programs: [{}] has no programs", section.name);
            found.push((entry.value_span(), explained(Rule::EmptyGroup, text)));
        }
        let mut own: Vec<&String> = Vec::new();
        for member in members.iter().filter(|member| !member.is_empty()) {
            let span = span_of_part(entry, member);
            if own.contains(&member) {
                let text = format!("programs: {member} is named twice in [{}]", section.name);
                found.push((span, explained(Rule::DuplicateMember, text)));
                continue;
            }
            own.push(member);
            match groups.get(member) {
                Some((other, place)) => {
                    let text = format!(
                        "programs: {member} is in [{other}] too ({}), so it runs twice",
                        input.file_line(*place)
                    );
                    found.push((span, explained(Rule::SeveralGroups, text)));
                }
                None => {
                    groups.insert(member.clone(), (section.name.clone(), span));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::lookup::Fake;
    use super::super::testing::codes;

    #[test]
    fn mistakes_of_groups_are_found() {
        for (groups, code) in [
            ("[group:g]\nprograms=a,b\n", None),
            ("[group:g]\nprograms=\n", Some("empty-group")),
            ("[group:g]\nprograms=a,b,a\n", Some("duplicate-member")),
            (
                "[group:g]\nprograms=a\n[group:h]\nprograms=b,a\n",
                Some("several-groups"),
            ),
        ] {
            let machine = Fake::default().with("/bin/a", "\u{0}");
            let text =
                format!("{groups}[program:a]\ncommand=/bin/a\n[program:b]\ncommand=/bin/a\n");
            let found = codes(machine, &text);
            let found = found.iter().find(|code| *code != "duplicate-name");
            assert_eq!(found.map(String::as_str), code, "{groups}");
        }
    }
}
