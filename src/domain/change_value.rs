//! The values in a change, for a server that shows all of them under their names.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Channel, ProcessState, ResourceEvents, SupervisorState, TickPeriod};

/// One value of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeValue<'a> {
    /// A text. Bytes that are not UTF-8 are replaced.
    Text(Cow<'a, str>),
    /// A number.
    Int(i64),
    /// A truth value.
    Truth(bool),
    /// Words.
    Words(Vec<&'static str>),
}

/// The type of a field of a change.
pub(super) trait ChangeField {
    /// Returns the value that servers show.
    fn value(&self) -> ChangeValue<'_>;
}

impl ChangeField for str {
    fn value(&self) -> ChangeValue<'_> {
        ChangeValue::Text(Cow::Borrowed(self))
    }
}

impl ChangeField for String {
    fn value(&self) -> ChangeValue<'_> {
        self.as_str().value()
    }
}

impl ChangeField for Arc<[u8]> {
    fn value(&self) -> ChangeValue<'_> {
        ChangeValue::Text(String::from_utf8_lossy(self))
    }
}

impl ChangeField for i64 {
    fn value(&self) -> ChangeValue<'_> {
        ChangeValue::Int(*self)
    }
}

impl ChangeField for i32 {
    fn value(&self) -> ChangeValue<'_> {
        ChangeValue::Int((*self).into())
    }
}

impl ChangeField for u32 {
    fn value(&self) -> ChangeValue<'_> {
        ChangeValue::Int((*self).into())
    }
}

impl ChangeField for bool {
    fn value(&self) -> ChangeValue<'_> {
        ChangeValue::Truth(*self)
    }
}

impl ChangeField for ProcessState {
    fn value(&self) -> ChangeValue<'_> {
        self.name().value()
    }
}

impl ChangeField for SupervisorState {
    fn value(&self) -> ChangeValue<'_> {
        self.name().value()
    }
}

impl ChangeField for Channel {
    fn value(&self) -> ChangeValue<'_> {
        self.name().value()
    }
}

impl ChangeField for TickPeriod {
    fn value(&self) -> ChangeValue<'_> {
        ChangeValue::Int(self.seconds())
    }
}

impl ChangeField for ResourceEvents {
    fn value(&self) -> ChangeValue<'_> {
        ChangeValue::Words(self.each().map(|(word, _)| word).collect())
    }
}
