#include "tests/power/gate.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define WAIT_SECONDS 60

pthread_rwlock_t *gate_new(const char *file)
{
	pthread_rwlockattr_t attr;
	int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(pthread_rwlock_t)) != 0)
		abort();
	pthread_rwlock_t *gate = mmap(NULL, sizeof(*gate), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (gate == MAP_FAILED)
		abort();
	/* Whoever kills comes before the calls that begin meanwhile. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(gate, &attr);
	pthread_rwlockattr_destroy(&attr);
	return gate;
}

void gate_kill(pthread_rwlock_t *gate, int pid)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_SECONDS;
	if (pthread_rwlock_timedwrlock(gate, &until) != 0)
		abort();
	kill(pid, SIGKILL);
}

void gate_free(pthread_rwlock_t *gate)
{
	if (gate)
		munmap(gate, sizeof(*gate));
}
