//! The bytes of a record: numbers of fixed width, little endian, and the values made of them.

use crate::domain::{ExitStatus, InstanceId, Signal, Tick, counter};

/// The bytes written so far.
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn u8(&mut self, number: u8) {
        self.0.push(number);
    }

    pub(super) fn u32(&mut self, number: u32) {
        self.0.extend(number.to_le_bytes());
    }

    pub(super) fn i32(&mut self, number: i32) {
        self.0.extend(number.to_le_bytes());
    }

    pub(super) fn u64(&mut self, number: u64) {
        self.0.extend(number.to_le_bytes());
    }

    pub(super) fn i64(&mut self, number: i64) {
        self.0.extend(number.to_le_bytes());
    }

    pub(super) fn tick(&mut self, tick: Tick) {
        self.u64(tick.0);
    }

    pub(super) fn status(&mut self, status: ExitStatus) {
        let (code, number) = match status {
            ExitStatus::Exited(code) => (0, i32::from(code)),
            ExitStatus::Signalled { signal, dumped } => (1 + u8::from(dumped), signal.number()),
            ExitStatus::Unknown(raw) => (3, raw),
        };
        self.u8(code);
        self.i32(number);
    }

    pub(super) fn instance(&mut self, code: u8, instance: InstanceId) {
        self.u8(code);
        self.u32(instance.slot);
        self.u64(instance.incarnation);
    }

    pub(super) fn process(&mut self, code: u8, instance: InstanceId, pid: i32) {
        self.instance(code, instance);
        self.i32(pid);
    }
}

/// The bytes not read yet.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    pub(super) fn take_bytes<const COUNT: usize>(&mut self) -> Option<[u8; COUNT]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take_bytes::<1>().map(|[byte]| byte)
    }

    pub(super) fn bool(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take_bytes().map(u32::from_le_bytes)
    }

    pub(super) fn i32(&mut self) -> Option<i32> {
        self.take_bytes().map(i32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take_bytes().map(u64::from_le_bytes)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.take_bytes().map(i64::from_le_bytes)
    }

    pub(super) fn tick(&mut self) -> Option<Tick> {
        self.u64().map(Tick)
    }

    pub(super) fn status(&mut self) -> Option<ExitStatus> {
        let (code, number) = (self.u8()?, self.i32()?);
        Some(match code {
            0 => ExitStatus::Exited(u8::try_from(number).ok()?),
            1 | 2 => ExitStatus::Signalled {
                signal: Signal::from_number(i64::from(number))?,
                dumped: code == 2,
            },
            3 => ExitStatus::Unknown(number),
            _ => return None,
        })
    }

    pub(super) fn instance(&mut self) -> Option<InstanceId> {
        Some(InstanceId {
            slot: counter::checked_slot(self.u32()?)?,
            incarnation: counter::checked(self.u64()?)?,
        })
    }

    pub(super) fn process(&mut self) -> Option<(InstanceId, i32)> {
        Some((self.instance()?, self.i32()?))
    }
}
