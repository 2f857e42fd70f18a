//! Output of programs: notifications (sd_notify(3)) and the protocol of event listeners.

use std::time::{Duration, Instant};

use supervisord::core::{NOTIFY_BYTES_MAX, NotifyMessage, STATUS_CHARS_MAX};

use crate::host::Host;
use crate::mutate;
use crate::rng::Rng;
use crate::session::{Budget, run};
use crate::support::notifier;

const MESSAGES: &[&str] = &[
    "READY=1\n",
    "RELOADING=1\n",
    "STOPPING=1\n",
    "MONOTONIC_USEC=18446744073709551615\n",
    "STATUS=at work\n",
    "STATUS=\u{1b}[31m\u{202e}\n",
    "ERRNO=2\n",
    "BUSERROR=a\n",
    "EXIT_STATUS=0\n",
    "MAINPID=1\n",
    "WATCHDOG=1\n",
    "WATCHDOG=trigger\n",
    "WATCHDOG_USEC=1\n",
    "EXTEND_TIMEOUT_USEC=99999999999999999999\n",
    "EXTEND_TIMEOUT_USEC=1\n",
    "FDSTORE=1\n",
    "FDNAME=a:b\n",
    "BARRIER=1\n",
    "NOTIFYACCESS=all\n",
    "X_KEY=",
    "=",
    "\n",
];

const SPOKEN: &[&str] = &[
    "READY\n",
    "READY\n",
    "READY\n",
    "RESULT 2\nOK",
    "RESULT 4\nFAIL",
    "RESULT 0\n",
    "RESULT -1\n",
    "RESULT 99999999999999999999\n",
    "RESULT 2",
    "RESULT x\n",
    "\n",
    "READ",
    "Y\n",
    "\0",
];

/// The parser of notifications alone.
pub(crate) fn notify_messages(budget: Budget) -> Result<u64, String> {
    run("notify_messages", budget, |rng, shown| {
        let message = mutate::text(rng, MESSAGES, 8).into_bytes();
        let message = mutate::bytes(rng, message, 3);
        shown.note(&message);
        let notice = NotifyMessage::parse(&message);
        let shown = format!("{notice:?}");
        if shown.chars().count() > STATUS_CHARS_MAX * 8 + NOTIFY_BYTES_MAX {
            return Err(format!("more than was sent: {shown}"));
        }
        Ok(())
    })
}

/// A program that sends anything to its notification socket, and listeners that write anything, under one daemon that
/// must answer.
pub(crate) fn chatter(budget: Budget) -> Result<u64, String> {
    let me = std::env::current_exe().map_err(|error| error.to_string())?;
    let me = me.display();
    let seed = budget.seed;
    let host = Host::start(&format!(
        "[program:notifier]\ncommand={me} notifier {seed}\nnotify=true\nstartsecs=0\nready_timeout=5\nautorestart=true\nrestart_floor=0\nstdout_logfile=NONE\nstderr_logfile=NONE\n\
         [eventlistener:listener]\ncommand={me} listener {seed}%(process_num)d\nprocess_name=%(process_num)d\nnumprocs=3\nevents=PROCESS_STATE,TICK_5\nbuffer_size=5\nautorestart=true\nstartsecs=0\nrestart_floor=0\nstderr_logfile=NONE\n",
    ))?;
    let daemon = host.daemon()?;
    let end = Instant::now() + budget.time;
    let mut answered = 0;
    while answered == 0 || Instant::now() < end {
        daemon
            .call("supervisor.getAllProcessInfo", &[])
            .map_err(|error| {
                format!("seed {seed}: no answer: {error}; log:\n{}", host.log_end())
            })?;
        answered += 1;
    }
    Ok(answered)
}

/// Runs as one of the programs of [`chatter`] and never returns, if this process is one of them.
pub(crate) fn play_if_asked() {
    let arguments: Vec<String> = std::env::args().collect();
    let (role, seed) = match arguments.as_slice() {
        [_, role, seed] if role == "notifier" || role == "listener" => (role, seed),
        _ => return,
    };
    let mut rng = Rng::new(seed.parse().unwrap_or(1) ^ u64::from(std::process::id()));
    // Each instance writes a bounded amount, so that another instance follows one that the daemon gave up on.
    for _ in 0..2000 {
        let is_sent = if role == "notifier" {
            let message = mutate::text(&mut rng, MESSAGES, 6).into_bytes();
            send(&mutate::bytes(&mut rng, message, 2))
        } else {
            let text = mutate::text(&mut rng, SPOKEN, 6).into_bytes();
            let bytes = mutate::bytes(&mut rng, text, 1);
            std::io::Write::write_all(&mut std::io::stdout(), &bytes).is_ok()
        };
        if !is_sent {
            break;
        }
    }
    std::thread::sleep(Duration::from_millis(rng.below(20)));
    std::process::exit(i32::from(rng.one_in(2)));
}

fn send(message: &[u8]) -> bool {
    let address = std::env::var("NOTIFY_SOCKET").unwrap_or_default();
    // The kernel refuses an empty message and one that is too long.
    notifier::connected(&address)
        .is_ok_and(|socket| socket.send(message).is_ok() || message.len() > 1 << 10)
}
