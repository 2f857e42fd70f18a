//! A client of Nacos servers over their HTTP interfaces v1 and v3: `read` reads an item by whichever the server has, `watch`
//! reports its changes, `publish` writes it; `call` logs in, and `servers` tries the servers of a list in turn.
//!
//! An answer is judged by its body: v3 reports a missing item with status 200. Texts of failures have no secrets.
//!
//! # Source
//! Chapter "Nacos" of the extensions contract; the documentation of Nacos 1.x, 2.x and 3.x.

mod call;
mod envelope;
mod failure;
mod history;
mod listeners;
mod listening_record;
mod login;
mod publish;
mod read;
mod servers;
mod text;
mod v1;
mod v3;
mod watch;

pub(super) use publish::NewText;
pub(super) use servers::NacosClient;
pub(super) use watch::watch;
