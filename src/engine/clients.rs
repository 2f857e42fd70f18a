//! Clients that wait for the answers to their requests.

use std::collections::HashMap;

use super::inbox::AnswerFn;
use crate::api::{Fault, Reply, Ticket};

/// The functions that answer the waiting clients, by ticket.
#[derive(Default)]
pub(super) struct Clients {
    waiting: HashMap<Ticket, AnswerFn>,
    next_ticket: u64,
}

impl Clients {
    /// Adds a client and returns the ticket of its request.
    pub(super) fn insert(&mut self, answer: AnswerFn) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.waiting.insert(ticket, answer);
        ticket
    }

    /// Answers a request. Does nothing if it was answered before.
    pub(super) fn answer(&mut self, ticket: Ticket, result: Result<Reply, Fault>) {
        if let Some(answer) = self.waiting.remove(&ticket) {
            answer(result);
        }
    }

    /// Answers all waiting clients with the same fault.
    pub(super) fn refuse_all(&mut self, fault: &Fault) {
        for (_, answer) in std::mem::take(&mut self.waiting) {
            answer(Err(fault.clone()));
        }
    }
}
