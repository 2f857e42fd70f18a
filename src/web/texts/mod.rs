//! TEXTS: every text of the pages in English and Chinese, one row per text, in a file per area. Pure.
//!
//! `{0}`, `{1}` stand for values. English texts of Supervisor's page are Supervisor's, because scripts compare them.

mod configuration;
mod frame;
mod hub;
mod log;
mod messages;
mod process;
mod scripts;
mod states;
mod table;

use std::fmt::Display;

pub(crate) use hub::HUB_SCRIPT_TEXTS;
pub(crate) use scripts::SCRIPT_TEXTS;

/// A language of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Language {
    English,
    Chinese,
}

impl Language {
    /// All languages, in the order of the columns of the table.
    pub(crate) const ALL: [Self; 2] = [Self::English, Self::Chinese];

    /// Its name in the cookie.
    pub(crate) const fn cookie_value(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh",
        }
    }

    /// Its tag in `<html lang>`.
    pub(crate) const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    /// Its name in itself.
    pub(crate) const fn own_name(self) -> &'static str {
        self.say(Text::LanguageName)
    }

    /// A text in this language.
    pub(crate) const fn say(self, text: Text) -> &'static str {
        let [english, chinese] = text.0.columns;
        match self {
            Self::English => english,
            Self::Chinese => chinese,
        }
    }

    /// A text in this language with its values.
    pub(crate) fn fill(self, text: Text, values: &[&dyn Display]) -> String {
        let mut filled = String::new();
        let mut rest = self.say(text);
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            let (number, after) = after.split_once('}').unwrap_or((after, ""));
            if let Some(value) = number.parse().ok().and_then(|at: usize| values.get(at)) {
                filled.push_str(&value.to_string());
            }
            rest = after;
        }
        filled.push_str(rest);
        filled
    }
}

/// A text of a page. Its row has the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text(&'static TextRow);

/// The words of a text.
#[derive(Debug, PartialEq, Eq)]
struct TextRow {
    name: &'static str,
    /// In the order of [`Language::ALL`].
    columns: [&'static str; Language::ALL.len()],
}

impl Text {
    /// Its name, by which scripts know it.
    pub(crate) const fn name(self) -> &'static str {
        self.0.name
    }
}

/// Defines the texts of one area from their rows: name, English, Chinese. The area is the list of them.
macro_rules! texts {
    ($(#[$attribute:meta])* $area:ident { $($name:ident: $english:literal, $chinese:literal;)+ }) => {
        #[expect(non_upper_case_globals, reason = "a text is named as a variant of an enum would be")]
        impl Text {
            $(
                #[doc = concat!("`", $english, "`")]
                pub(crate) const $name: Self = Self(&TextRow {
                    name: stringify!($name),
                    columns: [$english, $chinese],
                });
            )+
        }

        $(#[$attribute])*
        pub(crate) const $area: &[Text] = &[$(Text::$name),+];
    };
}
use texts;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::page_actions::PAGE_ACTIONS;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// All texts.
    fn all_texts() -> impl Iterator<Item = Text> {
        let areas = [
            frame::FRAME_TEXTS,
            table::TABLE_TEXTS,
            states::STATE_TEXTS,
            messages::MESSAGE_TEXTS,
            log::LOG_TEXTS,
            configuration::CONFIGURATION_TEXTS,
            process::PROCESS_TEXTS,
            hub::HUB_TEXTS,
            SCRIPT_TEXTS,
            HUB_SCRIPT_TEXTS,
        ];
        areas.into_iter().flatten().copied()
    }

    /// The placeholders of a text.
    fn placeholders(text: &str) -> BTreeSet<&str> {
        let parts = text.split('{').skip(1);
        parts.filter_map(|part| part.split('}').next()).collect()
    }

    #[test]
    fn both_languages_are_complete() {
        for text in all_texts() {
            let TextRow {
                name,
                columns: [english, chinese],
            } = text.0;
            assert_eq!(english.is_empty(), chinese.is_empty(), "{name}");
            assert_eq!(placeholders(english), placeholders(chinese), "{name}");
            let numbers: Vec<String> = (0..placeholders(english).len())
                .map(|number| number.to_string())
                .collect();
            assert!(
                placeholders(english)
                    .into_iter()
                    .eq(numbers.iter().map(String::as_str)),
                "{name}: {english}"
            );
        }
    }

    #[test]
    fn chinese_texts_are_chinese_and_english_ones_are_not() {
        let is_chinese = |text: &str| text.chars().any(|c| matches!(c, '\u{4e00}'..='\u{9fff}'));
        // The same in both languages: names and punctuation.
        let same = [
            "ColumnPid",
            "ColumnCpu",
            "HealthNone",
            "ActionOn",
            "TargetQuestion",
            "OneFailed",
            "Separator",
            "EndedAt",
            "TheseQuestion",
            "ActionQuestion",
        ];
        for text in all_texts() {
            let TextRow {
                name,
                columns: [english, chinese],
            } = text.0;
            assert!(!is_chinese(english), "{name}");
            assert_eq!(
                !is_chinese(chinese),
                same.contains(name),
                "{name}: {chinese}"
            );
        }
    }

    #[test]
    fn values_are_filled_in_and_never_read_as_placeholders() {
        let text = Language::English.fill(Text::ErrorOf, &[&"{1}", &7]);
        assert_eq!(text, "ERROR: {1}: 7");
        let text = Language::Chinese.fill(Text::ClearQuestion, &[&"p", &"g"]);
        assert_eq!(text, "清空组 g 中进程 p 的两个日志？");
    }

    fn source(name: &str) -> String {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        std::fs::read_to_string(folder.join(name)).expect("readable")
    }

    /// The names of the texts that scripts use.
    fn used_by(scripts: &[&str]) -> BTreeSet<String> {
        let mut used = BTreeSet::new();
        for script in scripts {
            let script = source(&format!("web/assets/{script}"));
            for part in script.split("text(\"").skip(1) {
                used.extend(part.split('"').next().map(str::to_owned));
            }
        }
        used
    }

    fn names(texts: &[Text]) -> BTreeSet<String> {
        texts.iter().map(|text| text.name().to_owned()).collect()
    }

    #[test]
    fn scripts_know_exactly_their_texts() {
        let mut used = used_by(&["theme.js", "status.js", "log.js", "process.js", "edit.js"]);
        let these = PAGE_ACTIONS.iter().map(|action| action.label_these.name());
        used.extend(these.map(str::to_owned));
        assert_eq!(used, names(SCRIPT_TEXTS));
        let of_hub = used_by(&["hub.js"]);
        let of_hub: BTreeSet<String> = of_hub.difference(&used).cloned().collect();
        assert_eq!(of_hub, names(HUB_SCRIPT_TEXTS));
    }

    /// The files of a folder below `src`, and of those in it.
    fn files_below(folder: &str) -> Vec<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let entries = std::fs::read_dir(root.join(folder)).expect("readable");
        let mut files = Vec::new();
        for entry in entries {
            let name = entry.expect("an entry").file_name();
            let path = format!("{folder}/{}", name.to_string_lossy());
            match root.join(&path).is_dir() {
                true => files.extend(files_below(&path)),
                false => files.push(path),
            }
        }
        files
    }

    /// String literals of Rust or JavaScript outside comments and tests.
    fn literals(code: &str) -> Vec<String> {
        let code = code.split("#[cfg(test)]").next().unwrap_or_default();
        let mut found = Vec::new();
        for line in code.lines() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            let line = line.replace("\\\"", "'");
            for quote in ['"', '`'] {
                let pieces: Vec<&str> = line.split(quote).collect();
                found.extend(
                    pieces
                        .iter()
                        .skip(1)
                        .step_by(2)
                        .map(|piece| (*piece).to_owned()),
                );
            }
        }
        found
    }

    /// Whether a literal looks like English: two words, or a word with a capital letter.
    fn is_english(literal: &str) -> bool {
        let is_word = |word: &&str| word.len() > 1 && word.chars().all(|c| c.is_ascii_alphabetic());
        let words: Vec<&str> = literal
            .split_whitespace()
            .map(|word| word.trim_end_matches(['.', ',', '?', '!', ':', '…']))
            .collect();
        let is_sentence = words.iter().filter(|word| is_word(word)).count() >= 2
            && !literal.contains(['=', '#', '[', '>', '/', ';', '<']);
        let is_capital = literal.starts_with(|c: char| c.is_ascii_uppercase());
        is_sentence || is_capital && words.iter().all(is_word)
    }

    #[test]
    fn no_page_code_has_english_texts_of_its_own() {
        // Not texts of the page: names of the protocols and of the browser, and selectors.
        let mut allowed = vec![
            "GET",
            "POST",
            "HEAD",
            "Accept",
            "INPUT",
            "SELECT",
            "TEXTAREA",
            "Escape",
            "Esc",
            "Cell",
            "DOMContentLoaded",
            "None",
            "use strict",
            "light dark",
            "exited red",
            "running red",
            "supervisorctl update",
            "SIG",
            "DENY",
            "OK",
            "not a supervisor",
            "no rpc interface",
            "HUP",
            "INT",
            "QUIT",
            "KILL",
            "USR1",
            "USR2",
            "TERM",
            "CONT",
            "STOP",
            "WINCH",
        ];
        allowed.extend(all_texts().map(|text| text.0.name));
        // Texts of the configuration and of requests, which their pages show as they are; and the texts themselves.
        let others = [
            "server/web/configuration/",
            "server/web/perform_action.rs",
            "web/texts/",
            "web/assets/edit.js",
            "hub/pages/routes.rs",
        ];
        let is_code = |name: &String| {
            (name.ends_with(".rs") || name.ends_with(".js"))
                && !others.iter().any(|other| name.starts_with(other))
        };
        let mut seen = 0;
        let folders = ["web", "server/web", "hub/pages"].map(files_below);
        for name in folders.into_iter().flatten().filter(is_code) {
            for literal in literals(&source(&name)) {
                seen += 1;
                let is_allowed = allowed.contains(&literal.as_str());
                assert!(is_allowed || !is_english(&literal), "{name}: {literal:?}");
            }
        }
        assert!(seen > 500, "{seen}");
        assert!(
            is_english("No programs to manage") && is_english("Start") && !is_english("td.name")
        );
    }
}
