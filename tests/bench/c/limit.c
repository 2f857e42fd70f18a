/* The limits: minimal C programs that do the work of a supervisor. None of them is a supervisor.
 *
 *   limit start CHILD FIFO N                 vfork and exec `CHILD stamp FIFO` N times, print CLOCK_MONOTONIC in ns before
 *                                            the first and the CPU ns of all, and wait; another process reads the stamps
 *   limit hold CHILD FIFO N SIBLINGS         start SIBLINGS of `CHILD pause` and N of `CHILD stamp FIFO`, and reap and
 *                                            restart processes that exit; another process reads the stamps
 *   limit copy FIFO FILE BYTES SIZE MAX BACKUPS CHILD
 *                                            start `CHILD lines FIFO BYTES SIZE`, copy its pipe to FILE with read and write;
 *                                            MAX > 0: rotate FILE at MAX bytes and keep BACKUPS backups
 *   limit crash CHILD FILE N SECONDS         keep N of `CHILD tick FILE` running; prints respawns and CPU ns
 *   limit restart CHILD FIFO N TURNS         kill all N, reap, start again; prints wall ns and CPU ns for each turn
 *   limit execute TURNS PROGRAM [ARGUMENT…]  run PROGRAM and wait for it; prints wall ns and the child's CPU ns each time
 */
#include "common.h"
#include <sys/resource.h>

static pid_t spawn(char **argv, int out)
{
	pid_t pid = vfork();
	if (pid == 0) {
		if (out >= 0)
			dup2(out, 1);
		execv(argv[0], argv);
		_exit(127);
	}
	if (pid < 0)
		die("vfork");
	return pid;
}

static int open_fifo(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die(path);
	return fd;
}

static long long cpu(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static void kill_all(pid_t *pids, int count)
{
	for (int i = 0; i < count; i++)
		kill(pids[i], SIGKILL);
	while (wait(NULL) > 0)
		;
}

static long long last_stamp(int fd, int count)
{
	struct stamp stamp;
	long long last = 0;
	for (int i = 0; i < count; i++) {
		read_stamp(fd, &stamp);
		if (stamp.ns > last)
			last = stamp.ns;
	}
	return last;
}

static void start(char **argv)
{
	char *child[] = { argv[2], "stamp", argv[3], NULL };
	int count = atoi(argv[4]);
	long long began = now();
	for (int i = 0; i < count; i++)
		spawn(child, -1);
	printf("%lld %lld\n", began, cpu());
	fflush(stdout);
	for (;;)
		pause();
}

static void hold(char **argv)
{
	char *child[] = { argv[2], "stamp", argv[3], NULL };
	char *sibling[] = { argv[2], "pause", NULL };
	for (int i = atoi(argv[5]); i > 0; i--)
		spawn(sibling, -1);
	for (int i = atoi(argv[4]); i > 0; i--)
		spawn(child, -1);
	while (wait(NULL) > 0)
		spawn(child, -1);
}

/* Renames FILE to FILE.1, FILE.1 to FILE.2 and so on, as every log with numbered backups does. */
static int rotate(const char *path, int backups, int out)
{
	char from[4096], to[4096];
	close(out);
	for (int i = backups; i > 0; i--) {
		snprintf(to, sizeof to, "%s.%d", path, i);
		if (i > 1)
			snprintf(from, sizeof from, "%s.%d", path, i - 1);
		else
			snprintf(from, sizeof from, "%s", path);
		if (i == backups)
			unlink(to);
		rename(from, to);
	}
	return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

static void copy(char **argv)
{
	static char block[65536];
	char *child[] = { argv[8], "lines", argv[2], argv[4], argv[5], NULL };
	long long max = atoll(argv[6]), size = 0;
	int ends[2], backups = atoi(argv[7]);
	int out = open(argv[3], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (out < 0 || pipe2(ends, O_CLOEXEC))
		die(argv[3]);
	spawn(child, ends[1]);
	close(ends[1]);
	for (;;) {
		ssize_t n = read(ends[0], block, sizeof block);
		if (n <= 0)
			return;
		if (write(out, block, n) != n)
			die(argv[3]);
		size += n;
		if (max > 0 && size >= max) {
			out = rotate(argv[3], backups, out);
			size = 0;
		}
	}
}

static void crash(char **argv)
{
	char *child[] = { argv[2], "tick", argv[3], NULL };
	long long began = now(), before = cpu(), end = began + (long long)(atof(argv[5]) * 1e9);
	int count = atoi(argv[4]), respawns = 0;
	for (int i = 0; i < count; i++)
		spawn(child, -1);
	for (;;) {
		int status;
		if (waitpid(-1, &status, 0) < 0)
			die("waitpid");
		if (now() > end)
			break;
		spawn(child, -1);
		respawns++;
	}
	printf("%d %lld\n", respawns, cpu() - before);
	while (wait(NULL) > 0)
		;
}

static void restart(char **argv)
{
	char *child[] = { argv[2], "stamp", argv[3], NULL };
	int count = atoi(argv[4]), fd = open_fifo(argv[3]);
	pid_t *pids = malloc(count * sizeof *pids);
	for (int i = 0; i < count; i++)
		pids[i] = spawn(child, -1);
	last_stamp(fd, count);
	for (int turns = atoi(argv[5]); turns > 0; turns--) {
		long long began = now(), before = cpu();
		for (int i = 0; i < count; i++)
			kill(pids[i], SIGTERM);
		for (int i = 0; i < count; i++)
			waitpid(pids[i], NULL, 0);
		for (int i = 0; i < count; i++)
			pids[i] = spawn(child, -1);
		long long used = cpu() - before;
		printf("%lld %lld\n", last_stamp(fd, count) - began, used);
	}
	kill_all(pids, count);
}

static void execute(char **argv)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	for (int turns = atoi(argv[2]); turns > 0; turns--) {
		struct rusage usage;
		int status;
		long long began = now();
		pid_t pid = vfork();
		if (pid == 0) {
			dup2(null, 1);
			execv(argv[3], argv + 3);
			_exit(127);
		}
		wait4(pid, &status, 0, &usage);
		long long took = now() - began;
		long long used = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000LL
			+ (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000LL;
		if (WIFSIGNALED(status) || WEXITSTATUS(status) == 127)
			exit(4);
		printf("%lld %lld %d\n", took, used, WEXITSTATUS(status));
	}
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "start"))
		start(argv);
	else if (argc == 6 && !strcmp(argv[1], "hold"))
		hold(argv);
	else if (argc == 9 && !strcmp(argv[1], "copy"))
		copy(argv);
	else if (argc == 6 && !strcmp(argv[1], "crash"))
		crash(argv);
	else if (argc == 6 && !strcmp(argv[1], "restart"))
		restart(argv);
	else if (argc >= 4 && !strcmp(argv[1], "execute"))
		execute(argv);
	else
		return 2;
	return 0;
}
