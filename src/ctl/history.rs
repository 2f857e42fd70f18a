//! The action `history`: who requested which changes. Only our own server supports it.

use nix::unistd::{Uid, User};
use serde::{Deserialize, Serialize};

use super::action::ENTRIES;
use super::error::CtlError;
use super::option_words::{count, take_value};
use super::reply::{as_text, unexpected};
use super::rolling::print_refusal;
use super::session::CtlSession;
use super::{exit, printable, render};
use crate::api::xmlrpc::RpcValue;

/// A request that changed something, or would have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AuditedRequest {
    /// In seconds since the epoch.
    pub(super) at: i64,
    /// The same time in the zone of the daemon.
    pub(super) local: String,
    pub(super) who: String,
    pub(super) verb: String,
    pub(super) target: String,
    pub(super) result: String,
}

impl AuditedRequest {
    /// `stop web by unix uid=0(root) pid=7`, and the result if it is not simply accepted.
    pub(super) fn described(&self, session: &CtlSession) -> String {
        let mut text = format!("{} {}", self.verb, self.target)
            .trim_end()
            .to_owned();
        text.push_str(" by ");
        text.push_str(&with_user_name(session, &self.who));
        if self.result != "accepted" {
            text.push_str(": ");
            text.push_str(&self.result);
        }
        printable::all(&text)
    }

    /// Whether the daemon did what was requested.
    pub(super) fn is_accepted(&self) -> bool {
        self.result.starts_with("accepted")
    }
}

/// The last requests about the processes that `names` mean; no names: all. `most`: only the newest, 0: all.
pub(super) fn requests(
    session: &mut CtlSession,
    names: &[&str],
    most: u32,
) -> Result<Vec<AuditedRequest>, CtlError> {
    #[derive(Deserialize)]
    struct TrailAnswer {
        requests: Vec<AuditedRequest>,
    }
    let names = names.iter().map(|name| RpcValue::text(*name)).collect();
    let params = vec![RpcValue::Array(names), RpcValue::Int(i64::from(most))];
    let answer = session.call("supervisord.getAuditTrail", params)?;
    let answered: TrailAnswer =
        serde_json::from_str(&as_text(&answer)?).map_err(|_| unexpected("requests"))?;
    Ok(answered.requests)
}

/// The action `history [-n count] [name…]`.
pub(super) fn history(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    #[derive(Serialize)]
    struct HistoryJson {
        requests: Vec<AuditedRequest>,
    }
    let mut names = session.words(arguments);
    let most = match take_value(&mut names, ENTRIES.name)
        .and_then(|value| value.map_or(Ok(0), |value| count(ENTRIES.name, value)))
    {
        Ok(most) => most,
        Err(text) => {
            return session.usage(&format!("Error: history: {text}"), exit::INVALID_ARGUMENTS);
        }
    };
    names.retain(|name| *name != "all");
    if !session.is_up()? {
        return Ok(());
    }
    let found = match requests(session, &names, most) {
        Err(failure) => return print_refusal(session, "history", failure),
        Ok(found) => found,
    };
    if session.json {
        return session.say(&render::json(&HistoryJson { requests: found }));
    }
    for request in &found {
        let line = format!("{}  {}", request.local, request.described(session));
        session.say(&line)?;
    }
    Ok(())
}

/// `uid=0` as `uid=0(root)`, if the daemon is on this host.
fn with_user_name(session: &CtlSession, who: &str) -> String {
    if session.client.socket().is_none() {
        return who.to_owned();
    }
    let named = |word: &str| -> Option<String> {
        let uid = word.strip_prefix("uid=")?.parse().ok()?;
        let user = User::from_uid(Uid::from_raw(uid)).ok()??;
        Some(format!("{word}({})", user.name))
    };
    let words = who.split(' ');
    let words: Vec<String> = words
        .map(|word| named(word).unwrap_or_else(|| word.to_owned()))
        .collect();
    words.join(" ")
}
