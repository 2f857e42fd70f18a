//! The manual page supervisord-events(7), generated from EVENTS.

use crate::domain::roff::{Example, Page};
use crate::domain::{EVENT_VALUES, EVENTS, EventType};

const DESCRIPTION: &str = "\
supervisord(8) sends events of the types below to event listeners. An event listener is a program with a section
`[eventlistener:<name>]` (supervisord.conf(5)); its key `events` names the types that it receives. Types form a tree: a
listener that subscribes to a type also receives all types below it. `EVENT` is the root of the tree.

The daemon creates only events that have a listener. Without a listener for `TICK` types, an idle daemon does not wake up.";

const PROTOCOL: &str = "\
A listener reads events from its standard input and writes results to its standard output. Standard output is for the
protocol only; other output must go to standard error.";

const STEPS: &[(&str, &str)] = &[
    (
        "`READY`",
        "The listener writes `READY` and a newline when it is ready for an event. The daemon sends no event before.",
    ),
    (
        "header",
        "The listener reads one line, the header: pairs `<key>:<value>` separated by blanks. Then it reads the payload, whose \
         length in characters is the value of `len`. `TYPES` shows the form of each payload; a second line of a payload is \
         data.",
    ),
    (
        "`RESULT 2`",
        "After handling the event, the listener writes this line, and then `OK` without a newline. The number is the length of \
         the result. With `RESULT 4` and `FAIL` the listener rejects the event, and the daemon sends the event again to a \
         listener of the pool that is ready.",
    ),
];

const HEADER: &[(&str, &str)] = &[
    ("`ver`", "Version of the protocol, 3.0."),
    (
        "`server`",
        "Name of the daemon: the key `identifier` of `[supervisord]`.",
    ),
    (
        "`serial`",
        "Serial number of the event since the start of the daemon. An event that is sent again has the same number.",
    ),
    ("`pool`", "Name of the listener's section."),
    ("`poolserial`", "Serial number of the event in the pool."),
    ("`eventname`", "Type of the event."),
    ("`len`", "Length of the payload, in characters of UTF-8."),
];

const POOLS: &str = "\
With `numprocs`, several processes serve one section; each event goes to one process that is ready. While no process is
ready, up to `buffer_size` events wait. If more events arrive, the daemon discards the oldest event, writes a log line, and
`supervisorctl status` counts the discarded event. A listener that violates the protocol enters the listener state UNKNOWN and
receives no more events until it is restarted.";

const SAMPLE: &str = r#"
#!/usr/bin/python3
# Reports every process that enters the FATAL state on standard error.
import sys

while True:
    sys.stdout.write("READY\n")
    sys.stdout.flush()
    header = dict(pair.split(":", 1) for pair in sys.stdin.readline().split())
    payload = sys.stdin.read(int(header["len"]))
    sys.stderr.write(header["eventname"] + " " + payload + "\n")
    sys.stdout.write("RESULT 2\nOK")
    sys.stdout.flush()
"#;

const SECTION: &str = "
[eventlistener:watch]
command=/usr/local/bin/watch-fatal
events=PROCESS_STATE_FATAL
stderr_logfile=journal
";

/// Returns the manual page supervisord-events(7) in roff.
#[must_use]
pub fn events() -> String {
    let mut page = Page::new("supervisord-events", "the table of events");
    page.section("DESCRIPTION");
    page.prose(DESCRIPTION);
    page.section("TYPES");
    page.prose(
        "Each type has its payload, in which a word in italics is a value. The daemon never sends types without a payload, only \
         the types below them.",
    );
    for event in EVENTS {
        let below = match event.parent {
            "" => String::new(),
            parent => format!(" Below `{parent}`."),
        };
        page.entry(
            &format!("`{}`", event.name),
            &format!("{}{below}{}", event.doc, payload(event)),
        );
    }
    page.section("VALUES");
    for (name, what) in EVENT_VALUES {
        page.entry(&format!("`{name}`"), what);
    }
    page.section("PROTOCOL");
    page.prose(PROTOCOL);
    for (step, what) in STEPS {
        page.entry(step, what);
    }
    page.part("Header");
    page.prose("An event as a listener reads it, first the header:");
    page.example(
        Example::Text,
        "ver:3.0 server:supervisor serial:21 pool:watch poolserial:10 eventname:PROCESS_STATE_FATAL len:48\n\
         processname:web groupname:web from_state:BACKOFF",
    );
    for (name, what) in HEADER {
        page.entry(name, what);
    }
    page.part("Pools");
    page.prose(POOLS);
    page.section("EXAMPLES");
    page.prose("A listener in Python:");
    page.example(Example::Text, SAMPLE);
    page.prose("The section of this listener:");
    page.example(Example::Sections, SECTION);
    page.see_also(&[])
}

/// The payload of an event type, with placeholders for its fields.
fn payload(event: &EventType) -> String {
    match event.payload {
        None => String::new(),
        Some("") => "\n\nPayload: none.".to_owned(),
        Some(payload) => {
            let text = payload.trim_end().replace('{', "<").replace('}', ">");
            match text.split_once('\n') {
                None => format!("\n\nPayload: `{text}`"),
                Some((line, data)) => format!("\n\nPayload: `{line}`, and a second line: `{data}`"),
            }
        }
    }
}
