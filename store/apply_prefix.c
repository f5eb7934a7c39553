/* apply_prefix.c: every key that begins with a prefix is deleted. What begins with one are whole subtrees, and all of them hang in one directory. */
#include "store/apply_plan.h"

#include <string.h>

struct doomed {
	struct plan *p;
	uint64_t count;
	size_t parent_size; /* of the keys' deepest directory that survives */
	int32_t dirs;       /* deleted from it */
};

static int doom(void *ctx, const struct record *r)
{
	struct doomed *d = ctx;
	writer_bytes(&d->p->doomed, r->key.data, r->key.size);
	d->count++;
	if (S_ISDIR(r->mode) && key_parent(r->key).size == d->parent_size)
		d->dirs++;
	return 0;
}

/* The first key after all that begin with `prefix`, in `end` (as large); empty if there is none. */
static struct span after_prefix(struct span prefix, uint8_t *end)
{
	const uint8_t *from = prefix.data;
	size_t size = prefix.size;
	while (size > 0 && from[size - 1] == 0xff)
		size--;
	for (size_t i = 0; i < size; i++)
		end[i] = from[i];
	if (size > 0)
		end[size - 1]++;
	return (struct span){end, size};
}

int plan_delete_prefix(struct plan *p, struct span prefix, uint64_t *count)
{
	uint8_t end[MVCC_KEY_MAX];
	struct doomed d = {.p = p, .parent_size = key_parent(prefix).size};
	int err = plan_checked(p, mvcc_range(p->m, prefix, after_prefix(prefix, end), 0, 0, doom, &d));
	if (err < 0 || d.count == 0)
		return err;
	struct change *parent;
	if ((err = plan_at(p, key_parent(prefix), &parent)) < 0)
		return err;
	plan_touch(parent, -d.dirs);
	writer_bytes(&p->prefixes, prefix.data, prefix.size);
	*count += d.count;
	return 0;
}

bool plan_is_doomed(const struct plan *p, struct span key)
{
	struct reader prefixes = reader_over(p->prefixes.data, p->prefixes.size);
	while (reader_left(&prefixes) > 0) {
		struct span prefix = reader_bytes(&prefixes, MVCC_KEY_MAX);
		if (key.size >= prefix.size && memcmp(key.data, prefix.data, prefix.size) == 0)
			return true;
	}
	return false;
}
