//! Calls about the texts of the configuration, which do not go to the engine.

use std::pin::Pin;
use std::sync::Arc;

use jiff::Timestamp;

use super::auth::grant_for;
use super::handle::ControlHandle;
use crate::api::{
    AccessScope, AuditRecord, Caller, ConfigCall, Fault, FaultCode, Grant, Method,
    PERMISSION_DENIED, Reply, audit_line,
};
use crate::domain::Line;

/// The answer to a call, later.
pub type ConfigReply = Pin<Box<dyn Future<Output = Result<ConfigAnswer, Fault>> + Send>>;

/// The answer to a call.
#[derive(Debug)]
pub struct ConfigAnswer {
    /// What the client gets.
    pub reply: Reply,
    /// The digest of the difference that was written, for the audit line. `None`: no text was changed.
    pub digest: Option<String>,
}

impl From<Reply> for ConfigAnswer {
    fn from(reply: Reply) -> Self {
        Self {
            reply,
            digest: None,
        }
    }
}

/// Whether the source of the configuration works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceHealth {
    /// It is a Nacos server.
    pub is_nacos: bool,
    /// When the applied text was applied, in seconds since 1970.
    pub applied_at: i64,
    /// The text can be read.
    pub is_up: bool,
    /// The newest text was refused.
    pub is_rejected: bool,
}

/// What answers the calls.
pub trait ConfigCalls: Send + Sync {
    /// Whether the server of the configuration works. `None`: the configuration is in local files.
    fn source_health(&self) -> Option<SourceHealth>;

    /// Answers a call of a caller who has the permission for it. `control`: the engine, of which an implementation must not
    /// keep a handle, because the handle keeps the implementation.
    fn call(&self, control: ControlHandle, caller: Caller, call: ConfigCall) -> ConfigReply;
}

impl ControlHandle {
    /// Sets what answers calls about the configuration. Has no effect the second time.
    pub fn answer_config_calls(&self, calls: Arc<dyn ConfigCalls>) {
        let _ = self.config_calls.set(calls);
    }

    /// Whether the server of the configuration works. `None`: the configuration is in local files.
    #[must_use]
    pub fn source_health(&self) -> Option<SourceHealth> {
        self.config_calls.get()?.source_health()
    }

    /// Asks about the texts of the configuration on behalf of `caller`, who needs the permission of `method`. A change
    /// gets its audit line, whether it is accepted or refused.
    ///
    /// # Errors
    /// A refusal, or the fault of the call.
    pub async fn ask_about_config(
        &self,
        caller: &Caller,
        method: &'static Method,
        call: ConfigCall,
    ) -> Result<Reply, Fault> {
        let entry = call.audit_entry();
        let result = match (
            grant_for(caller, method.permission),
            self.config_calls.get(),
        ) {
            (Err(fault), _) => Err(fault),
            // A text may mention any program, so a right to some processes is not enough.
            (
                Ok(Grant {
                    scope: AccessScope::Only(_),
                    ..
                }),
                _,
            ) => {
                let word = method.permission.word();
                let text = format!("{PERMISSION_DENIED}it needs {word} on all processes");
                Err(FaultCode::Failed.of(text))
            }
            (Ok(_), None) => Err(FaultCode::ShutdownState.bare()),
            (Ok(_), Some(calls)) => calls.call(self.clone(), caller.clone(), call).await,
        };
        if let Some(entry) = entry {
            let mut line = audit_line(caller, entry, result.as_ref().err());
            if let Line::Audit { result: said, .. } = &mut line
                && let Ok(ConfigAnswer {
                    digest: Some(digest),
                    ..
                }) = &result
            {
                said.push_str(&format!(", diff {digest}"));
            }
            let record = AuditRecord::of(&line, Timestamp::now().as_second());
            (self.log)(line);
            if let Some(record) = record.filter(|_| result.is_ok()) {
                self.note_audited(record).await;
            }
        }
        result.map(|answer| answer.reply)
    }
}
