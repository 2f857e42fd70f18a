//! The two text formats of Prometheus.
//!
//! # Source
//! Prometheus, "Exposition formats", text format 0.0.4; OpenMetrics 1.0.

use std::fmt::Write as _;

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextFormat {
    /// Version 0.0.4 of Prometheus.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl TextFormat {
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MetricKind {
    /// A value that goes up and down.
    Gauge,
    /// A value that only grows. Its name ends in `_total`.
    Counter,
    /// A gauge that the Go project and node_exporter call a counter, without `_total`. OpenMetrics has no such counter.
    InheritedCounter,
}

/// Writes families of metrics.
#[derive(Debug)]
pub(super) struct ExpositionWriter {
    format: TextFormat,
    text: String,
}

impl ExpositionWriter {
    pub(super) fn new(format: TextFormat, estimated_bytes: usize) -> Self {
        Self {
            format,
            text: String::with_capacity(estimated_bytes),
        }
    }

    /// Writes what a family is, before its first sample.
    pub(super) fn family(&mut self, name: &str, kind: MetricKind, help: &str) {
        let (word, of) = match (kind, self.format) {
            (MetricKind::Gauge, _) => ("gauge", name),
            (MetricKind::Counter, TextFormat::Text) => ("counter", name),
            (MetricKind::Counter, TextFormat::OpenMetrics) => {
                ("counter", name.strip_suffix("_total").unwrap_or(name))
            }
            (MetricKind::InheritedCounter, TextFormat::Text) => ("counter", name),
            (MetricKind::InheritedCounter, TextFormat::OpenMetrics) => ("gauge", name),
        };
        self.text.push_str("# HELP ");
        self.text.push_str(of);
        self.text.push(' ');
        // Help texts have no characters to escape.
        self.text.push_str(help);
        self.text.push_str("\n# TYPE ");
        self.text.push_str(of);
        self.text.push(' ');
        self.text.push_str(word);
        self.text.push('\n');
    }

    /// Writes a sample. Labels are in the order given.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            self.text.push_str(label);
            self.text.push_str("=\"");
            push_escaped(&mut self.text, text);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        // Writing to a string never fails.
        let _ = writeln!(self.text, " {value}");
    }

    pub(super) fn finish(mut self) -> String {
        if self.format == TextFormat::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

/// Appends the value of a label.
fn push_escaped(to: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '\\' => to.push_str("\\\\"),
            '"' => to.push_str("\\\""),
            '\n' => to.push_str("\\n"),
            other => to.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_have_their_types_and_escapes() {
        let written = |format| {
            let mut to = ExpositionWriter::new(format, 0);
            to.family("a_total", MetricKind::Counter, "How many.");
            to.sample("a_total", &[("name", "x\"\\\n\u{e9}"), ("group", "g")], 2.0);
            to.family("b", MetricKind::InheritedCounter, "When.");
            to.sample("b", &[], 1_795_203_927.5);
            to.finish()
        };
        let samples = "a_total{name=\"x\\\"\\\\\\n\u{e9}\",group=\"g\"} 2\n";
        assert_eq!(
            written(TextFormat::Text),
            format!(
                "# HELP a_total How many.\n# TYPE a_total counter\n{samples}# HELP b When.\n# TYPE b counter\nb 1795203927.5\n"
            )
        );
        assert_eq!(
            written(TextFormat::OpenMetrics),
            format!(
                "# HELP a How many.\n# TYPE a counter\n{samples}# HELP b When.\n# TYPE b gauge\nb 1795203927.5\n# EOF\n"
            )
        );
    }
}
