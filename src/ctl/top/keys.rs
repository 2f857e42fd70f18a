//! What a key does, without a terminal.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::feed::{FeedCommand, TopVerb, WatchedLog};
use super::model::TopModel;

/// Maximum length of the filter.
const FILTER_CHARS_MAX: usize = 100;

/// What keys mean now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum KeyMode {
    #[default]
    Normal,
    /// Keys change the filter.
    Filter,
    /// `y` does this with that.
    Confirm(TopVerb, String),
    /// Any key closes the help.
    Help,
}

/// The screen without the terminal.
#[derive(Debug, Default)]
pub(super) struct TopState {
    pub(super) model: TopModel,
    pub(super) mode: KeyMode,
    /// The log that is shown. `None`: none.
    pub(super) watched: Option<WatchedLog>,
    /// Whether the log pane is open. It follows the selection.
    pub(super) has_log: bool,
    pub(super) is_stderr: bool,
    /// The end of the log.
    pub(super) log: String,
    /// The line at the bottom: the result of an action.
    pub(super) message: String,
    /// Why the figures are old. Empty: they are not.
    pub(super) failure: String,
    /// Number of rows that a page has.
    pub(super) page: usize,
}

/// What the loop must do after a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeyEffect {
    /// Only draw.
    Draw,
    /// Send this to the feed.
    Send(FeedCommand),
    Suspend,
    Quit,
}

impl TopState {
    /// Handles a key.
    pub(super) fn press(&mut self, key: KeyEvent) -> KeyEffect {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if is_control => return KeyEffect::Quit,
            KeyCode::Char('z') if is_control => return KeyEffect::Suspend,
            _ => {}
        }
        match std::mem::take(&mut self.mode) {
            KeyMode::Normal => self.press_normal(key.code),
            KeyMode::Filter => self.press_filter(key.code),
            KeyMode::Confirm(verb, name) => match key.code {
                KeyCode::Char('y' | 'Y') => {
                    self.message = format!("{} {name} ...", verb.word());
                    KeyEffect::Send(FeedCommand::Act(verb, name))
                }
                _ => {
                    self.message = "nothing was done".to_owned();
                    KeyEffect::Draw
                }
            },
            KeyMode::Help => KeyEffect::Draw,
        }
    }

    fn press_filter(&mut self, key: KeyCode) -> KeyEffect {
        let mut filter = self.model.filter().to_owned();
        match key {
            KeyCode::Esc => filter.clear(),
            KeyCode::Enter => return self.follow_selection(),
            KeyCode::Backspace => {
                filter.pop();
                self.mode = KeyMode::Filter;
            }
            KeyCode::Char(c) if filter.chars().count() < FILTER_CHARS_MAX => {
                filter.push(c);
                self.mode = KeyMode::Filter;
            }
            _ => self.mode = KeyMode::Filter,
        }
        self.model.set_filter(&filter);
        self.follow_selection()
    }

    fn press_normal(&mut self, key: KeyCode) -> KeyEffect {
        self.message.clear();
        let page = isize::try_from(self.page.max(1)).unwrap_or(1);
        let rows = match key {
            KeyCode::Down | KeyCode::Char('j') => 1,
            KeyCode::Up | KeyCode::Char('k') => -1,
            KeyCode::PageDown => page,
            KeyCode::PageUp => -page,
            KeyCode::Home | KeyCode::Char('g') => isize::MIN,
            KeyCode::End | KeyCode::Char('G') => isize::MAX,
            _ => 0,
        };
        if rows != 0 {
            self.model.move_by(rows);
            return self.follow_selection();
        }
        match key {
            KeyCode::Char('q') => return KeyEffect::Quit,
            KeyCode::Char('?' | 'h') => self.mode = KeyMode::Help,
            KeyCode::Char('/') => self.mode = KeyMode::Filter,
            KeyCode::Esc => {
                self.model.set_filter("");
                return self.follow_selection();
            }
            KeyCode::Char('o') => self.model.next_order(),
            KeyCode::Enter | KeyCode::Char(' ') => self.model.toggle_group(),
            KeyCode::Char('l') => {
                self.has_log = !self.has_log;
                return self.follow_selection();
            }
            KeyCode::Char('e') => {
                self.is_stderr = !self.is_stderr;
                return self.follow_selection();
            }
            KeyCode::Char('s') => self.ask(TopVerb::Start),
            KeyCode::Char('x') => self.ask(TopVerb::Stop),
            KeyCode::Char('r') => self.ask(TopVerb::Restart),
            KeyCode::Char('H') => self.ask(TopVerb::Hold),
            KeyCode::Char('R') => self.ask(TopVerb::Release),
            KeyCode::Char('u') => return KeyEffect::Send(FeedCommand::Refresh),
            _ => {}
        }
        KeyEffect::Draw
    }

    fn ask(&mut self, verb: TopVerb) {
        if let Some(name) = self.model.selected_name() {
            self.mode = KeyMode::Confirm(verb, name);
        }
    }

    /// Lets the log pane show the selected process. Returns what to send to the feed.
    pub(super) fn follow_selection(&mut self) -> KeyEffect {
        let process = self.model.selected_process().filter(|_| self.has_log);
        let wanted = process.map(|process| WatchedLog {
            name: process.namespec.clone(),
            is_stderr: self.is_stderr,
        });
        if wanted == self.watched {
            return KeyEffect::Draw;
        }
        self.watched.clone_from(&wanted);
        self.log.clear();
        KeyEffect::Send(FeedCommand::Watch(wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::TopProcess;
    use super::*;

    fn state() -> TopState {
        let mut state = TopState::default();
        let process = |name: &str| TopProcess {
            group: name.to_owned(),
            name: name.to_owned(),
            namespec: name.to_owned(),
            state: "RUNNING".to_owned(),
            statecode: 20,
            ..TopProcess::default()
        };
        state
            .model
            .set_processes(vec![process("api"), process("web")]);
        state
    }

    fn press(state: &mut TopState, keys: &str) -> KeyEffect {
        let mut effect = KeyEffect::Draw;
        for c in keys.chars() {
            let code = match c {
                '\n' => KeyCode::Enter,
                '\x1b' => KeyCode::Esc,
                c => KeyCode::Char(c),
            };
            effect = state.press(KeyEvent::new(code, KeyModifiers::NONE));
        }
        effect
    }

    #[test]
    fn an_action_happens_after_its_confirmation_only() {
        let mut state = state();
        assert_eq!(press(&mut state, "jx"), KeyEffect::Draw);
        assert_eq!(
            state.mode,
            KeyMode::Confirm(TopVerb::Stop, "web".to_owned())
        );
        assert_eq!(press(&mut state, "n"), KeyEffect::Draw);
        assert_eq!(state.mode, KeyMode::Normal);
        assert_eq!(
            press(&mut state, "xy"),
            KeyEffect::Send(FeedCommand::Act(TopVerb::Stop, "web".to_owned()))
        );
        // Enter is no confirmation.
        assert_eq!(press(&mut state, "s\n"), KeyEffect::Draw);
    }

    #[test]
    fn keys_of_the_filter_are_text() {
        let mut state = state();
        press(&mut state, "/qx");
        assert_eq!(
            (state.model.filter(), &state.mode),
            ("qx", &KeyMode::Filter)
        );
        press(&mut state, "\x1b");
        assert_eq!((state.model.filter(), &state.mode), ("", &KeyMode::Normal));
        press(&mut state, "/web\n");
        assert_eq!(state.model.selected_name().as_deref(), Some("web"));
        assert_eq!(press(&mut state, "q"), KeyEffect::Quit);
    }

    #[test]
    fn the_log_follows_the_selection() {
        let mut state = state();
        let watch = |name: &str, is_stderr: bool| {
            KeyEffect::Send(FeedCommand::Watch(Some(WatchedLog {
                name: name.to_owned(),
                is_stderr,
            })))
        };
        assert_eq!(press(&mut state, "l"), watch("api", false));
        assert_eq!(press(&mut state, "j"), watch("web", false));
        assert_eq!(press(&mut state, "j"), KeyEffect::Draw);
        assert_eq!(press(&mut state, "e"), watch("web", true));
        assert_eq!(
            press(&mut state, "l"),
            KeyEffect::Send(FeedCommand::Watch(None))
        );
    }

    #[test]
    fn control_keys_work_everywhere() {
        for keys in ["", "/", "x", "?"] {
            let mut state = state();
            press(&mut state, keys);
            let control = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL);
            assert_eq!(state.press(control('z')), KeyEffect::Suspend);
            assert_eq!(state.press(control('c')), KeyEffect::Quit);
        }
    }
}
