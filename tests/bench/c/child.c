/* The supervised programs: as small as a process can be, because the bench compares supervisors and not programs.
 *
 *   child pause                  wait for ever
 *   child stamp FIFO             write one struct stamp to FIFO, wait for ever
 *   child tick FILE              add one to the 64-bit counter in FILE, exit with status 1
 *   child lines FIFO BYTES SIZE  write a stamp; at each SIGUSR1 write BYTES to standard output, SIZE at a time and in
 *                                lines of at most 100 bytes, with a stamp before the first and one after the last write
 *   child late PAUSE_US          write the time in a line of 100 bytes to standard output, again and again
 *
 * Called `run` it reads its arguments from the file `args` in the working directory, one a line: supervisors whose services
 * are directories with an executable `run` get this program itself as `run`, without a shell between them.
 */
#include "common.h"

static void write_lines(int fifo, long long bytes, size_t size)
{
	char *block = malloc(size);
	for (size_t i = 0; i < size; i++)
		block[i] = i % 100 == 99 || i == size - 1 ? '\n' : 'x';
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	write_stamp(fifo);
	for (;;) {
		int signal;
		sigwait(&set, &signal);
		write_stamp(fifo);
		for (long long left = bytes; left > 0;) {
			size_t want = left < (long long)size ? (size_t)left : size;
			/* A short write is completed, so that lines stay whole. */
			for (size_t done = 0; done < want;) {
				ssize_t n = write(1, block + done, want - done);
				if (n <= 0)
					exit(3);
				done += n;
			}
			left -= want;
		}
		write_stamp(fifo);
	}
}

static void write_times(long long pause)
{
	/* Writers of one pace begin at different moments. */
	struct timespec rest = { 0, (getpid() * 7919LL % (pause + 1)) * 1000 };
	nanosleep(&rest, NULL);
	rest.tv_sec = pause / 1000000;
	rest.tv_nsec = pause % 1000000 * 1000;
	for (;;) {
		char line[LATE_LINE + 1];
		snprintf(line, sizeof line, "%-*lld\n", LATE_LINE - 1, now());
		if (write(1, line, LATE_LINE) != LATE_LINE)
			exit(3);
		if (pause)
			nanosleep(&rest, NULL);
	}
}

static int arguments_from_file(char **argv, int max)
{
	static char text[4096];
	int fd = open("args", O_RDONLY | O_CLOEXEC), argc = 1;
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (length <= 0)
		return 1;
	close(fd);
	for (char *word = strtok(text, "\n"); word && argc < max; word = strtok(NULL, "\n"))
		argv[argc++] = word;
	return argc;
}

int main(int argc, char **given)
{
	char *found[8] = { given[0] }, **argv = given;
	const char *base = strrchr(given[0], '/');
	/* s6-supervise passes the name of the service too. */
	if (!strcmp(base ? base + 1 : given[0], "run")) {
		argv = found;
		argc = arguments_from_file(found, 8);
	}
	if (argc == 2 && !strcmp(argv[1], "pause")) {
		for (;;)
			pause();
	}
	if (argc == 3 && !strcmp(argv[1], "stamp")) {
		/* Read the clock first, because the bench measures the first instruction and not the FIFO. */
		struct stamp stamp = { now(), getpid() };
		int fd = open(argv[2], O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, &stamp, sizeof stamp) != sizeof stamp)
			die(argv[2]);
		close(fd);
		for (;;)
			pause();
	}
	if (argc == 3 && !strcmp(argv[1], "tick")) {
		int fd = open(argv[2], O_RDWR | O_CLOEXEC);
		long long *counter = mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (counter == MAP_FAILED)
			die(argv[2]);
		__atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
		return 1;
	}
	if (argc == 5 && !strcmp(argv[1], "lines")) {
		int fd = open(argv[2], O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			die(argv[2]);
		write_lines(fd, atoll(argv[3]), atoll(argv[4]));
	}
	if (argc == 3 && !strcmp(argv[1], "late"))
		write_times(atoll(argv[2]));
	return 2;
}
