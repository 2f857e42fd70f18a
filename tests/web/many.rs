//! placeholder
use crate::support::runner::Trial;
pub(crate) fn trials() -> Vec<Trial> {
    Vec::new()
}
