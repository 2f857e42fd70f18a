//! The queue in front of the activity log, in order.
//!
//! The log itself is away while a job writes to it. A log that hangs delays nobody: above a limit, lines are dropped
//! and counted, and the log reports the count where they are missing.

use std::collections::VecDeque;

use super::Activity;
use crate::api::Ticket;
use crate::domain::{Errno, Level, Line, Wall};
use crate::sys;

/// Maximum number of waiting lines.
pub(super) const LINES_MAX: usize = 16_384;
/// Number of orders that are collected within a turn before they are carried out.
const ORDERS_PER_JOB: usize = 1024;
/// Maximum bytes of waiting process output (level debug).
const ECHOED_BYTES_MAX: usize = 8 << 20;

/// An order for the activity log.
#[derive(Debug)]
pub(super) enum Order {
    /// Write a line.
    Write(Wall, Line),
    /// Close the file and open it again by name.
    Reopen,
    /// Remove the file and open a new one.
    Clear(Ticket),
    /// Write the lines that wait for a slow reader.
    Flush,
    /// Go on to the file of another date, even if no line is written.
    BeginDate,
}

/// The activity log and its queue.
#[derive(Debug)]
pub(super) struct ActivityQueue {
    level: Level,
    /// `None`: a job has the log.
    activity: Option<Box<Activity>>,
    orders: VecDeque<Order>,
    echoed_bytes: usize,
    /// Lines lost since the last line about lost lines.
    lost: u64,
    /// Whether lines wait for a slow reader.
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

    /// Whether lines of this level are written.
    pub(super) fn enabled(&self, level: Level) -> bool {
        level >= self.level
    }

    /// Queues a line with the timestamp `wall`.
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
        // Lines after a loss must wait until the loss can be reported.
        if is_full || self.lost > 0 {
            self.lost += 1;
            return;
        }
        self.echoed_bytes += echoed;
        self.orders.push_back(Order::Write(wall, line));
    }

    /// Reports lines that were lost before they reached this queue.
    pub(super) fn tell_lost(&mut self, count: u64) {
        self.log(sys::now().wall, Line::LinesDropped { lost: count });
        if self.lost > 0 {
            // The report itself was counted as one lost line.
            self.lost += count - 1;
        }
    }

    /// Queues an order that must not be lost. Their number is bounded by the clients that wait for a reply.
    pub(super) fn order(&mut self, order: Order) {
        self.orders.push_back(order);
    }

    /// Whether lines wait for a slow reader: [`Order::Flush`] is due soon.
    pub(super) fn waits(&self) -> bool {
        self.waits && self.activity.is_some()
    }

    /// When the log goes on to the file of another date. `None`: never, or a job has the log.
    pub(super) fn next_date(&self) -> Option<Wall> {
        self.activity.as_ref()?.next_date()
    }

    /// Whether everything is written.
    pub(super) fn is_idle(&self) -> bool {
        self.activity.is_some() && self.orders.is_empty() && self.lost == 0 && !self.waits
    }

    /// Whether the log is here and has work to do.
    pub(super) fn is_due(&self) -> bool {
        self.activity.is_some() && (!self.orders.is_empty() || self.lost > 0)
    }

    /// Whether the queue is long enough to start a job before the end of the turn.
    pub(super) fn is_long(&self) -> bool {
        self.orders.len() >= ORDERS_PER_JOB
    }

    /// Takes the log and its orders, for a job.
    pub(super) fn take_job(&mut self) -> Option<(Box<Activity>, VecDeque<Order>)> {
        let activity = self.activity.take()?;
        let mut orders = std::mem::take(&mut self.orders);
        self.echoed_bytes = 0;
        if self.lost > 0 {
            let lost = std::mem::take(&mut self.lost);
            orders.push_back(Order::Write(sys::now().wall, Line::LinesDropped { lost }));
        }
        Some((activity, orders))
    }

    /// Takes the log back from a job.
    pub(super) fn put_back(&mut self, activity: Box<Activity>) {
        self.waits = activity.is_waiting();
        self.activity = Some(activity);
    }

    /// Closes the log, unless a job has it.
    pub(super) fn close(&mut self) {
        self.activity = None;
    }
}

/// Carries out the orders. Returns the result of each [`Order::Clear`].
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
            Order::BeginDate => activity.begin_date(sys::now().wall),
        }
    }
    activity.set_batches(false);
    cleared
}
