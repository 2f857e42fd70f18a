//! The steps of the comparison. Both clients run them in this order, each with its own reference daemon.

/// The expected result of our client.
pub(crate) enum Expect {
    /// The result of the reference client.
    Same,
    /// The same lines in any order, because the order in which processes exit is random.
    Sorted,
    /// Any result: the step only brings both sides to the same state.
    Any,
    /// A better message on standard output, with this exit status.
    Differs(&'static str, i32),
}

/// One step.
pub(crate) enum Step {
    /// A command line after `-c FILE`; `_` is a blank within an argument, `@` an empty argument.
    Ctl(&'static str, Expect),
    /// A command line without `-c FILE`.
    Bare(&'static str, Expect),
    /// The shell with this input.
    Shell(&'static str, &'static str),
    /// An action with endless output. When the output contains the text, the client gets SIGINT.
    Follow(&'static str, &'static str),
    /// A change of the configuration file.
    Edit(&'static str, &'static str),
}

use Expect::{Any, Differs, Same, Sorted};
use Step::{Bare, Ctl, Edit, Follow, Shell};

pub(crate) const CONF: &str = "
[supervisord]
logfile=%(here)s/d.log
pidfile=%(here)s/d.pid
[unix_http_server]
file=%(here)s/s.sock
[inet_http_server]
port=127.0.0.1:{port}
username=u
password=p
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://%(here)s/s.sock
[program:cat]
command=/bin/cat
startsecs=0
autorestart=false
[program:nope]
command=/nonexistent/x
autostart=false
[program:isdir]
command=/tmp
autostart=false
[program:badcwd]
command=/bin/cat
directory=/nonexistent
autostart=false
startretries=0
[program:quick]
command=/bin/sh -c \"exit 3\"
startsecs=5
startretries=0
autostart=false
[program:talk]
command=/bin/sh -c \"echo hi; echo err >&2; printf 'no end'; exec sleep 1000\"
process_name=%(program_name)s_%(process_num)02d
numprocs=2
autostart=false
autorestart=false
startsecs=1
[program:nolog]
command=sleep 1000
autostart=false
startsecs=0
stdout_logfile=NONE
stderr_logfile=NONE
[group:g]
programs=m1,m2
priority=7
[program:m1]
command=sleep 1000
autostart=false
autorestart=false
startsecs=0
priority=3
[program:m2]
command=sleep 1000
autostart=false
autorestart=false
startsecs=0
[program:a_program_whose_name_is_longer_than_thirty]
command=sleep 1000
autostart=false
";

pub(crate) const STEPS: &[Step] = &[
    // CTL-08, CTL-09: status
    Ctl("status", Same),
    Ctl("status cat", Same),
    Ctl("status cat cat", Same),
    Ctl("status nosuch", Same),
    Ctl("status g:*", Same),
    Ctl("status g:", Same),
    Ctl("status g:m1 cat", Same),
    Ctl("status x:* cat", Same),
    Ctl("status talk: g: x:*", Same),
    Ctl("status x:y", Same),
    Ctl("status x: y", Same),
    Ctl("status :*", Same),
    Ctl("status *", Same),
    // For Supervisor, -v is a name.
    Ctl("status -x", Same),
    Ctl("status é", Same),
    Ctl("status all nosuch", Same),
    Ctl("status all all", Same),
    Ctl("status___cat", Same),
    Ctl("status!", Same),
    Ctl("status;cat", Same),
    Ctl(
        "status g",
        Differs(
            "g:m1                             STOPPED   Not started\n\
             g:m2                             STOPPED   Not started\n",
            3,
        ),
    ),
    // CTL-04: unknown syntax
    Ctl("bogus", Same),
    Ctl("bogus arg arg", Same),
    Ctl("!foo", Same),
    Ctl(".", Same),
    Ctl("st", Same),
    Ctl("Status", Same),
    Ctl("@", Same),
    Ctl("__", Same),
    // no arguments
    Ctl("start", Same),
    Ctl("stop", Same),
    Ctl("restart", Same),
    Ctl("signal", Same),
    Ctl("signal HUP", Same),
    Ctl("clear", Same),
    Ctl("tail", Same),
    Ctl("fg", Same),
    Ctl("add", Same),
    Ctl("remove", Same),
    Ctl("open", Same),
    // too many arguments
    Ctl("avail x", Same),
    Ctl("reread x", Same),
    Ctl("shutdown x", Same),
    // The fake daemon does not know the method, as the reference does not.
    Ctl(
        "reload x",
        Differs("x: ERROR (the server does not support it)\n", 1),
    ),
    Ctl("version x", Same),
    Ctl("fg a b", Same),
    Ctl("tail a b c d", Same),
    Ctl("tail -f cat stdout x", Same),
    Ctl("maintail -5 x", Same),
    // CTL-25: help
    Ctl("help", Same),
    Ctl("?", Same),
    Ctl("?_", Same),
    Ctl(
        "?start",
        Differs(
            "start <name>\t\tStart a process\n\
             start <gname>:*\t\tStart all processes in a group\n\
             start <name> <name>\tStart multiple processes or groups\n\
             start all\t\tStart all processes\n\
             start --no-deps <name>\tStart a process without what it depends on\n",
            0,
        ),
    ),
    Ctl(
        "?_start",
        Differs(
            "start <name>\t\tStart a process\n\
             start <gname>:*\t\tStart all processes in a group\n\
             start <name> <name>\tStart multiple processes or groups\n\
             start all\t\tStart all processes\n\
             start --no-deps <name>\tStart a process without what it depends on\n",
            0,
        ),
    ),
    Ctl(
        "help__start",
        Differs(
            "start <name>\t\tStart a process\n\
             start <gname>:*\t\tStart all processes in a group\n\
             start <name> <name>\tStart multiple processes or groups\n\
             start all\t\tStart all processes\n\
             start --no-deps <name>\tStart a process without what it depends on\n",
            0,
        ),
    ),
    Ctl("help nosuch", Same),
    Ctl("help start stop", Same),
    Ctl("help add", Same),
    Ctl("help clear", Same),
    Ctl("help exit", Same),
    Ctl("help fg", Same),
    Ctl("help help", Same),
    Ctl("help maintail", Same),
    Ctl("help open", Same),
    Ctl("help quit", Same),
    Ctl(
        "help reload",
        Differs(
            "reload \t\tRestart the remote supervisord.\n\
             reload <name> [...]\tReload processes in place\n",
            0,
        ),
    ),
    Ctl("help remove", Same),
    Ctl(
        "help restart",
        Differs(
            "restart <name>\t\tRestart a process\n\
             restart <gname>:*\tRestart all processes in a group\n\
             restart <name> <name>\tRestart multiple processes or groups\n\
             restart all\t\tRestart all processes\n\
             Note: restart does not reread config files. For that, see reread and update.\n\
             restart --rolling <name> [...]\tRestart processes one after another; patterns such as web_* are allowed\n\
             restart --rolling -n <count> ...\t<count> processes at a time\n\
             restart --rolling --max-failures <count> ...\tContinue until more than <count> processes have failed (default 0)\n\
             restart --rolling --wait healthy ...\tWait until the health check of each process succeeds, or fails; a process without a health check need only be ready (default: --wait ready)\n\
             Note: options come before the names. Processes that are not reached after a failure stay as they are.\n",
            0,
        ),
    ),
    Ctl("help shutdown", Same),
    Ctl("help signal", Same),
    Ctl(
        "help stop",
        Differs(
            "stop <name>\t\tStop a process\n\
             stop <gname>:*\t\tStop all processes in a group\n\
             stop <name> <name>\tStop multiple processes or groups\n\
             stop all\t\tStop all processes\n\
             stop --with-dependents <name>\tStop a process after everything that depends on it\n",
            0,
        ),
    ),
    Ctl("help tail", Same),
    Ctl(
        "help update",
        Differs(
            "update\t\t\tReload config and add/remove as necessary, and will restart affected programs\n\
             update all\t\tReload config and add/remove as necessary, and will restart affected programs\n\
             update <gname> [...]\tUpdate specific groups\n\
             update --yes [...]\tThe same without confirmation, even if no program is left\n\
             update --dry-run [...]\tShow what update would do, as plan does; with --json or -o json as one line of JSON\n\
             update --if-plan <id> [...]\tThe same only if the plan still has this id; otherwise nothing changes\n",
            0,
        ),
    ),
    Ctl("help EOF", Same),
    Ctl(
        "help status",
        Differs(
            "status <name>\t\tGet status for a single process\n\
             status <gname>:*\tGet status for all processes in a group\n\
             status <name> <name>\tGet status for multiple named processes\n\
             status\t\t\tGet all process status info\n\
             status --json [...]\tThe same as one line of JSON\n\
             status -v [...]\t\tAlso restarts, the last exit, the last error, and the last lines of stderr of the last instance\n\
             status --watch [...]\tShow the states again every second, at a terminal, until Ctrl-C\n",
            0,
        ),
    ),
    Ctl("exit", Same),
    Ctl("quit", Same),
    Ctl("exit x", Same),
    Ctl("EOF", Same),
    // CTL-10: start
    Ctl("start nosuch", Same),
    Ctl("start x:*", Same),
    Ctl("start x:", Same),
    Ctl("start :", Same),
    Ctl("start :x", Same),
    Ctl("start x:y", Same),
    Ctl("start a&<b\"", Same),
    Ctl("start é", Same),
    Ctl("start nope", Same),
    Ctl("start isdir", Same),
    Ctl("start badcwd", Same),
    Ctl("start quick", Same),
    Ctl("start cat", Same),
    Ctl("start cat nosuch", Same),
    Ctl("start nope cat", Same),
    Ctl("start nosuch nope quick cat", Same),
    Ctl("start g:*", Same),
    Ctl("start g:*", Same),
    Ctl(
        "start talk",
        Differs("talk:talk_00: started\ntalk:talk_01: started\n", 0),
    ),
    Ctl("start talk:*", Any),
    // CTL-14: pid
    Ctl("pid", Same),
    Ctl("pid all", Same),
    Ctl("pid cat nope", Same),
    Ctl("pid cat", Same),
    Ctl("pid cat all", Same),
    Ctl("pid cat nosuch nope", Same),
    Ctl("pid nosuch cat", Same),
    Ctl("pid g:*", Same),
    Ctl("pid nope", Same),
    // CTL-13: signal
    Ctl("signal CONT cat", Same),
    Ctl("signal FOO cat", Same),
    Ctl("signal all cat", Same),
    Ctl("signal HUP nosuch", Same),
    Ctl("signal HUP nope", Same),
    Ctl("signal HUP nope nosuch", Same),
    Ctl("signal HUP x:*", Same),
    Ctl("signal FOO g:*", Same),
    Ctl("signal FOO nope:*", Same),
    Ctl("signal 18 g:*", Same),
    Ctl("signal CONT all", Sorted),
    Ctl(
        "signal CONT g",
        Differs("g:m1: signalled\ng:m2: signalled\n", 0),
    ),
    // CTL-15: tail
    Ctl("tail -f", Same),
    Ctl("tail cat", Same),
    Ctl("tail cat BOGUS", Same),
    Ctl("tail cat STDERR", Same),
    Ctl("tail talk:talk_00", Same),
    Ctl("tail talk:talk_00 stderr", Same),
    Ctl("tail talk:talk_00 bogus stderr", Same),
    Ctl("tail -4 talk:talk_00", Same),
    Ctl("tail -0 talk:talk_00", Same),
    Ctl("tail --1 talk:talk_00", Same),
    Ctl("tail -+3 talk:talk_00", Same),
    Ctl("tail -1_0 talk:talk_00", Same),
    Ctl("tail -x cat", Same),
    Ctl("tail - cat", Same),
    Ctl("tail -99999999999 cat", Same),
    Ctl("tail -2147483648 cat", Same),
    Ctl("tail -2147483649 cat", Same),
    Ctl("tail 5 cat", Same),
    Ctl("tail nosuch", Same),
    Ctl("tail g:*", Same),
    Ctl("tail nolog", Same),
    Ctl("maintail x", Same),
    Ctl("maintail -x", Same),
    Ctl("maintail -", Same),
    Ctl("maintail 30", Same),
    Ctl("maintail -5.5", Same),
    Ctl("maintail -99999999999", Same),
    // CTL-16: following
    Ctl("tail -f nosuch", Same),
    Ctl("tail -f nosuch stderr", Same),
    Ctl("tail -f g:*", Same),
    Ctl("tail -f cat bogus", Same),
    Ctl("tail -f nolog", Same),
    Follow("tail -f talk:talk_00", "no end"),
    Follow("tail -f talk:talk_00 stderr", "err"),
    // CTL-17: fg
    Ctl("fg nosuch", Same),
    Ctl("fg nope", Same),
    Ctl("fg g:*", Same),
    Ctl("fg g", Same),
    // CTL-18: clear
    Ctl("clear nosuch", Same),
    Ctl("clear g:*", Same),
    Ctl("clear x:y", Same),
    Ctl("clear cat nosuch", Same),
    Ctl("clear talk:talk_00 cat", Same),
    Ctl("tail talk:talk_00", Same),
    // CTL-11, CTL-12: stop, restart
    Ctl(
        "stop nope --jsn",
        Differs(
            "Error: stop has no option --jsn (nothing changed)\n\
             stop <name>\t\tStop a process\n\
             stop <gname>:*\t\tStop all processes in a group\n\
             stop <name> <name>\tStop multiple processes or groups\n\
             stop all\t\tStop all processes\n",
            2,
        ),
    ),
    Ctl("stop cat nosuch", Same),
    Ctl("stop cat", Same),
    Ctl("stop x:*", Same),
    Ctl("stop nope nosuch cat", Same),
    Ctl("stop talk:talk_00 talk:talk_01", Same),
    Ctl("stop g:*", Sorted),
    Ctl("stop \"a b\"", Same),
    Ctl("restart cat", Same),
    Ctl("restart cat", Same),
    Ctl("restart nope", Same),
    Ctl("restart nosuch", Same),
    Ctl("restart g:*", Sorted),
    Ctl("restart g:m1 cat", Same),
    Ctl("stop all nosuch", Sorted),
    Ctl("status", Same),
    Ctl("start all nosuch", Sorted),
    // CTL-19…22: configuration
    Ctl("avail", Same),
    Ctl("reread", Same),
    Ctl("update", Same),
    Ctl("update all", Same),
    Ctl("update nosuch", Same),
    Ctl("update zz cat yy", Sorted),
    Ctl("add cat", Same),
    Ctl("add nosuch", Same),
    Ctl("add nosuch cat", Same),
    Ctl("remove cat", Same),
    Ctl("remove nosuch", Same),
    Ctl("remove cat nosuch", Same),
    Edit("[program:nolog]", "[program:fresh]"),
    Edit("startsecs=1\n", "startsecs=1\nstopwaitsecs=11\n"),
    Ctl("avail", Same),
    Ctl("reread", Same),
    Ctl("avail", Same),
    Ctl("add fresh", Same),
    Ctl("stop nolog", Same),
    Ctl("remove nolog", Same),
    Ctl("reread", Same),
    Edit("[program:fresh]", "[program:nolog]"),
    Ctl("update nosuch talk", Same),
    Ctl("update talk", Same),
    Ctl("update", Same),
    Ctl("update", Same),
    Ctl("status", Same),
    Edit("[program:nolog]", "[program:nolog]\nnumprocs=x"),
    Ctl("reread", Same),
    Ctl("update", Same),
    Edit("[program:nolog]\nnumprocs=x", "[program:nolog]"),
    Ctl("reread", Same),
    // CTL-24: open, version
    Ctl("version", Same),
    Ctl("open foo", Same),
    Ctl("open ftp://x", Same),
    Ctl("open unix:///nonexist", Same),
    Ctl("open http://127.0.0.1:1", Same),
    Ctl("open unix:x", Same),
    Ctl("open HTTP://127.0.0.1:1", Same),
    Ctl("open http:", Same),
    Ctl("open unix://{dir}/s.sock", Same),
    Ctl("-s unix:///nonexist open unix://{dir}/s.sock", Same),
    // CTL-05: no server
    Ctl("-s unix:///nonexist status", Same),
    Ctl("-s unix:///nonexist pid", Same),
    Ctl("-s unix:///nonexist version", Same),
    Ctl("-s unix:///nonexist version x", Same),
    Ctl("-s unix:///nonexist start", Same),
    Ctl("-s unix:///nonexist stop all", Same),
    Ctl("-s unix:///nonexist restart foo", Same),
    Ctl("-s unix:///nonexist signal", Same),
    Ctl("-s unix:///nonexist tail -x cat", Same),
    Ctl("-s unix:///nonexist tail -f cat", Same),
    Ctl("-s unix:///nonexist maintail x", Same),
    Ctl("-s unix:///nonexist fg", Same),
    Ctl("-s unix:///nonexist clear", Same),
    Ctl("-s unix:///nonexist add", Same),
    Ctl("-s unix:///nonexist shutdown", Same),
    Ctl("-s unix:///nonexist help", Same),
    Ctl("-s unix:///tmp pid", Same),
    Ctl("-s http://127.0.0.1:1 status", Same),
    Ctl("-s http://127.0.0.1:1 pid", Same),
    Ctl("-s http://127.0.0.1:1 shutdown", Same),
    Ctl("-s http://127.0.0.1: pid", Same),
    Ctl("-s http://127.0.0.1:0 pid", Same),
    Ctl("-s http://[::1]:1 pid", Same),
    Ctl(
        "-s unix:///nonexist avail",
        Differs("unix:///nonexist no such file\n", 7),
    ),
    Ctl(
        "-s unix:///nonexist reread",
        Differs("unix:///nonexist no such file\n", 7),
    ),
    Ctl(
        "-s unix:///nonexist update",
        Differs("unix:///nonexist no such file\n", 7),
    ),
    Ctl(
        "-s unix:///nonexist add x",
        Differs("unix:///nonexist no such file\n", 7),
    ),
    Ctl(
        "-s unix:///nonexist remove x",
        Differs("unix:///nonexist no such file\n", 7),
    ),
    Ctl(
        "-s unix:///nonexist reload",
        Differs("unix:///nonexist no such file\n", 7),
    ),
    Ctl(
        "-s http://127.0.0.1:1 reload",
        Differs("http://127.0.0.1:1 refused connection\n", 4),
    ),
    // CTL-01: options
    Ctl("-s foo status", Same),
    Ctl("-s http: status", Same),
    Ctl("-s http:// status", Same),
    Ctl("-s unix: status", Same),
    Ctl("-s unix:// status", Same),
    Ctl("-s //x status", Same),
    Ctl("-s :x status", Same),
    Ctl("-s h_x://y status", Same),
    Ctl("-s http:foo status", Same),
    Ctl("-s unix:foo status", Same),
    Ctl("-s HTTP://127.0.0.1 pid", Same),
    Ctl("-s ftp://foo status", Same),
    Ctl("-s http://127.0.0.1:foo status", Same),
    Ctl("-s http://127.0.0.1:99999 pid", Same),
    Ctl("-s http://nosuch.invalid status", Same),
    Ctl("-s unix:///a -s unix:///b status", Same),
    Ctl("-c x status", Same),
    Ctl("--foo", Same),
    Ctl("--s x", Same),
    Ctl("--interactive=1", Same),
    Ctl("-x", Same),
    Ctl("-s", Same),
    Ctl("-r", Same),
    Ctl("-p", Same),
    Ctl("-h", Same),
    Ctl("--help x", Same),
    Ctl("-?", Same),
    Ctl("-h -x", Same),
    Ctl("-i version", Same),
    Ctl("--int version", Same),
    Ctl("-u u version", Same),
    Ctl("-r {dir}/hist version", Same),
    Ctl("-- version", Same),
    Ctl("-s http://127.0.0.1:{port} -u u -p p pid cat nosuch", Same),
    Ctl("-s http://127.0.0.1:{port}/foo?x -u u -p p version", Same),
    Bare("-c {dir}/nosuch.conf pid", Same),
    Bare("-c /tmp pid", Same),
    Bare("pid -c x", Same),
    Bare("-s unix://{dir}/s.sock version", Same),
    Bare("-s unix://~/x pid", Same),
    // CTL-06: wrong password
    Ctl(
        "-s http://127.0.0.1:{port} status",
        Differs("Server requires authentication\n", 1),
    ),
    Ctl(
        "-s http://127.0.0.1:{port} -u u -p x reread",
        Differs("Server requires authentication\n", 1),
    ),
    Ctl(
        "-s http://127.0.0.1:{port} -u u tail -f cat",
        Differs("Server requires authentication\n", 1),
    ),
    // CTL-23: confirmation without a terminal
    Ctl("-i shutdown", Same),
    Ctl("-i reload", Same),
    // CTL-02, CTL-03: the shell
    Shell("", ""),
    Shell("", "pid"),
    Shell("", "pid\n\nbogus\nversion\n"),
    Shell("", "  version  \n"),
    Shell("", "version\nexit\nversion\n"),
    Shell("", "quit\n"),
    Shell("", "EOF\nversion\n"),
    Shell("", "shutdown\nn\nversion\n"),
    Shell("", "shutdown\n"),
    Shell("", "reload\nno\n"),
    Shell("", "reload\n\nversion\n"),
    Shell("", "start nosuch\n"),
    Shell("", "help\n?\n"),
    Shell("", "open unix:///nonexist\nversion\nstatus cat\n"),
    Shell("-s unix:///nonexist", "status cat\n"),
    Shell("-i", "status cat\n"),
    // CTL-23: shutdown
    Shell("", "reload\ny\n"),
    Ctl("shutdown", Same),
];
