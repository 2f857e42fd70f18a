//! A session of one user with one server: calls, output, questions and the exit status. It does not know the actions.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;

use super::client::RpcClient;
use super::error::CtlError;
use super::progress_line::{Goal, ProgressLine};
use super::results::{ActionError, ActionReport, ActionResult};
use super::screen::Screen;
use super::terminal::{self, InterruptKey, StdinLines};
use super::{access, exit, reply, unreachable};
use crate::api::FaultCode;
use crate::api::xmlrpc::RpcValue;

/// The API version that this client supports.
const API_VERSION: &str = "3.0";
/// Maximum number of names in a message.
const NAMED_MAX: usize = 5;
/// Size of the output buffer, in bytes.
const OUTPUT_BYTES: usize = 64 << 10;

/// What usage errors say of the action that runs.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct RunningAction {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
}

/// Shows the screen of `top`. `supervisord ctl` has none, because it would make the daemon's binary larger.
/// Its arguments are the names of processes, none for all, and the time between two looks.
pub(super) type ScreenFn = fn(&mut CtlSession, Vec<String>, Duration) -> Result<(), CtlError>;

/// State shared by all actions.
pub(super) struct CtlSession {
    /// The client of the server.
    pub(super) client: RpcClient,
    /// Whether the user may be asked for confirmation and passwords.
    pub(super) interactive: bool,
    /// The exit status. Never reset: the last action that sets it decides.
    pub(super) exit: u8,
    /// The action that runs.
    pub(super) running: RunningAction,
    /// Whether the shell ends after this action.
    pub(super) leaving: bool,
    /// Reads standard input when the line editor does not.
    pub(super) input: StdinLines,
    /// Whether the server may support `supervisord.getProcessTable`. False after it has reported that it does not.
    pub(super) has_tables: bool,
    /// Shows the screen of `top`. `None`: the program has none.
    pub(super) show_top: Option<ScreenFn>,
    /// Whether this action prints JSON. Error lines then go to standard error.
    pub(super) json: bool,
    /// Whether everything that this action prints becomes one JSON object at its end, because the action has none of its own.
    pub(super) collects: bool,
    /// What this action did.
    pub(super) report: ActionReport,
    /// What the terminal can show.
    pub(super) screen: Screen,
    out: BufWriter<Stdout>,
    interrupts: Option<Rc<InterruptKey>>,
    progress: Option<ProgressLine>,
}

impl CtlSession {
    /// Creates a session without connecting.
    pub(super) fn new(client: RpcClient, interactive: bool, screen: Screen) -> Self {
        Self {
            client,
            interactive,
            exit: 0,
            running: RunningAction::default(),
            leaving: false,
            input: StdinLines::default(),
            has_tables: true,
            show_top: None,
            json: false,
            collects: false,
            report: ActionReport::default(),
            screen,
            out: BufWriter::with_capacity(OUTPUT_BYTES, io::stdout()),
            interrupts: None,
            progress: None,
        }
    }

    /// Prints a line.
    pub(super) fn say(&mut self, line: &str) -> Result<(), CtlError> {
        self.write(line.as_bytes())?;
        self.write(b"\n")
    }

    /// Prints an error line. With JSON on standard output it goes to standard error.
    pub(super) fn complain(&mut self, line: &str) -> Result<(), CtlError> {
        self.complain_as("ERROR", line)
    }

    /// Prints an error line like [`Self::complain`]. `code`: the code of the error in JSON.
    fn complain_as(&mut self, code: &str, line: &str) -> Result<(), CtlError> {
        if self.json {
            let prefixes = ["error: ", "Error: ", "ERROR: "];
            let text = prefixes.iter().find_map(|prefix| line.strip_prefix(prefix));
            self.report.errors.push(ActionError {
                code: code.to_owned(),
                text: text.unwrap_or(line).to_owned(),
            });
            self.flush()?;
            // Standard error may be closed, which cannot be reported.
            let _ = writeln!(io::stderr(), "{line}");
            return Ok(());
        }
        self.say(line)
    }

    /// Prints a line on standard error, after everything printed so far, without control characters.
    pub(super) fn warn(&mut self, line: &str) -> Result<(), CtlError> {
        self.flush()?;
        let _hidden = self.progress.as_ref().map(ProgressLine::hide);
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let line: String = line.chars().map(plain).collect();
        // Standard error may be closed, which cannot be reported.
        let _ = writeln!(io::stderr(), "{line}");
        Ok(())
    }

    /// Prints bytes as they are.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), CtlError> {
        if self.collects {
            self.report.output.extend_from_slice(bytes);
            return Ok(());
        }
        self.report.has_document |= self.json;
        self.out.write_all(bytes).map_err(CtlError::Output)
    }

    /// Prints the result for one process or group as `line`. At a terminal, failures are printed at the end of the action.
    pub(super) fn result(&mut self, result: ActionResult, line: &str) -> Result<(), CtlError> {
        if result.is_unknown() {
            self.report.unknown.push(result.namespec().to_owned());
        }
        if self.collects {
            self.report.results.push(result);
            return Ok(());
        }
        if !self.screen.is_for_people {
            return self.say(line);
        }
        let (is_ok, has_room) = (result.is_ok(), self.report.has_room());
        self.report.results.push(result);
        match (is_ok, has_room) {
            (true, true) => self.say(line),
            (true, false) => Ok(()),
            (false, _) => {
                self.report.failures.push(line.to_owned());
                Ok(())
            }
        }
    }

    /// Prints a hint on standard error if it is a terminal.
    pub(super) fn hint(&mut self, line: &str) -> Result<(), CtlError> {
        match self.screen.has_hints && !self.json {
            true => self.warn(line),
            false => Ok(()),
        }
    }

    /// Makes the rest of this action a JSON object.
    pub(super) fn collect_json(&mut self) {
        self.json = true;
        self.collects = true;
    }

    /// Flushes everything printed so far.
    pub(super) fn flush(&mut self) -> Result<(), CtlError> {
        if self.out.buffer().is_empty() {
            return Ok(());
        }
        let _hidden = self.progress.as_ref().map(ProgressLine::hide);
        self.out.flush().map_err(CtlError::Output)
    }

    /// Runs a part of an action that waits for these processes (empty: all), and at a terminal shows what it waits for.
    pub(super) fn with_progress<T>(
        &mut self,
        goal: Goal,
        names: &[&str],
        part: impl FnOnce(&mut Self) -> Result<T, CtlError>,
    ) -> Result<T, CtlError> {
        if !self.screen.has_cursor || self.json {
            return part(self);
        }
        self.flush()?;
        let interrupts = self.interrupts()?;
        let what = match names {
            [] => "all processes".to_owned(),
            names if names.len() > NAMED_MAX => format!("{} processes", names.len()),
            names => names.join(" "),
        };
        interrupts.set_last_words(&format!(
            "interrupted, but supervisord goes on {} {what} (see supervisorctl status)",
            goal.doing()
        ));
        self.progress = ProgressLine::start(self.client.new_connection(), goal, names);
        let result = part(self);
        self.progress = None;
        interrupts.set_last_words("");
        result
    }

    /// Flushes the output, then calls the server.
    pub(super) fn call(
        &mut self,
        method: &str,
        params: Vec<RpcValue>,
    ) -> Result<RpcValue, CtlError> {
        self.flush()?;
        self.client.call(method, params)
    }

    /// Whether the server is running and has the same API version. If not, prints why.
    pub(super) fn is_up(&mut self) -> Result<bool, CtlError> {
        match self.call("supervisor.getVersion", Vec::new()) {
            Ok(version) => {
                let version = reply::as_text(&version)?;
                if version == API_VERSION {
                    return Ok(true);
                }
                self.complain(&format!(
                    "Sorry, this version of supervisorctl expects to talk to a server with API version {API_VERSION}, but the remote version is {version}."
                ))?;
                self.exit = exit::NOT_INSTALLED;
                Ok(false)
            }
            Err(failure) if failure.is_fault(FaultCode::UnknownMethod) => {
                self.complain("Sorry, supervisord responded but did not recognize the supervisor namespace commands that supervisorctl uses to control it.  Please check that the [rpcinterface:supervisor] section is enabled in the configuration file (see sample.conf).")?;
                self.exit = exit::UNIMPLEMENTED;
                Ok(false)
            }
            Err(failure @ CtlError::Io(_)) => match self.report_down(&failure)? {
                true => Ok(false),
                false => Err(failure),
            },
            Err(failure) => Err(failure),
        }
    }

    /// Prints why an action failed.
    pub(super) fn report(&mut self, failure: CtlError) -> Result<(), CtlError> {
        if let CtlError::Output(_) = failure {
            return Err(failure);
        }
        // Differs: actions that do not check the server first also end here, so that a server that is down looks the
        // same for all actions. For those Supervisor prints `error: <class 'FileNotFoundError'>, …`.
        if self.report_down(&failure)? {
            return Ok(());
        }
        self.exit = exit::GENERIC;
        if self.explain(&failure)? {
            return Ok(());
        }
        let is_for_people = self.screen.is_for_people || self.json;
        if is_for_people {
            return self.complain_as(&failure.code(), &format!("error: {}", failure.for_people()));
        }
        let advice = match (failure.errno(), self.client.socket()) {
            // Supervisor prints a position in its own source here.
            (Some(Errno::EACCES | Errno::EPERM), Some(path)) => {
                format!(": {}", access::advice(path))
            }
            _ => String::new(),
        };
        self.complain(&format!("error: {failure}{advice}"))
    }

    /// At a terminal and with JSON, says what was tried, why it failed and what to do, if the server cannot be reached.
    /// Returns whether it did. Elsewhere only hints are shown.
    fn explain(&mut self, failure: &CtlError) -> Result<bool, CtlError> {
        let is_for_people = self.screen.is_for_people || self.json;
        if !is_for_people && !self.screen.has_hints {
            return Ok(false);
        }
        let Some(advice) = unreachable::explain(self.client.url(), failure) else {
            return Ok(false);
        };
        if is_for_people {
            self.complain_as(&failure.code(), &advice.what)?;
        }
        for line in &advice.next {
            self.hint(&format!("  {line}"))?;
        }
        Ok(is_for_people)
    }

    /// If the failure means that no server is running, prints that. Returns whether it did.
    fn report_down(&mut self, failure: &CtlError) -> Result<bool, CtlError> {
        let (what, status) = match failure.errno() {
            Some(Errno::ECONNREFUSED) => ("refused connection", exit::INSUFFICIENT_PRIVILEGES),
            Some(Errno::ENOENT) => ("no such file", exit::NOT_RUNNING),
            _ => return Ok(false),
        };
        self.exit = status;
        if !self.explain(failure)? {
            self.complain(&format!("{} {what}", self.client.url()))?;
        }
        Ok(true)
    }

    /// Asks for credentials, because the server requires them. Returns whether to try again.
    pub(super) fn ask_credentials(&mut self) -> Result<bool, CtlError> {
        self.complain("Server requires authentication")?;
        if !self.interactive {
            // Differs: Supervisor tries once more and also prints the raw exception.
            self.exit = exit::GENERIC;
            let why = match self.client.has_credentials() {
                true => {
                    "  the user name or the password is wrong: see username= and password= in the section of the server"
                }
                false => {
                    "  give them with -u NAME -p PASSWORD, or username= and password= in [supervisorctl]"
                }
            };
            self.hint(why)?;
            return Ok(false);
        }
        let username = self.ask("Username:")?;
        self.flush()?;
        let password = match terminal::password("Password:", &*self.interrupts()?) {
            Ok(Some(password)) => password,
            Ok(None) => {
                // Without a terminal, the prompt must not mix with the output, and there is no echo to disable.
                let _ = write!(io::stderr(), "Password:");
                self.input
                    .next()
                    .map_err(CtlError::Input)?
                    .ok_or(CtlError::EndOfInput)?
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.leaving = true;
                self.exit = exit::INTERRUPTED;
                return Ok(false);
            }
            Err(error) => return Err(CtlError::Input(error)),
        };
        self.say("")?;
        self.client.set_credentials(username, password);
        Ok(true)
    }

    /// Prints a prompt and reads a line.
    ///
    /// # Errors
    /// [`CtlError::EndOfInput`], [`CtlError::Input`].
    pub(super) fn ask(&mut self, prompt: &str) -> Result<String, CtlError> {
        if self.json {
            // Standard error may be closed; the answer is read all the same.
            let _ = write!(io::stderr(), "{prompt}");
        } else {
            self.write(prompt.as_bytes())?;
        }
        self.flush()?;
        self.input
            .next()
            .map_err(CtlError::Input)?
            .ok_or(CtlError::EndOfInput)
    }

    /// Asks for confirmation if standard input is a terminal; otherwise returns true. The prompt goes to standard
    /// error if standard output is not a terminal.
    pub(super) fn confirm_at_terminal(&mut self, question: &str) -> Result<bool, CtlError> {
        if !io::stdin().is_terminal() {
            return Ok(true);
        }
        let answer = if io::stdout().is_terminal() {
            self.ask(question)
        } else {
            self.flush()?;
            let _ = write!(io::stderr(), "{question}");
            self.ask("")
        };
        match answer {
            Ok(answer) => Ok(answer.starts_with(['y', 'Y'])),
            // Ctrl-D means no.
            Err(CtlError::EndOfInput) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Asks for confirmation if the session is interactive; otherwise returns true.
    pub(super) fn confirm(&mut self, question: &str) -> Result<bool, CtlError> {
        if !self.interactive {
            return Ok(true);
        }
        let answer = self.ask(question)?;
        Ok(answer.starts_with(['y', 'Y']))
    }

    /// The handler of the interrupt key. The first call installs it.
    pub(super) fn interrupts(&mut self) -> Result<Rc<InterruptKey>, CtlError> {
        if let Some(interrupts) = &self.interrupts {
            return Ok(Rc::clone(interrupts));
        }
        let interrupts =
            Rc::new(InterruptKey::install(exit::INTERRUPTED).map_err(CtlError::Input)?);
        self.interrupts = Some(Rc::clone(&interrupts));
        Ok(interrupts)
    }

    /// Makes an interrupt during an action exit the shell with status 0.
    pub(super) fn leave_on_interrupt(&mut self) -> Result<(), CtlError> {
        self.interrupts = Some(Rc::new(InterruptKey::install(0).map_err(CtlError::Input)?));
        Ok(())
    }

    /// Prints `text` as a usage error with the help text of the action, and sets the exit status.
    pub(super) fn usage(&mut self, text: &str, status: u8) -> Result<(), CtlError> {
        self.complain(text)?;
        self.complain(self.running.help)?;
        self.exit = status;
        Ok(())
    }

    /// The usage error of an action without arguments.
    pub(super) fn refuse_arguments(&mut self, status: u8) -> Result<(), CtlError> {
        let text = format!("Error: {} accepts no arguments", self.running.name);
        self.usage(&text, status)
    }

    /// Reports that the server refused an action: prints an error line and sets the exit status.
    pub(super) fn refuse(&mut self, line: &str) -> Result<(), CtlError> {
        self.complain(line)?;
        self.exit = exit::GENERIC;
        Ok(())
    }

    /// The arguments of an action without `--json`, which sets [`Self::json`].
    pub(super) fn words<'a>(&mut self, arguments: &'a str) -> Vec<&'a str> {
        let mut words: Vec<&str> = arguments.split_whitespace().collect();
        let before = words.len();
        words.retain(|word| *word != "--json");
        self.json |= words.len() != before;
        words
    }
}

/// Whether lines can be edited: input and output are terminals.
pub(super) fn is_at_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}
