#include "fs/numbers.h"

static uint64_t take(struct fs *fs)
{
	uint64_t number = 0;

	pthread_mutex_lock(&fs->numbers_lock);
	if (fs->numbers_next < fs->numbers_end)
		number = fs->numbers_next++;
	pthread_mutex_unlock(&fs->numbers_lock);
	return number;
}

/* The first is for who asked. If two asked at once, the later answer is kept: the cluster lets two lots be used. */
static void given(struct request *rq, int error)
{
	struct fs *fs = rq->fs;

	if (!error) {
		rq->number = rq->op.result.count;
		pthread_mutex_lock(&fs->numbers_lock);
		if (fs->numbers_end < rq->number) {
			fs->numbers_next = rq->number + 1;
			fs->numbers_end = rq->number + COMMAND_NUMBERS_COUNT;
		}
		pthread_mutex_unlock(&fs->numbers_lock);
	}
	rq->number_taken(rq, error);
}

void numbers_take(struct request *rq, request_step *next)
{
	struct command c = request_command(rq, COMMAND_NUMBERS);

	rq->number = take(rq->fs);
	rq->number_taken = next;
	if (rq->number) {
		next(rq, 0);
		return;
	}
	c.numbers = COMMAND_NUMBERS_COUNT;
	request_submit(rq, &c, given);
}
