//! Sections and keys that are written twice in one file.

use super::super::key::SectionKind;
use super::explained::Explained;
use super::input::{Findings, LintInput};
use super::rule::Rule;

/// Checks all sections. The daemon itself warns about sections in several places, except those that often are in several
/// files.
pub(super) fn check(input: &LintInput<'_>, found: &mut Findings) {
    for section in input.ini.sections() {
        let Some(kind) = SectionKind::of(&section.name) else {
            continue;
        };
        let first = section.places.first();
        let mut later = section.places.iter().skip(1);
        let again = later.find(|place| first.is_some_and(|first| first.file == place.file));
        if let (Some(first), Some(again)) = (first, again)
            && matches!(kind, SectionKind::Daemon | SectionKind::Include)
        {
            let text = format!(
                "[{}] is defined in {} too; the last value of each key wins",
                section.name,
                input.file_line(*first)
            );
            found.push((*again, Explained::new(Rule::DuplicateSection, text)));
        }
        if section.places.len() > 1 {
            continue;
        }
        for entry in &section.entries {
            let Some(replaced) = &entry.replaced else {
                continue;
            };
            let text = format!(
                "{} is set twice in [{}]; {} has no effect",
                entry.written,
                section.name,
                input.file_line(**replaced)
            );
            let explained = Explained::new(Rule::DuplicateKey, text).key(&entry.key);
            let remedy = format!(
                "remove line {} or line {}",
                replaced.line,
                entry.key_span().line
            );
            found.push((entry.key_span(), explained.remedy(remedy)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::lookup::Fake;
    use super::super::testing::reports;

    #[test]
    fn what_is_written_twice_is_found() {
        for (text, code, line) in [
            (
                "[program:a]\ncommand=/bin/a\npriority=1\ncommand=/bin/a\n",
                "duplicate-key",
                4,
            ),
            (
                "[program:a]\ncommand=/bin/a\n[program:a]\npriority=1\n",
                "duplicate-section",
                1,
            ),
            ("[supervisord]\nminfds=1\n", "duplicate-section", 3),
        ] {
            let machine = Fake::default().with("/bin/a", "\u{0}");
            let found = reports(machine, text);
            let found: Vec<_> = found
                .iter()
                .map(|it| (it.explained.rule.code(), it.line))
                .collect();
            assert_eq!(found, [(code, line)], "{text}");
        }
    }
}
