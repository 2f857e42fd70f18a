//! The manual page supervisord-hub(8), from the tables of keys and routes.

use super::api::route_entries;
use super::command_line;
use super::settings::key_entries;
use crate::domain::roff::Page;

const DESCRIPTION: &str = "\
`supervisord-hub` shows and controls the processes of many supervisord(8), of Supervisor and of the Go project. It reads the settings
file of Cesi as it is, and offers the REST interface of Cesi below `/api/v2` and its own below `/api/v1`. It is another name of
`supervisord-agent`; `supervisord-agent hub` is the same.

Its pages, at the root, show all of that to people: hosts, environments, groups over hosts, processes, logs, the activity log and users.

A node that is down, hangs or refuses the password hides no other one. It is shown with the reason and its last known processes.

The hub stores nothing about nodes. Two hubs are the same file started twice, with two state directories.";

const SIGNALS: [(&str, &str); 2] = [
    (
        "HUP",
        "Read the settings again. Sessions stay. If the file has an error, everything stays as it is.",
    ),
    ("TERM, INT", "Exit with status 0."),
];

const USERS: &str = "\
The first user is created at the first start from `admin_username` and `admin_password`. With the password `admin` of the user `admin`,
everything can be read and nothing be done before it is changed.

An admin (user type 0 of Cesi) does everything. An operator (1) controls processes, a viewer (2) changes nothing. An operator and a
viewer may be limited to environments and groups; what is outside, they do not see.

Ten wrong passwords of an address may come at once, then one in six seconds; the answer to a further one is 429.

A browser changes something only from pages of the hub itself. Requests that name another host than this one are refused with 421; add
names to `host_names`.";

const FILES: [(&str, &str); 3] = [
    (
        "users.json, sessions.json",
        "Users with the hashes of their passwords, and sessions, in the state directory. Only the user of the hub can read them.",
    ),
    (
        "activity.log",
        "Who did what, where, from which address, with which result: a JSON object a line. Under systemd it goes to the journal too.",
    ),
    (
        "users.db",
        "The database of Cesi. `import-cesi` reads it once, with the program `sqlite3`. Passwords stay valid.",
    ),
];

const STATUSES: [(&str, &str); 3] = [
    (
        "0",
        "A signal ended it, or the settings are valid (`--check`).",
    ),
    (
        "1",
        "It cannot listen, or the state directory cannot be used.",
    ),
    ("2", "Wrong arguments, or an error in the settings."),
];

/// Returns the manual page supervisord-hub(8) in roff.
#[must_use]
pub fn page() -> String {
    let mut page = Page::new("supervisord-hub", "the code");
    page.synopsis(&[
        "`supervisord-hub` `-c` *FILE* [*OPTION*]...",
        "`supervisord-hub import-cesi` `-c` *FILE* [*DATABASE*]",
    ]);
    page.section("DESCRIPTION");
    page.prose(DESCRIPTION);
    page.section("OPTIONS");
    for (option, doc) in command_line::options() {
        page.entry(&option, &format!("{doc}."));
    }
    page.section("SETTINGS");
    for (table, keys) in key_entries() {
        page.part(table);
        for (key, doc) in keys {
            page.entry(&key, &doc);
        }
    }
    page.section("USERS");
    page.prose(USERS);
    page.section("ROUTES");
    page.prose("`/api/v1/openapi.json` is this list with the members of bodies.");
    for (route, doc) in route_entries() {
        page.entry(&route, &doc);
    }
    let lists: [(&str, &[(&str, &str)]); 3] = [
        ("SIGNALS", &SIGNALS),
        ("FILES", &FILES),
        ("EXIT STATUS", &STATUSES),
    ];
    for (title, entries) in lists {
        page.section(title);
        for (tag, doc) in entries {
            page.entry(tag, doc);
        }
    }
    page.see_also(&[])
}
