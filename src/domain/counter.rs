//! Numbers in a state that was written out: read back only if they can go on being counted.
//!
//! A number that was spoilt, or comes from a version that counted otherwise, would overflow or fill the memory one day. It
//! makes the whole state unreadable instead, which the daemon knows how to go on from.

use serde::de::Error as _;
use serde::{Deserialize as _, Deserializer};

/// No counter of ours comes here: a million a second take 146,000 years.
const COUNTER_MAX: u64 = 1 << 62;
/// Slots of processes are places in a list. More processes than this are more than Linux has PIDs for.
const SLOT_MAX: u32 = 1 << 23;
/// The same for counters of 32 bits.
const SMALL_COUNTER_MAX: u32 = 1 << 31;

/// A counter of 64 bits, if it can go on being counted.
#[must_use]
pub fn checked(number: u64) -> Option<u64> {
    (number <= COUNTER_MAX).then_some(number)
}

/// The same of 32 bits.
#[must_use]
pub fn checked_small(number: u32) -> Option<u32> {
    (number <= SMALL_COUNTER_MAX).then_some(number)
}

/// Returns the slot of a process. `None`: a daemon cannot have that many processes.
#[must_use]
pub fn checked_slot(slot: u32) -> Option<u32> {
    (slot <= SLOT_MAX).then_some(slot)
}

/// Reads a counter of 64 bits.
///
/// # Errors
/// It is so large that it could overflow.
pub fn counter<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let number = u64::deserialize(from)?;
    if number > COUNTER_MAX {
        return Err(D::Error::custom(format!("counter {number} is too large")));
    }
    Ok(number)
}

/// Reads a counter of 32 bits.
///
/// # Errors
/// It is so large that it could overflow.
pub fn small_counter<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let number = u32::deserialize(from)?;
    if number > SMALL_COUNTER_MAX {
        return Err(D::Error::custom(format!("counter {number} is too large")));
    }
    Ok(number)
}

/// Reads the slot of a process.
///
/// # Errors
/// There cannot be so many processes.
pub fn slot<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let slot = u32::deserialize(from)?;
    if slot > SLOT_MAX {
        return Err(D::Error::custom(format!("slot {slot} is too large")));
    }
    Ok(slot)
}

/// Reads a list of slots.
///
/// # Errors
/// As [`slot`].
pub fn slots<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u32>, D::Error> {
    let slots = Vec::<u32>::deserialize(from)?;
    match slots.iter().find(|slot| **slot > SLOT_MAX) {
        Some(slot) => Err(D::Error::custom(format!("slot {slot} is too large"))),
        None => Ok(slots),
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::InstanceId;

    #[test]
    fn numbers_that_cannot_be_counted_on_make_the_state_unreadable() {
        let read = |slot: u64, incarnation: u64| {
            let text = format!("{{\"slot\":{slot},\"incarnation\":{incarnation}}}");
            serde_json::from_str::<InstanceId>(&text)
        };
        assert_eq!(read(7, 9).expect("a life").incarnation, 9);
        for (slot, incarnation) in [(7, u64::MAX), (u64::from(u32::MAX), 9), (1 << 32, 9)] {
            read(slot, incarnation).expect_err("spoilt");
        }
    }
}
