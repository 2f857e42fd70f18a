//! Checks of counters that are read from a written state: they must not be close to an overflow.
//!
//! A damaged number, or one from a version that counted differently, could overflow or exhaust the memory later. It
//! makes the whole state unreadable instead, and the daemon can recover from that.

use serde::de::Error as _;
use serde::{Deserialize as _, Deserializer};

/// The limit for 64-bit counters. A counter cannot reach it: with a million per second it takes 146,000 years.
///
/// One below the power of two: a zero counter whose bit 62 flipped would be read and written again a little higher, and
/// then its writer's successor could not read it.
const COUNTER_MAX: u64 = (1 << 62) - 1;
/// The limit for slots. Slots are indices of a list, and Linux has fewer PIDs than this.
const SLOT_MAX: u32 = 1 << 23;
/// The limit for 32-bit counters, below the power of two for the same reason.
const SMALL_COUNTER_MAX: u32 = (1 << 31) - 1;

/// Checks a 64-bit counter. `None`: it is too large.
#[must_use]
pub fn checked(number: u64) -> Option<u64> {
    (number <= COUNTER_MAX).then_some(number)
}

/// Checks a 32-bit counter. `None`: it is too large.
#[must_use]
pub fn checked_small(number: u32) -> Option<u32> {
    (number <= SMALL_COUNTER_MAX).then_some(number)
}

/// Returns the slot of a process. `None`: a daemon cannot have that many processes.
#[must_use]
pub fn checked_slot(slot: u32) -> Option<u32> {
    (slot <= SLOT_MAX).then_some(slot)
}

/// Deserializes a 64-bit counter.
///
/// # Errors
/// The counter is so large that it could overflow.
pub fn counter<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let number = u64::deserialize(from)?;
    if number > COUNTER_MAX {
        return Err(D::Error::custom(format!("counter {number} is too large")));
    }
    Ok(number)
}

/// Deserializes a 32-bit counter.
///
/// # Errors
/// The counter is so large that it could overflow.
pub fn small_counter<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let number = u32::deserialize(from)?;
    if number > SMALL_COUNTER_MAX {
        return Err(D::Error::custom(format!("counter {number} is too large")));
    }
    Ok(number)
}

/// Deserializes the slot of a process.
///
/// # Errors
/// A daemon cannot have that many processes.
pub fn slot<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let slot = u32::deserialize(from)?;
    if slot > SLOT_MAX {
        return Err(D::Error::custom(format!("slot {slot} is too large")));
    }
    Ok(slot)
}

/// Deserializes a list of slots.
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
    fn instance_numbers_out_of_range_are_refused() {
        let read = |slot: u64, incarnation: u64| {
            let text = format!("{{\"slot\":{slot},\"incarnation\":{incarnation}}}");
            serde_json::from_str::<InstanceId>(&text)
        };
        assert_eq!(read(7, 9).expect("an instance").incarnation, 9);
        let spoilt = [
            (7, u64::MAX),
            (7, 1 << 62),
            (u64::from(u32::MAX), 9),
            (1 << 32, 9),
        ];
        for (slot, incarnation) in spoilt {
            read(slot, incarnation).expect_err("spoilt");
        }
    }
}
