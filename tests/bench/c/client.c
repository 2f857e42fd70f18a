/* The measuring clients: one program for all supervisors, because the bench does not compare clients' languages.
 *
 *   client kill FIFO SECONDS PID…     SIGKILL each in turn and read the stamp of its successor; prints "ns pid" for each;
 *                                     none is killed after SECONDS
 *   client probe SOCKET               connect until the daemon answers getState; prints CLOCK_MONOTONIC in ns
 *   client call SOCKET METHOD CLIENTS SECONDS PAUSE_US
 *                                     CLIENTS processes call METHOD over XML-RPC for SECONDS, each on one connection,
 *                                     with a pause between calls; prints the ns of each call
 *   client gap SOCKET SECONDS         call getState again and again, over a new connection where one fails; prints the longest
 *                                     time in ns between two answers, and how many there were
 *   client late FIFO SECONDS          read lines of `child late` that are written within SECONDS; prints their number, and
 *                                     the median, the 99th percentile and the maximum of their ages in ns
 */
#include "common.h"
#include <sys/socket.h>
#include <sys/un.h>

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strncpy(address.sun_path, path, sizeof address.sun_path - 1);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	close(fd);
	return -1;
}

struct session {
	const char *path;
	int fd;
	char request[1024];
	size_t length;
	char *buffer;
	size_t size;
};

static void prepare(struct session *session, const char *path, const char *method)
{
	char body[512];
	int length = snprintf(body, sizeof body, "<?xml version='1.0'?><methodCall><methodName>%s</methodName>"
			      "<params></params></methodCall>", method);
	session->path = path;
	session->fd = -1;
	session->length = snprintf(session->request, sizeof session->request, "POST /RPC2 HTTP/1.1\r\nHost: localhost\r\n"
				   "Content-Type: text/xml\r\nContent-Length: %d\r\n\r\n%s", length, body);
	session->size = 64 << 20;
	session->buffer = malloc(session->size);
}

/* One call; 0 when it was answered with status 200. */
static int call(struct session *session)
{
	if (session->fd < 0)
		session->fd = connect_to(session->path);
	if (session->fd < 0)
		return -1;
	if (write(session->fd, session->request, session->length) != (ssize_t)session->length)
		return -1;
	size_t have = 0, want = 0;
	int closes = 0;
	for (;;) {
		ssize_t n = read(session->fd, session->buffer + have, session->size - have - 1);
		if (n <= 0)
			return -1;
		have += n;
		if (!want) {
			session->buffer[have] = 0;
			char *end = strstr(session->buffer, "\r\n\r\n");
			if (!end)
				continue;
			*end = 0;
			char *length = strcasestr(session->buffer, "content-length:");
			if (strncmp(session->buffer + 8, " 200", 4) || !length)
				return -1;
			closes = strcasestr(session->buffer, "connection: close") != NULL;
			want = end + 4 - session->buffer + strtoul(length + 15, NULL, 10);
		}
		if (have >= want)
			break;
	}
	if (closes) {
		close(session->fd);
		session->fd = -1;
	}
	return 0;
}

static void kills(int argc, char **argv)
{
	struct stamp stamp;
	int fd = open(argv[2], O_RDWR | O_CLOEXEC);
	long long end = now() + (long long)(atof(argv[3]) * 1e9);
	/* A missing answer is a failure, not a hang. */
	alarm(60);
	for (int i = 4; i < argc && now() < end; i++) {
		long long began = now();
		if (kill(atoi(argv[i]), SIGKILL))
			die(argv[i]);
		read_stamp(fd, &stamp);
		printf("%lld %lld\n", stamp.ns - began, stamp.pid);
	}
}

static void disconnect(struct session *session)
{
	if (session->fd >= 0)
		close(session->fd);
	session->fd = -1;
}

static void probe(const char *path)
{
	struct session session;
	struct timespec pause = { 0, 50000 };
	prepare(&session, path, "supervisor.getState");
	while (call(&session)) {
		disconnect(&session);
		nanosleep(&pause, NULL);
	}
	printf("%lld\n", now());
}

static void gap(char **argv)
{
	struct session session;
	struct timespec pause = { 0, 200000 };
	long long last = now(), end = last + (long long)(atof(argv[3]) * 1e9), longest = 0;
	int answered = 0;
	prepare(&session, argv[2], "supervisor.getState");
	/* An upgrade may cut off a request. Writing to its connection must be an error, not SIGPIPE. */
	signal(SIGPIPE, SIG_IGN);
	while (now() < end) {
		if (call(&session)) {
			disconnect(&session);
		} else {
			long long then = now();
			if (then - last > longest)
				longest = then - last;
			last = then;
			answered++;
		}
		nanosleep(&pause, NULL);
	}
	printf("%lld %d\n", longest, answered);
}

#define MOST_CALLS (1 << 20)
#define MOST_LINES (1 << 22)

static void calls(char **argv)
{
	int clients = atoi(argv[4]);
	long us = atol(argv[6]);
	struct timespec pause = { us / 1000000, us % 1000000 * 1000 };
	size_t size = (size_t)clients * (MOST_CALLS + 1) * sizeof(long long);
	long long *all = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	long long end = now() + (long long)(atof(argv[5]) * 1e9);
	for (int i = 0; i < clients; i++) {
		long long *mine = all + (size_t)i * (MOST_CALLS + 1);
		if (fork())
			continue;
		struct session session;
		prepare(&session, argv[2], argv[3]);
		while (now() < end && mine[0] < MOST_CALLS) {
			long long began = now();
			if (call(&session))
				_exit(3);
			mine[++mine[0]] = now() - began;
			if (us)
				nanosleep(&pause, NULL);
		}
		_exit(0);
	}
	int status, failed = 0;
	while (wait(&status) > 0)
		failed |= status;
	if (failed)
		exit(3);
	for (int i = 0; i < clients; i++) {
		long long *mine = all + (size_t)i * (MOST_CALLS + 1);
		for (long long n = 1; n <= mine[0]; n++)
			printf("%lld\n", mine[n]);
	}
}

static int by_size(const void *a, const void *b)
{
	long long x = *(const long long *)a, y = *(const long long *)b;
	return x < y ? -1 : x > y;
}

/* The log is a FIFO: a reader that is woken by each write adds less than one that watches hundreds of files. */
static void late(char **argv)
{
	int fd = open(argv[2], O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die(argv[2]);
	static char data[1 << 16];
	long long *all = mmap(NULL, MOST_LINES * sizeof *all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	long long count = 0, began = now(), end = began + (long long)(atof(argv[3]) * 1e9);
	size_t have = 0;
	while (now() < end && count < MOST_LINES) {
		ssize_t n = read(fd, data + have, sizeof data - have);
		long long at = now();
		if (n <= 0)
			die("read");
		have += n;
		size_t used = 0;
		for (; used + LATE_LINE <= have && count < MOST_LINES; used += LATE_LINE) {
			long long written = atoll(data + used);
			/* Nobody read before. */
			if (written >= began)
				all[count++] = at - written;
		}
		memmove(data, data + used, have - used);
		have -= used;
	}
	if (!count)
		exit(3);
	qsort(all, count, sizeof *all, by_size);
	printf("%lld %lld %lld %lld\n", count, all[count / 2], all[count * 99 / 100], all[count - 1]);
}

int main(int argc, char **argv)
{
	if (argc >= 5 && !strcmp(argv[1], "kill"))
		kills(argc, argv);
	else if (argc == 3 && !strcmp(argv[1], "probe"))
		probe(argv[2]);
	else if (argc == 4 && !strcmp(argv[1], "gap"))
		gap(argv);
	else if (argc == 7 && !strcmp(argv[1], "call"))
		calls(argv);
	else if (argc == 4 && !strcmp(argv[1], "late"))
		late(argv);
	else
		return 2;
	return 0;
}
