//! Which part of a chunk a queue with a limit takes, so that only whole lines are dropped.

/// The state of a queue that may overflow.
#[derive(Debug, Default)]
pub(super) struct Overflow {
    /// Output is dropped until the queue is half empty and a line has ended. The value: a line has ended. `None`: output
    /// is not dropped.
    dropping: Option<bool>,
}

impl Overflow {
    /// Returns the part of `data` that a queue takes that has `waiting` bytes of at most `limit`. `is_late`: the limit
    /// counts.
    pub(super) fn admit<'a>(
        &mut self,
        data: &'a [u8],
        (waiting, limit): (usize, usize),
        is_late: bool,
    ) -> &'a [u8] {
        if let Some(line_ended) = self.dropping {
            if waiting > limit / 2 {
                self.dropping = Some(data.last() == Some(&b'\n'));
                return &[];
            }
            let newline = data.iter().position(|&byte| byte == b'\n');
            let from = match line_ended {
                true => Some(0),
                // Output without lines continues when the queue is empty.
                false => newline.map(|at| at + 1).or((waiting == 0).then_some(0)),
            };
            let Some(from) = from else { return &[] };
            self.dropping = None;
            return &data[from..];
        }
        if !is_late || waiting + data.len() <= limit {
            return data;
        }
        let room = limit.saturating_sub(waiting).min(data.len());
        let end = data[..room].iter().rposition(|&byte| byte == b'\n');
        self.dropping = Some(data.last() == Some(&b'\n'));
        &data[..end.map_or(0, |at| at + 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l07_only_whole_lines_are_dropped() {
        let mut overflow = Overflow::default();
        let mut admit = |data: &'static str, waiting, is_late| {
            let admitted = overflow.admit(data.as_bytes(), (waiting, 10), is_late);
            String::from_utf8_lossy(admitted).into_owned()
        };
        assert_eq!(admit("more than ten\n", 9, false), "more than ten\n");
        assert_eq!(admit("one\ntwo\nthr", 2, true), "one\ntwo\n");
        assert_eq!(admit("ee\nfour\n", 9, true), "");
        assert_eq!(admit("five\nsi", 5, true), "five\nsi", "a line had ended");
        assert_eq!(admit("x\nseven", 9, true), "");
        assert_eq!(admit("7\neight\n", 5, true), "eight\n");
        assert_eq!(admit("without lines", 1, true), "");
        assert_eq!(admit("still", 1, true), "");
        assert_eq!(admit("again", 0, true), "again");
    }
}
