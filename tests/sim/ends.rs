//! Invariants of programs whose end ends the daemon.

use std::collections::BTreeMap;
use std::sync::Arc;

use supervisord::config::spec::{AutoRestart, OnFatal, ProcessSpec};
use supervisord::core::{Action, DaemonOutcome, Input};
use supervisord::domain::{Change, Line, ProcessState};
use supervisord::effects::{LoadReason, LoaderOutcome, OutputEffect, SpawnerEffect};

type Name = (String, String);

#[derive(Debug, Default)]
pub(crate) struct Ends {
    /// The configuration of each process, unless a file was read since its last attempt.
    specs: BTreeMap<Name, Arc<ProcessSpec>>,
    /// The daemon stopped before the input.
    was_stopping: bool,
    /// An essential program has ended with this input.
    ended: Option<Name>,
    /// The exit status that the log announced.
    announced: Option<u8>,
}

impl Ends {
    /// Notes an input before the actions it caused.
    pub(crate) fn note_input(&mut self, input: &Input, is_stopping: bool) {
        self.was_stopping = is_stopping;
        if let Input::Loader(LoaderOutcome::Loaded {
            reason: LoadReason::Reread(_),
            result: Ok(_),
        }) = input
        {
            self.specs.clear();
        }
    }

    pub(crate) fn note_action(&mut self, action: &Action) {
        match action {
            Action::Spawner(SpawnerEffect::Resolve(_, spec))
            | Action::Output(OutputEffect::PrepareNext(_, spec, _)) => {
                let name = (spec.group.to_string(), spec.name.to_string());
                self.specs.insert(name, Arc::clone(spec));
            }
            Action::Publish(change) => {
                if let Change::ProcessState {
                    group,
                    process,
                    to,
                    expected,
                    ..
                } = &**change
                {
                    let name = (group.to_string(), process.to_string());
                    self.entered(name, *to, *expected);
                }
            }
            Action::Log(Line::ProgramEnded { status, .. } | Line::AllEnded { status }) => {
                assert_eq!(self.announced, None, "the daemon ends twice");
                assert!(!self.was_stopping, "an end while everything stops");
                self.announced = Some(*status);
            }
            Action::Finish(outcome) => {
                let expected = match self.announced {
                    None => None,
                    Some(0) => Some(DaemonOutcome::Shutdown),
                    Some(status) => Some(DaemonOutcome::ShutdownWith(status)),
                };
                match expected {
                    Some(expected) => assert_eq!(*outcome, expected),
                    None => assert!(!matches!(outcome, DaemonOutcome::ShutdownWith(_))),
                }
            }
            _ => {}
        }
    }

    fn entered(&mut self, name: Name, to: ProcessState, expected: bool) {
        let Some(spec) = self.specs.get(&name) else {
            return;
        };
        let ends = match to {
            ProcessState::Fatal => spec.essential || spec.on_fatal == OnFatal::Shutdown,
            ProcessState::Exited => {
                spec.essential
                    && match spec.autorestart {
                        AutoRestart::Always => false,
                        AutoRestart::Never => true,
                        AutoRestart::Unexpected => expected,
                    }
            }
            _ => false,
        };
        if ends && !self.was_stopping {
            self.ended = Some(name);
        }
    }

    /// Asserts that the daemon stops now if an essential program has ended. Nothing starts while it stops, which is
    /// another invariant. Returns what happened that a test must have seen.
    pub(crate) fn after(&mut self, is_stopping: bool) -> Option<&'static str> {
        let ended = self.ended.take();
        assert!(
            is_stopping || (ended.is_none() && self.announced.is_none()),
            "{ended:?} has ended, and the daemon does not stop"
        );
        ended.map(|_| "end of an essential program")
    }
}
