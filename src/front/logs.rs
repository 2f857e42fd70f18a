//! Parts of logs as answers. Files are read on other threads, since a file system may stall.

use std::path::Path;
use std::sync::Arc;

use super::xmlrpc::apart;
use crate::api::xmlrpc::Value;
use crate::api::{Fault, FaultCode, Reply};
use crate::output::{self, READ_BYTES_MAX, ReadError};

/// The path that the engine told.
pub(super) fn path(reply: Reply) -> Option<Arc<Path>> {
    match reply {
        Reply::LogFile(path) => path,
        _ => None,
    }
}

/// readLog and its like.
// Differs: bytes that are no UTF-8 are replaced; Supervisor answers 500.
pub(super) async fn read(
    path: Option<Arc<Path>>,
    offset: i64,
    length: i64,
) -> Result<Value, Fault> {
    let Some(path) = path else {
        return Err(FaultCode::NoFile.bare());
    };
    let shown = path.to_string_lossy().into_owned();
    let read = apart(move || {
        fits(&path, offset, length)?;
        match output::read(&path, offset, length) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(ReadError::BadArguments) => Err(FaultCode::BadArguments.bare()),
            Err(ReadError::NoFile) => Err(FaultCode::NoFile.of(shown)),
            Err(ReadError::Failed) => Err(FaultCode::Failed.bare()),
        }
    });
    read.await
        .unwrap_or_else(|| Err(FaultCode::Failed.bare()))
        .map(Value::Text)
}

/// tailProcessStdoutLog and its like.
pub(super) async fn tail(
    path: Option<Arc<Path>>,
    offset: i64,
    length: i64,
) -> Result<Value, Fault> {
    let answer = |text: String, size: i64, overflow: bool| {
        Value::Array(vec![
            Value::Text(text),
            Value::Int(size),
            Value::Bool(overflow),
        ])
    };
    let Some(path) = path else {
        return Ok(answer(String::new(), 0, false));
    };
    let read = apart(move || {
        fits(&path, 0, length)?;
        let (bytes, size, overflow) = output::tail(&path, offset, length);
        Ok((String::from_utf8_lossy(&bytes).into_owned(), size, overflow))
    });
    read.await
        .unwrap_or_else(|| Err(FaultCode::Failed.bare()))
        .map(|(text, size, overflow)| answer(text, size, overflow))
}

/// Refuses parts beyond [`READ_BYTES_MAX`], of which a client could not know that they were cut.
// Differs: Supervisor reads any amount into memory, and does nothing else meanwhile.
fn fits(path: &Path, offset: i64, length: i64) -> Result<(), Fault> {
    // A file that is not there, and combinations that make no sense, are somebody else's faults.
    let Ok(size) = std::fs::metadata(path).map(|found| found.len()) else {
        return Ok(());
    };
    let wanted = match (u64::try_from(offset), u64::try_from(length)) {
        (Ok(offset), Ok(0)) => size.saturating_sub(offset),
        (Err(_), Ok(0)) => size.min(offset.unsigned_abs()),
        (_, Ok(length)) => size.min(length),
        (_, Err(_)) => 0,
    };
    if wanted > READ_BYTES_MAX {
        let text = format!("more than {READ_BYTES_MAX} bytes of a log; read it in parts");
        return Err(FaultCode::Failed.of(text));
    }
    Ok(())
}
