//! Which nodes and processes a user reaches.

use serde::{Deserialize, Serialize};

use crate::config::matches_name;

/// Maximum number of patterns of one list.
pub(super) const PATTERNS_MAX: usize = 100;
/// Maximum length of a pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 255;

/// The limits of a user. What is outside, the user neither sees nor controls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessLimits {
    /// Patterns of environments, such as `prod*`. Empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<String>,
    /// Patterns of groups of processes. Empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

impl AccessLimits {
    /// Whether there is no limit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.environments.is_empty() && self.groups.is_empty()
    }

    /// Whether nodes of an environment are within the limits.
    #[must_use]
    pub fn has_environment(&self, environment: &str) -> bool {
        is_within(&self.environments, environment)
    }

    /// Whether processes of a group are within the limits, on a node that is.
    #[must_use]
    pub fn has_group(&self, group: &str) -> bool {
        is_within(&self.groups, group)
    }

    /// Checks the numbers and lengths of patterns.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), String> {
        for patterns in [&self.environments, &self.groups] {
            if patterns.len() > PATTERNS_MAX {
                return Err(format!("there are more than {PATTERNS_MAX} patterns"));
            }
            if patterns.iter().any(|text| text.len() > PATTERN_BYTES_MAX) {
                return Err(format!(
                    "a pattern is longer than {PATTERN_BYTES_MAX} bytes"
                ));
            }
        }
        Ok(())
    }
}

fn is_within(patterns: &[String], name: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| matches_name(pattern, name))
}
