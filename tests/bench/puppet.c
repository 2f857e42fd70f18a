/* The smallest children and the barest loops, so that what is compared is the supervisor and not the supervised.
 *
 *   puppet stamp FIFO          write one struct stamp to FIFO, then wait for ever
 *   puppet cycle FIFO N        bare loop: kill, reap, vfork, exec `stamp`, wait for its stamp; prints ns of each turn
 *   puppet start FIFO N        bare loop: N times vfork and exec `stamp`; prints ns until the last stamp
 *   puppet write BYTES         write so many bytes to standard output in lines of 64 bytes, 64 KiB at a time
 *   puppet copy FILE BYTES     bare loop: the same bytes from a child's pipe to FILE with read and write; prints ns
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct stamp {
	long long ns;
	long long pid;
};

static long long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static pid_t spawn(char **argv, int out)
{
	pid_t pid = vfork();
	if (pid == 0) {
		if (out >= 0)
			dup2(out, 1);
		execv("/proc/self/exe", argv);
		_exit(127);
	}
	return pid;
}

static void read_stamp(int fd, struct stamp *stamp)
{
	if (read(fd, stamp, sizeof *stamp) != sizeof *stamp)
		exit(3);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	if (!strcmp(argv[1], "stamp")) {
		struct stamp stamp = { now(), getpid() };
		int fd = open(argv[2], O_WRONLY);
		if (fd < 0 || write(fd, &stamp, sizeof stamp) != sizeof stamp)
			return 3;
		close(fd);
		for (;;)
			pause();
	}
	if (!strcmp(argv[1], "cycle") || !strcmp(argv[1], "start")) {
		char *child[] = { argv[0], "stamp", argv[2], NULL };
		int turns = atoi(argv[3]);
		int fd = open(argv[2], O_RDWR);
		struct stamp stamp;
		if (!strcmp(argv[1], "cycle")) {
			pid_t pid = spawn(child, -1);
			read_stamp(fd, &stamp);
			while (turns--) {
				long long began = now();
				kill(pid, SIGKILL);
				waitpid(pid, NULL, 0);
				pid = spawn(child, -1);
				read_stamp(fd, &stamp);
				printf("%lld\n", stamp.ns - began);
			}
			kill(pid, SIGKILL);
		} else {
			pid_t *pids = malloc(turns * sizeof *pids);
			long long began = now(), last = 0;
			for (int i = 0; i < turns; i++)
				pids[i] = spawn(child, -1);
			for (int i = 0; i < turns; i++) {
				read_stamp(fd, &stamp);
				if (stamp.ns > last)
					last = stamp.ns;
			}
			printf("%lld\n", last - began);
			for (int i = 0; i < turns; i++)
				kill(pids[i], SIGKILL);
		}
		return 0;
	}
	if (!strcmp(argv[1], "write")) {
		static char block[65536];
		long long left = atoll(argv[2]);
		for (unsigned i = 0; i < sizeof block; i++)
			block[i] = i % 64 == 63 ? '\n' : 'x';
		while (left > 0) {
			ssize_t n = write(1, block, left < (long long)sizeof block ? left : (long long)sizeof block);
			if (n <= 0)
				return 3;
			left -= n;
		}
		for (;;)
			pause();
	}
	if (!strcmp(argv[1], "copy")) {
		static char block[65536];
		char *child[] = { argv[0], "write", argv[3], NULL };
		long long left = atoll(argv[3]), began = now();
		int ends[2], out = open(argv[2], O_WRONLY | O_CREAT | O_APPEND, 0644);
		if (out < 0 || pipe2(ends, O_CLOEXEC))
			return 3;
		pid_t pid = spawn(child, ends[1]);
		while (left > 0) {
			ssize_t n = read(ends[0], block, sizeof block);
			if (n <= 0 || write(out, block, n) != n)
				return 3;
			left -= n;
		}
		printf("%lld\n", now() - began);
		kill(pid, SIGKILL);
		return 0;
	}
	return 2;
}
