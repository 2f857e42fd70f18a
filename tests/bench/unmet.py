"""Reasons why bars are not met. man/guide/performance.md shows a reason while its bar is not met."""

START = ("of the time from exec, a third is exec itself and the dynamic linker, which the static limit does not have, a quarter "
         "the configuration, sockets, pidfile and log, a quarter the start of the threads, and the rest the spawn")
KERNEL = ("about {} of the CPU time is spent in the kernel: clone, the half of exec that runs in the daemon's time, two pipes, "
          "a pidfd, epoll and the log file of each process, none of which the limit has")

CONFD = "opening, reading and parsing one file for each program comes before the first start"

CLIENT = ("the limit, a C program that asks for one line, needs twice the time here that it needed where the bar was set; exec and "
          "the dynamic linker are half of the client's time")

UNIT = ("each process has a cgroup of its own (mkdir alone takes 23 µs of CPU time), the clone joins it, and pipes and pidfd are "
        "stored with the fd holder; the limit does none of it")

#: The reason why a bar is not met, by metric and kind of bar ("wall" or "cpu"); the text ends a sentence.
UNMET = {
    ("first-child", "wall"): START,
    ("first-rpc", "wall"): START,
    ("status-100", "wall"): CLIENT,
    ("status-1000", "wall"): CLIENT,
    ("status-name", "wall"): CLIENT,
    ("restart-25", "wall"): KERNEL.format("two thirds"),
    ("restart-1000", "wall"): KERNEL.format("two thirds"),
    ("restart-5000", "wall"): "the limit itself needs more here; ours is level with it",
    ("start-1000-confd", "wall"): CONFD,
    ("start-5000-confd", "wall"): CONFD,
    ("start-1000-confd", "cpu"): KERNEL.format("half") + "; the rest is opening, reading and parsing one file for each program",
    ("start-5000-confd", "cpu"): KERNEL.format("half") + "; the rest is opening, reading and parsing one file for each program",
    ("systemd-start-1000", "wall"): UNIT,
    ("systemd-start-1000", "cpu"): UNIT,
    ("systemd-restart-1000", "wall"): UNIT,
    ("start-100", "wall"): KERNEL.format("two thirds"),
    ("start-1000", "wall"): KERNEL.format("two thirds"),
    ("start-1000", "cpu"): KERNEL.format("two thirds"),
    ("start-5000", "wall"): KERNEL.format("two thirds"),
    ("start-5000", "cpu"): KERNEL.format("two thirds"),
    ("crash-0", "cpu"): KERNEL.format("two thirds"),
    ("crash-0-getstate", "wall"): "200 processes respawn as fast as two cores can, and the answer waits for one of them",
    ("restart-all", "wall"): KERNEL.format("two thirds"),
    ("plan-10000-all", "wall"): ("half of the time is reading the file, a fifth the client, which reads and prints three lines for each program; the rest "
                                 "compares and writes the plan"),
    ("check", "wall"): ("a fifth of the instructions is the allocator, an eighth the hashing of section names; the rest is spread over lines, "
                        "expansion, values and warnings"),
    ("file-daemon", "wall"): ("reading and writing the state that one daemon leaves to the next needs 1.0 MiB (serde), clap 0.2 MiB, schedules with time zones "
                              "0.1 MiB, and diagnostics with the journal's layer of tracing 0.1 MiB; ctl (the whole client), REST with its document, "
                              "Go's addresses, forms of lines, gzip and syslog servers came to 1.3 MiB together"),
    ("file-client", "wall"): ("the line editor needs 93 KiB, the standard library's printer of backtraces 85 KiB, and the parsers of all keys, which the "
                              "rows of the table of keys name, 130 KiB, of which schedules are the half; regular expressions and the merging of logs came to 0.2 MiB"),
}
