//! What waits to be written to the activity log, in order.
//!
//! The log itself is away while a job writes to it. A log that hangs delays nobody: lines beyond a bound are lost, counted,
//! and the log says how many where they are missing.

use std::collections::VecDeque;

use super::Activity;
use crate::api::Ticket;
use crate::domain::{Errno, Level, Line, Wall};
use crate::sys;

/// Lines that wait at most.
pub(super) const LINES_MAX: usize = 16_384;
/// Orders that are gathered before they are carried out, within a turn.
const ORDERS_PER_JOB: usize = 1024;
/// Bytes of what processes wrote, echoed at level debug, that wait at most.
const ECHOED_BYTES_MAX: usize = 8 << 20;

/// What is to be done with the activity log.
#[derive(Debug)]
pub(super) enum Order {
    /// Write a line.
    Write(Wall, Line),
    /// Close the file and open it by name.
    Reopen,
    /// Remove the file and open it by name.
    Clear(Ticket),
    /// Write what waits for a slow reader.
    Flush,
}

/// The activity log, and what waits for it.
#[derive(Debug)]
pub(super) struct ActivityQueue {
    level: Level,
    /// `None`: a job writes to it.
    activity: Option<Box<Activity>>,
    orders: VecDeque<Order>,
    echoed_bytes: usize,
    /// Lines lost since the last one that said so.
    lost: u64,
    /// Lines wait for a slow reader.
    waits: bool,
}

impl ActivityQueue {
    pub(super) fn new(activity: Activity) -> Self {
        Self {
            level: activity.level(),
            waits: activity.is_waiting(),
            activity: Some(Box::new(activity)),
            orders: VecDeque::new(),
            echoed_bytes: 0,
            lost: 0,
        }
    }

    /// Lines of this level are written.
    pub(super) fn enabled(&self, level: Level) -> bool {
        level >= self.level
    }

    /// Queues a line, stamped `wall`.
    pub(super) fn log(&mut self, wall: Wall, line: Line) {
        if !self.enabled(line.level()) {
            return;
        }
        let echoed = match &line {
            Line::Output { text, .. } => text.len(),
            _ => 0,
        };
        let is_full = self.orders.len() >= LINES_MAX
            || (echoed > 0 && self.echoed_bytes + echoed > ECHOED_BYTES_MAX);
        // What comes behind a gap waits until the gap can be told.
        if is_full || self.lost > 0 {
            self.lost += 1;
            return;
        }
        self.echoed_bytes += echoed;
        self.orders.push_back(Order::Write(wall, line));
    }

    /// Lines were lost on their way to us.
    pub(super) fn tell_lost(&mut self, count: u64) {
        self.log(sys::now().wall, Line::LinesDropped { lost: count });
        if self.lost > 0 {
            // That line is lost too, and stands for these.
            self.lost += count - 1;
        }
    }

    /// Queues something that is never lost: there are only as many as clients wait for.
    pub(super) fn order(&mut self, order: Order) {
        self.orders.push_back(order);
    }

    /// Lines wait for a slow reader: [`Order::Flush`] is due soon.
    pub(super) fn waits(&self) -> bool {
        self.waits && self.activity.is_some()
    }

    /// Everything is written.
    pub(super) fn is_idle(&self) -> bool {
        self.activity.is_some() && self.orders.is_empty() && self.lost == 0 && !self.waits
    }

    /// The log is here, and there is something to do with it.
    pub(super) fn is_due(&self) -> bool {
        self.activity.is_some() && (!self.orders.is_empty() || self.lost > 0)
    }

    /// So many orders wait that they should not wait for the end of a turn.
    pub(super) fn is_long(&self) -> bool {
        self.orders.len() >= ORDERS_PER_JOB
    }

    /// Gives the log away, with what is to be done with it.
    pub(super) fn take(&mut self) -> Option<(Box<Activity>, VecDeque<Order>)> {
        let activity = self.activity.take()?;
        let mut orders = std::mem::take(&mut self.orders);
        self.echoed_bytes = 0;
        if self.lost > 0 {
            let lost = std::mem::take(&mut self.lost);
            orders.push_back(Order::Write(sys::now().wall, Line::LinesDropped { lost }));
        }
        Some((activity, orders))
    }

    /// The log is back.
    pub(super) fn put_back(&mut self, activity: Box<Activity>) {
        self.waits = activity.is_waiting();
        self.activity = Some(activity);
    }

    /// Closes the log, if it is here.
    pub(super) fn close(&mut self) {
        self.activity = None;
    }
}

/// Does what was queued, in order. Returns what came of each [`Order::Clear`].
pub(super) fn carry_out(
    activity: &mut Activity,
    orders: VecDeque<Order>,
) -> Vec<(Ticket, Result<(), Errno>)> {
    let mut cleared = Vec::new();
    for order in orders {
        activity.set_batches(matches!(order, Order::Write(..)));
        match order {
            Order::Write(wall, line) => activity.write(wall, &line),
            Order::Reopen => activity.reopen(sys::now().wall),
            Order::Clear(ticket) => cleared.push((ticket, activity.clear(sys::now().wall))),
            Order::Flush => activity.flush(),
        }
    }
    activity.set_batches(false);
    cleared
}
