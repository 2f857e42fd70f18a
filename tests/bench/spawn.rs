//! Measures spawn, exit and reap of a process that exits at once, compared with a bare clone in the same run, with few
//! and with many open descriptors. `cargo bench --bench spawn`; `SPAWN_CYCLES` sets the cycles of each figure (default
//! 2,000).
#![expect(unsafe_code, reason = "the bare clone to compare with")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use supervisord::sys::{
    CStrings, Cgroup, ChildBounds, ChildIds, ChildStdio, ConfiguredValue, FdTableMode, Interest,
    Poller, RawPlan, Resource, Spawner, reap,
};

/// The figures are measured in turn, so that a busy moment of the machine does not affect only one of them.
const TURNS: u32 = 5;

fn main() {
    let cycles: u32 = std::env::var("SPAWN_CYCLES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(2_000);
    let files = supervisord::sys::raise_own_files().expect("limit");
    println!(
        "{cycles} cycles each, best of {TURNS} turns; open files limit was {}",
        files.soft
    );
    let mut spawners = [FdTableMode::Shared, FdTableMode::Copied]
        .map(|table| Spawner::with_table(table).expect("spawner"));
    let mut bare = Bare::new();
    let mut open: Vec<OwnedFd> = Vec::new();
    let mut first_bare = None;
    for count in [10, 5_000] {
        while open.len() < count {
            open.push(null());
        }
        let mut best = [Duration::MAX; 6];
        for _ in 0..TURNS {
            let figures = [
                timed(cycles, || bare.cycle()),
                timed(cycles, || cycle(&mut spawners[0], &plan(ChildIds::Keep))),
                timed(cycles, || cycle(&mut spawners[0], &plan(other_user()))),
                timed(cycles, || cycle(&mut spawners[0], &confined(other_user()))),
                timed(cycles, || cycle(&mut spawners[1], &plan(ChildIds::Keep))),
                timed(cycles, || {
                    cycle_in_cgroup(&mut spawners[0], &plan(ChildIds::Keep))
                }),
            ];
            for (best, figure) in best.iter_mut().zip(figures) {
                *best = (*best).min(figure);
            }
        }
        let reference = *first_bare.get_or_insert(best[0]);
        let names = [
            "bare clone, table copied",
            "spawner",
            "spawner, other user",
            "spawner, all bounds too",
            "spawner, table copied",
            "spawner, own new cgroup",
        ];
        for (name, figure) in names.iter().zip(best) {
            println!(
                "{count:>5} descriptors  {name:<26} {:>8.1} µs  {:>5.2} × bare here  {:>5.2} × bare with 10",
                figure.as_secs_f64() * 1e6,
                figure.as_secs_f64() / best[0].as_secs_f64(),
                figure.as_secs_f64() / reference.as_secs_f64(),
            );
        }
    }
    if ender() != c"/bin/true" {
        let _ = std::fs::remove_file(ender().to_str().expect("utf-8"));
    }
}

/// A program that exits at once. The bench writes it, because a dynamic loader would distort the figures. `/bin/true`
/// on other architectures.
fn ender() -> &'static CStr {
    static ENDER: OnceLock<CString> = OnceLock::new();
    ENDER.get_or_init(|| {
        if !cfg!(target_arch = "x86_64") {
            return c"/bin/true".to_owned();
        }
        let half = |number: u16| number.to_le_bytes().to_vec();
        let word = |number: u32| number.to_le_bytes().to_vec();
        let long = |number: u64| number.to_le_bytes().to_vec();
        const BASE: u64 = 0x40_0000;
        // xor edi, edi; mov eax, 231 (exit_group); syscall
        let code = [0x31, 0xff, 0xb8, 0xe7, 0, 0, 0, 0x0f, 0x05];
        let length = 120 + code.len() as u64;
        let elf = [
            b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec(),
            // Executable, x86-64, version; entry, program headers at 64, no sections.
            [
                half(2),
                half(62),
                word(1),
                long(BASE + 120),
                long(64),
                long(0),
            ]
            .concat(),
            [
                word(0),
                half(64),
                half(56),
                half(1),
                half(0),
                half(0),
                half(0),
            ]
            .concat(),
            // One segment to load, readable and executable: the whole file.
            [word(1), word(5), long(0), long(BASE), long(BASE)].concat(),
            [long(length), long(length), long(0x1000)].concat(),
            code.to_vec(),
        ]
        .concat();
        let path = std::env::temp_dir().join(format!("supervisord-ender-{}", std::process::id()));
        std::fs::write(&path, elf).expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("mode");
        CString::new(path.into_os_string().into_encoded_bytes()).expect("no NUL")
    })
}

fn null() -> OwnedFd {
    File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .expect("null")
        .into()
}

fn other_user() -> ChildIds {
    if nix::unistd::getuid().is_root() {
        ChildIds::Become {
            uid: 65534,
            gid: 65534,
            groups: vec![65534],
        }
    } else {
        ChildIds::Keep
    }
}

fn plan(ids: ChildIds) -> RawPlan {
    let mut argv = CStrings::default();
    argv.push(&[ender().to_bytes()]).expect("no NUL");
    let is_another_users = matches!(ids, ChildIds::Become { .. });
    RawPlan {
        path: ender().to_owned(),
        argv,
        envp: CStrings::default(),
        directory: None,
        umask: Some(0o022),
        limits: Vec::new(),
        ids,
        bounds: ChildBounds::default(),
        has_session: is_another_users,
        has_keyring: is_another_users,
    }
}

/// A plan with all limits and privileges that a section can have.
fn confined(ids: ChildIds) -> RawPlan {
    let is_root = matches!(ids, ChildIds::Become { .. });
    let files = supervisord::sys::get_limit(Resource::Files).expect("limit");
    let mut plan = plan(ids);
    plan.bounds = ChildBounds {
        limits: vec![ConfiguredValue {
            value: (Resource::Files, files),
            text: String::new(),
        }],
        nice: Some(ConfiguredValue {
            value: 5,
            text: String::new(),
        }),
        oom_score_adj: Some(ConfiguredValue {
            value: "500".to_owned(),
            text: String::new(),
        }),
        // Removes all capabilities except one, which needs the most system calls.
        bounding: is_root.then_some(1 << 10),
        ambient: is_root.then_some(1 << 10),
        no_new_privileges: true,
        dies_with: None,
    };
    plan
}

fn timed(cycles: u32, mut cycle: impl FnMut()) -> Duration {
    let start = Instant::now();
    for _ in 0..cycles {
        cycle();
    }
    start.elapsed() / cycles
}

/// One cycle like the daemon's: a plan, pipes, and the exit reported by the pidfd. The cgroup is created before the
/// spawn and removed after the exit. Without a cgroup where none can be created.
fn cycle_in_cgroup(spawner: &mut Spawner, plan: &RawPlan) {
    static PARENT: OnceLock<Option<Cgroup>> = OnceLock::new();
    let name = format!("supervisord-bench-{}", std::process::id());
    let parent = PARENT.get_or_init(|| {
        let parent = Cgroup::own_cgroup().and_then(|(top, own)| top.open(&own));
        parent.ok()
    });
    let parent = parent.as_ref().filter(|parent| parent.make(&name).is_ok());
    let cgroup = parent.and_then(|parent| parent.open(&name).ok());
    cycle_in(spawner, plan, cgroup.as_ref());
    if let Some(parent) = parent {
        parent.remove(&name).expect("removed");
    }
}

fn cycle(spawner: &mut Spawner, plan: &RawPlan) {
    cycle_in(spawner, plan, None);
}

fn cycle_in(spawner: &mut Spawner, plan: &RawPlan, cgroup: Option<&Cgroup>) {
    thread_local! {
        static POLLER: std::cell::RefCell<Poller> = std::cell::RefCell::new(Poller::new().expect("epoll"));
    }
    let ends = ChildStdio {
        stdin: Some(null()),
        stdout: null(),
        stderr: Some(null()),
        ready: None,
    };
    let (_, pidfd) = spawner.spawn_in(plan, &ends, cgroup).expect("spawned");
    POLLER.with_borrow_mut(|poller| {
        poller.add(&pidfd, 1, Interest::Read).expect("added");
        assert_eq!(poller.wait(None).expect("waited").count(), 1);
        poller.remove(&pidfd).expect("removed");
    });
    reap(&pidfd).expect("reaped").expect("ended");
}

/// The minimum for a process: clone, exec, wait.
struct Bare {
    stack: Vec<u8>,
}

impl Bare {
    fn new() -> Self {
        Self {
            stack: vec![0; 64 * 1024],
        }
    }

    fn cycle(&mut self) {
        extern "C" fn run(path: *mut c_void) -> c_int {
            let path: *const c_char = path.cast_const().cast();
            let argv = [path, std::ptr::null()];
            let envp: [*const c_char; 1] = [std::ptr::null()];
            // SAFETY: live strings and arrays; the child ends in execve or _exit.
            unsafe {
                libc::execve(path, argv.as_ptr(), envp.as_ptr());
                libc::_exit(127)
            }
        }
        let top = self.stack.as_mut_ptr().wrapping_add(self.stack.len());
        let top = top.wrapping_sub(top as usize % 16).cast();
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let mut status = 0;
        // SAFETY: the stack belongs to this value and is unused; `run` makes system calls only; the status is live.
        unsafe {
            let pid = libc::clone(run, top, flags, ender().as_ptr().cast_mut().cast());
            assert_ne!(pid, -1);
            assert_eq!(libc::waitpid(pid, &raw mut status, 0), pid);
        }
        assert_eq!(status, 0);
    }
}
