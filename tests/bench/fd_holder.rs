//! Measures how long it takes to store descriptors in the fd holder, and to get them back.
//!
//! `cargo bench --bench fd_holder`: stores 1,000 names of three descriptors each and lists them with a new client. Then
//! it stores one name at a time with a barrier, as an engine does for single starts.

use std::error::Error;
use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::{Duration, Instant};

use supervisord::fd_holder::{FdHolder, StartedFdHolder};
use supervisord::sys;

const NAMES: usize = 1000;
const ROUNDS: usize = 20;
const LIMIT: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    sys::raise_own_files()?;
    let StartedFdHolder { pid, client, .. } =
        FdHolder::start_program(Path::new(env!("CARGO_BIN_EXE_supervisord")))?;
    let begin = Instant::now();
    let another = FdHolder::start_program(Path::new(env!("CARGO_BIN_EXE_supervisord")))?;
    println!("start, until it answers    {:>8.1?}", begin.elapsed());
    another.client.quit()?;
    println!("resident, empty            {}", resident(pid)?);
    let pipes: Vec<_> = (0..2 * NAMES)
        .map(|_| io::pipe())
        .collect::<io::Result<_>>()?;
    let own = sys::open_pidfd(i32::try_from(std::process::id())?)?;
    let put = |client: &FdHolder, number: usize| -> Result<bool, Box<dyn Error>> {
        let (stdout, stderr) = (&pipes[2 * number].0, &pipes[2 * number + 1].0);
        match client.store(
            &format!("r{number}"),
            &[stdout.as_fd(), stderr.as_fd(), own.as_fd()],
        ) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    };
    let (mut puts, mut lists, mut waits) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        for number in 0..NAMES {
            while !put(&client, number)? {
                waits += 1;
                client.barrier(LIMIT)?;
            }
        }
        client.barrier(LIMIT)?;
        puts.push(begin.elapsed());
        let begin = Instant::now();
        let (successor, _) = FdHolder::find(pid)?;
        let list = successor.list(LIMIT)?;
        lists.push(begin.elapsed());
        if list.iter().map(|(_, fds)| fds.len()).sum::<usize>() != 3 * NAMES {
            return Err("something is missing".into());
        }
    }
    println!("3,000 descriptors put      {:>8.1?}", middle(puts));
    println!("found and listed           {:>8.1?}", middle(lists));
    println!("times the socket was full  {waits}");
    println!("resident, full             {}", resident(pid)?);
    println!("its processor time         {}", processor_time(pid)?);
    let (mut sends, mut trips) = (Vec::new(), Vec::new());
    for number in 0..NAMES {
        let begin = Instant::now();
        put(&client, number)?;
        sends.push(begin.elapsed());
        client.barrier(LIMIT)?;
        trips.push(begin.elapsed());
    }
    println!("one name put               {:>8.1?}", middle(sends));
    println!("the same, until it is kept {:>8.1?}", middle(trips));
    client.quit()?;
    Ok(())
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Resident memory, in total and anonymous.
fn resident(pid: i32) -> io::Result<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    let (all, own) = (field("VmRSS:"), field("RssAnon:"));
    Ok(format!("{all}, of it anonymous {own}"))
}

/// CPU time in clock ticks, usually 1/100 s.
fn processor_time(pid: i32) -> io::Result<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let words: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |place: usize| words.get(place).copied().unwrap_or("?");
    Ok(format!("{} + {} ticks", ticks(11), ticks(12)))
}
