/* Shared by the children, the limits and the clients of the bench. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A record in the FIFO of the bench: the time (CLOCK_MONOTONIC) and the process. */
struct stamp {
	long long ns;
	long long pid;
};

/* The bytes of a line that says when it was written. */
#define LATE_LINE 100

static inline long long clock_ns(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static inline long long now(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static inline void die(const char *what)
{
	perror(what);
	exit(3);
}

static inline void write_stamp(int fd)
{
	struct stamp stamp = { now(), getpid() };
	if (write(fd, &stamp, sizeof stamp) != sizeof stamp)
		die("stamp");
}

static inline void read_stamp(int fd, struct stamp *stamp)
{
	if (read(fd, stamp, sizeof *stamp) != sizeof *stamp)
		die("stamp");
}
