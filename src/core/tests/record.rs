//! Tests of the bytes of records: records of version 5.0 are read, damaged ones are rejected.

use crate::core::ProcessRecord;

/// A record as version 5.0 wrote it.
const OLD: &str = r#"{"slot":3,"tenure":4,"run":{"stage":{"Stopping":{"life":{"slot":3,"incarnation":9},"pid":77,"kill_at":8,"sent":true,"killed":false}},"tries":0,"trouble":{"BadExit":3},"exit_status":3,"start":1,"stop":2,"spawned_at":5,"report_at":18446744073709551615,"spawns":6,"ending":{"ByItself":{"Exited":3}},"causes":{"oom_kill":false,"pids_max":true,"memory_high":false},"relimit":false,"waiters":[],"hearing":null,"tidings":null},"lives":9,"event_serial":2}"#;

#[test]
fn records_of_version_5_0_are_read() {
    let record = ProcessRecord::decode(OLD.as_bytes()).expect("a record");
    assert_eq!(serde_json::to_string(&record).expect("written"), OLD);
    // The slot of its instance is out of range.
    let spoilt = OLD.replace(
        "\"slot\":3,\"incarnation\"",
        "\"slot\":9999999,\"incarnation\"",
    );
    assert_eq!(ProcessRecord::decode(spoilt.as_bytes()), None);
}

#[test]
fn malformed_records_are_refused() {
    for bytes in [&b""[..], b"\0", b"\x01", b"{", b"{}", &[1; 40], &[2; 400]] {
        assert_eq!(ProcessRecord::decode(bytes), None, "{bytes:?}");
    }
}
