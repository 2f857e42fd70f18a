//! The manual page supervisord-events(7), generated from EVENTS.

use crate::domain::roff::{Example, Page};
use crate::domain::{EVENTS, EventType};

const DESCRIPTION: &str = "\
Whatever happens under supervisord(8) is an event of one of the types below. A program of a section `[eventlistener:<name>]`
(supervisord.conf(5)) hears of those that its key `events` names. Types form a tree: who subscribes to a type receives all
types below it too, and `EVENT` is all of them.

Nothing is made that nobody listens to: without a listener for `TICK` types, the daemon sleeps.";

const PROTOCOL: &str = "\
A listener reads from its standard input and writes to its standard output, and nothing but the following may be written
there; what it has to say otherwise goes to standard error.";

const STEPS: &[(&str, &str)] = &[
    (
        "`READY`",
        "The listener writes this and a newline when it can take an event. It is sent nothing before.",
    ),
    (
        "header",
        "It reads one line, a header of pairs `<key>:<value>` with blanks between them. The last is `len`, and so many \
         characters follow: the payload. A payload is text of the form that stands with each type below; where that has a \
         second line, it is data.",
    ),
    (
        "`RESULT 2`",
        "It writes this line when it has handled the event, and right behind it, without a newline, `OK`; or `RESULT 4` and \
         `FAIL`, if the event is to be sent again, to whichever listener of the pool is free then. The number is the length of \
         what follows.",
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
        "Number of the event among all that anybody heard of since the daemon started. An event that is sent again keeps it.",
    ),
    ("`pool`", "Name of the listener's section."),
    (
        "`poolserial`",
        "Number of the event among those of the pool.",
    ),
    ("`eventname`", "Type of the event."),
    ("`len`", "Length of the payload, in characters of UTF-8."),
];

const POOLS: &str = "\
With `numprocs`, several processes serve one section, and each event goes to one that is free. Up to `buffer_size` events
wait while none is; when more come, the oldest is discarded, the log has a line about it, and `supervisorctl status` counts
it. A listener that writes anything else than the protocol has it is in the state UNKNOWN and is sent nothing more until it
is restarted.";

const SAMPLE: &str = r#"
#!/usr/bin/python3
# Tells on standard error of every process that is given up.
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
        "With each type stands its payload, in which a word in italics is a value. Types without a payload are not sent \
         themselves, but those below them are.",
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
    for (name, what) in [
        (
            "`from_state`",
            "The state that was left, such as RUNNING or BACKOFF.",
        ),
        (
            "`tries`",
            "How many attempts to start it failed, this series.",
        ),
        (
            "`expected`",
            "1 if the exit code is among `exitcodes`, else 0.",
        ),
        ("`channel`", "`stdout` or `stderr`."),
        (
            "`type`",
            "What the client that called sendRemoteCommEvent chose.",
        ),
        (
            "`when`",
            "Seconds since the epoch, a multiple of the period.",
        ),
        (
            "`causes`",
            "Only where a program has limits of a cgroup and has met one of them: which, at the end of the payload of its end. \
             Supervisor has no such value.",
        ),
    ] {
        page.entry(name, what);
    }
    page.section("PROTOCOL");
    page.prose(PROTOCOL);
    for (step, what) in STEPS {
        page.entry(step, what);
    }
    page.part("Header");
    page.prose("An event as it is read, its header first:");
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
    page.prose("and its section:");
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
