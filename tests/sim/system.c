/* The rest of what the production code asks of the system: memory, clocks, event descriptors, poll. */
#include "tests/sim/heap.h"
#include "tests/sim/machine.h"
#include "tests/sim/network.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FD_FIRST 10000
#define FDS_PER_MACHINE 100

void *__real_malloc(size_t size);
void __real_free(void *p);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
int __real_clock_gettime(clockid_t clock, struct timespec *ts);
ssize_t __real_read(int fd, void *buffer, size_t size);
ssize_t __real_write(int fd, const void *buffer, size_t size);
int __real_close(int fd);

void *__wrap_malloc(size_t size);
void __wrap_free(void *p);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t count, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);
ssize_t __wrap_read(int fd, void *buffer, size_t size);
ssize_t __wrap_write(int fd, const void *buffer, size_t size);
int __wrap_close(int fd);
int __wrap_eventfd(unsigned count, int flags);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
ssize_t __wrap_getrandom(void *out, size_t size, unsigned flags);

/* --- memory --- */

void *__wrap_malloc(size_t size)
{
	struct machine *m = machine_now();
	return m ? heap_alloc(m->number, size) : __real_malloc(size);
}

void __wrap_free(void *p)
{
	if (heap_owns(p))
		heap_free(p);
	else
		__real_free(p);
}

void *__wrap_calloc(size_t count, size_t size)
{
	struct machine *m = machine_now();
	if (!m)
		return __real_calloc(count, size);
	return memset(heap_alloc(m->number, count * size), 0, count * size);
}

void *__wrap_realloc(void *p, size_t size)
{
	struct machine *m = machine_now();
	return m && (!p || heap_owns(p)) ? heap_resize(m->number, p, size) : __real_realloc(p, size);
}

void *__wrap_reallocarray(void *p, size_t count, size_t size)
{
	return __wrap_realloc(p, count * size);
}

char *__wrap_strndup(const char *text, size_t size)
{
	size_t length = strnlen(text, size);
	char *copy = __wrap_malloc(length + 1);
	memcpy(copy, text, length);
	copy[length] = '\0';
	return copy;
}

char *__wrap_strdup(const char *text)
{
	return __wrap_strndup(text, strlen(text));
}

/* --- clocks and chance --- */

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	struct machine *m = machine_now();
	if (!m)
		return __real_clock_gettime(clock, ts);
	int64_t ns = machine_mono_ns(m) + (clock == CLOCK_REALTIME ? m->wall_ahead_ns : 0);
	*ts = (struct timespec){.tv_sec = ns / SECOND, .tv_nsec = ns % SECOND};
	return 0;
}

ssize_t __wrap_getrandom(void *out, size_t size, unsigned flags)
{
	(void)flags;
	for (size_t i = 0; i < size; i++)
		((uint8_t *)out)[i] = (uint8_t)draw();
	return (ssize_t)size;
}

/* --- descriptors --- */

static struct machine_fd *fd_at(int fd)
{
	int place = fd - FD_FIRST;
	if (place < 0)
		return NULL;
	uint32_t machine = (uint32_t)place / FDS_PER_MACHINE;
	uint32_t slot = (uint32_t)place % FDS_PER_MACHINE;
	return machine < MACHINES_MAX && slot < MACHINE_FDS ? &machines[machine].fds[slot] : NULL;
}

static int new_fd(struct machine *m, struct machine_fd is)
{
	for (uint32_t i = 0; i < MACHINE_FDS; i++) {
		if (m->fds[i].used)
			continue;
		m->fds[i] = is;
		return FD_FIRST + (int)((m->number - 1) * FDS_PER_MACHINE + i);
	}
	abort();
}

int system_network_fd(struct machine *m)
{
	return new_fd(m, (struct machine_fd){.used = true, .is_network = true});
}

int __wrap_eventfd(unsigned count, int flags)
{
	(void)flags;
	return new_fd(machine_now(), (struct machine_fd){.used = true, .count = count});
}

ssize_t __wrap_read(int fd, void *buffer, size_t size)
{
	struct machine_fd *f = fd_at(fd);
	if (!f)
		return __real_read(fd, buffer, size);
	if (f->count == 0) {
		errno = EAGAIN;
		return -1;
	}
	memcpy(buffer, &f->count, sizeof(f->count));
	f->count = 0;
	return sizeof(f->count);
}

ssize_t __wrap_write(int fd, const void *buffer, size_t size)
{
	struct machine_fd *f = fd_at(fd);
	uint64_t more;
	if (!f)
		return __real_write(fd, buffer, size);
	memcpy(&more, buffer, sizeof(more));
	f->count += more;
	wake_all(&machine_now()->polls);
	return sizeof(more);
}

int __wrap_close(int fd)
{
	struct machine_fd *f = fd_at(fd);
	if (!f)
		return machine_now() ? 0 : __real_close(fd);
	*f = (struct machine_fd){0};
	return 0;
}

static int look(const struct machine *m, struct pollfd *fds, nfds_t count)
{
	int some = 0;
	for (nfds_t i = 0; i < count; i++) {
		const struct machine_fd *f = fd_at(fds[i].fd);
		bool readable = f && f->used && (f->is_network ? network_has_frames(m) : f->count > 0);
		fds[i].revents = readable ? POLLIN : 0;
		some += readable;
	}
	return some;
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	struct machine *m = machine_now();
	int64_t until_ns = timeout_ms < 0 ? NEVER : machine_mono_ns(m) + timeout_ms * MS;
	int some = look(m, fds, count);
	if (some == 0 && timeout_ms != 0) {
		fiber_wait(&m->polls, until_ns == NEVER ? NEVER : machine_when(m, until_ns));
		some = look(m, fds, count);
	}
	return some;
}
