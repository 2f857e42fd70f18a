//! Copies of events and spans that another thread can write.

use std::fmt;
use std::sync::Arc;

use tracing::Metadata;
use tracing::field::{Field, Visit};

use crate::domain::Wall;

/// The value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FieldValue {
    /// A string.
    Text(String),
    /// Any other value, formatted.
    Formatted(String),
}

/// Values of fields, by the index of the field in its metadata. `None`: not recorded.
#[derive(Debug, Clone)]
pub(super) struct Fields(pub(super) Vec<Option<FieldValue>>);

impl Fields {
    /// No values for the fields of `metadata`.
    pub(super) fn new(metadata: &Metadata<'_>) -> Self {
        Self(vec![None; metadata.fields().len()])
    }

    fn set(&mut self, field: &Field, value: FieldValue) {
        if let Some(slot) = self.0.get_mut(field.index()) {
            *slot = Some(value);
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, FieldValue::Text(value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, FieldValue::Formatted(format!("{value:?}")));
    }
}

/// A copy of a span.
#[derive(Debug, Clone)]
pub(super) struct SpanRecord {
    pub(super) metadata: &'static Metadata<'static>,
    pub(super) fields: Fields,
}

/// A copy of an event.
#[derive(Debug)]
pub(super) struct EventRecord {
    pub(super) wall: Wall,
    pub(super) metadata: &'static Metadata<'static>,
    pub(super) fields: Fields,
    /// The spans that contain it, the outermost first.
    pub(super) spans: Vec<Arc<SpanRecord>>,
}

/// One line: level, target, spans with their fields, message, fields. Control characters are escaped.
impl fmt::Display for EventRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}:", self.metadata.level(), self.metadata.target())?;
        for span in &self.spans {
            write!(f, " {}{{", span.metadata.name())?;
            write_fields(f, span.metadata, &span.fields, "")?;
            f.write_str("}:")?;
        }
        let message = self.metadata.fields().field(MESSAGE);
        let message = message.and_then(|field| self.fields.0.get(field.index())?.as_ref());
        if let Some(FieldValue::Text(text) | FieldValue::Formatted(text)) = message {
            f.write_str(" ")?;
            write_escaped(f, text)?;
        }
        write_fields(f, self.metadata, &self.fields, " ")
    }
}

const MESSAGE: &str = "message";

fn write_fields(
    f: &mut fmt::Formatter<'_>,
    metadata: &Metadata<'_>,
    fields: &Fields,
    mut blank: &str,
) -> fmt::Result {
    for (field, value) in metadata.fields().iter().zip(&fields.0) {
        let Some(value) = value.as_ref().filter(|_| field.name() != MESSAGE) else {
            continue;
        };
        write!(f, "{blank}{}=", field.name())?;
        match value {
            FieldValue::Text(text) => write!(f, "{text:?}")?,
            FieldValue::Formatted(text) => write_escaped(f, text)?,
        }
        blank = " ";
    }
    Ok(())
}

fn write_escaped(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for c in text.chars() {
        match c.is_control() {
            true => write!(f, "{}", c.escape_default())?,
            false => write!(f, "{c}")?,
        }
    }
    Ok(())
}
