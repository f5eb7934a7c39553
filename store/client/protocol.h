/* protocol.h: what a client and an endpoint say to each other: one request, one response, each one message.
 *
 * Both formats stand as tables in protocol.c. Decoding borrows from the message and never reads past it; a message that breaks a rule
 * of the tables is -EBADMSG. A long listing comes in pages: a response with PROTOCOL_MORE names in `next` the key to go on from, and the
 * client asks again with from = next and rev = the revision of the first page, so that all pages show one revision. */
#ifndef TALLY_STORE_CLIENT_PROTOCOL_H
#define TALLY_STORE_CLIENT_PROTOCOL_H

#include "base/codec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROTOCOL_FORMAT 1u
#define PROTOCOL_KEY_MAX 4096u /* the longest key, and one byte for the successor of a key */
#define PROTOCOL_VALUE_MAX (72u << 20)
/* The largest message of all: a value and its frame. */
#define PROTOCOL_MESSAGE_MAX (80u << 20)
/* A page of a listing ends with the value that passes this, or after so many keys were looked at. */
#define PROTOCOL_PAGE_BYTES (512u << 10)
#define PROTOCOL_PAGE_KEYS 4096u
/* The pairs of one LOAD: it must fit one log entry. */
#define PROTOCOL_LOAD_MAX (384u << 10)

enum request_type {
	REQUEST_GET = 1,     /* key; or, with REQUEST_PREFIX, the files and links whose key begins with it */
	REQUEST_PUT = 2,     /* key, value; rev: the lease that the key is attached to, or 0 */
	REQUEST_DELETE = 3,  /* key, REQUEST_PREFIX */
	REQUEST_HISTORY = 4, /* key; goes on after revision `rev` */
	REQUEST_STATUS = 5,  /* the text of @status; waits for nothing */
	REQUEST_HEALTH = 6,  /* answered after a read barrier; text: "ok", or why not */
	REQUEST_LOAD = 7,    /* value: pairs of (key, value), each a length-prefixed string: many puts in one revision */
	/* value: a transaction, txn.h. count: 1 if all comparisons held. A kv for each operation of the branch that was taken, all without a key: of a
	 * put nothing more; of a delete, size: how many keys; of a get what GET gives, or KV_DELETED. */
	REQUEST_TXN = 8,
	/* Leases, by their id in `rev`. */
	REQUEST_LEASE_GRANT = 9,      /* limit: its time in seconds; rev 0: any id. text: the id, a u64 */
	REQUEST_LEASE_REVOKE = 10,    /* count: keys that were attached, and are deleted */
	REQUEST_LEASE_KEEPALIVE = 11, /* count: its time in seconds, which begins anew */
	REQUEST_LEASE_TTL =
		12, /* count: its time in seconds; text: what remains as this node sees it, a u64 in ms; with KEYS_ONLY its keys, each as bytes */
	REQUEST_LEASE_LIST = 13, /* count; text: the id of each, a u64 */
	/* key, REQUEST_PREFIX: a kv for each change from revision `rev` on (0: from now on), with its mod_revision: KV_DELETED, or KV_RENAMED with the new
	 * key as value. Answered once there is one, or after `limit` ms. The response's revision, and count, are where to go on: `rev`, and as a u32 the
	 * `value` of the next request, which is left out when 0: it is not 0 only within a revision too large for one answer. -ENODATA: what `rev` asks
	 * for has been compacted; revision is then the first that has not. With limit 0, which begins a watch, that holds whatever the node still has in
	 * memory. From revision 1, that of the empty store, is from 2. Waits for nothing else, with a quorum or without. */
	REQUEST_WATCH = 14,
	REQUEST_COMPACT = 15, /* rev: history below it goes */
	REQUEST_HASH =
		16, /* text: the hash of all that this node has applied (16 hex digits), its revision, its index; waits for nothing */
	/* The text of @members, as this node sees it; waits for nothing. */
	REQUEST_MEMBER_LIST = 17,
	/* key: a name, value: its HOST:PORT, limit 1: it stays a learner. Answered, like the next three, once the change is committed. */
	REQUEST_MEMBER_ADD = 18,
	REQUEST_MEMBER_PROMOTE = 19, /* key: a name or an id, in 16 hex digits */
	REQUEST_MEMBER_REMOVE = 20,  /* likewise */
	REQUEST_MOVE_LEADER = 21,    /* likewise: it is to lead */
	/* rev 0: takes a picture of the store; text: its manifest, count: its number. rev, that number: the page `limit`, from 0, behind the position
	 * `from` (at first empty: the start); text: a chunk (store/mvcc/dump.h), next: the position behind it, count: the sum of all pages so far. With
	 * REQUEST_COUNT_ONLY: it is not wanted any more. */
	REQUEST_SNAPSHOT = 22
};
#define REQUEST_TYPES 23 /* 0 stands for what could not be decoded; numbers without a name are not known yet */

enum request_flag {
	REQUEST_PREFIX = 1,
	REQUEST_SERIAL = 2, /* from this node's own state at once; without it: linearizable */
	REQUEST_KEYS_ONLY = 4,
	REQUEST_COUNT_ONLY = 8
};

struct request {
	uint8_t type;
	uint8_t flags;
	uint64_t rev;   /* 0: the present */
	uint64_t limit; /* at most so many keys; 0: all */
	struct span key;
	struct span from; /* GET with a prefix: go on at this key; empty: from the start */
	struct span value;
};

enum kv_flag { KV_DELETED = 1, KV_RENAMED = 2 };

struct kv {
	struct span key;
	uint64_t create_revision;
	uint64_t mod_revision;
	uint32_t version;
	uint32_t mode; /* with S_IFMT */
	uint8_t flags;
	uint64_t size;
	int64_t mtime_ns;
	struct span value; /* empty under KEYS_ONLY and in a history */
};

enum response_flag { PROTOCOL_MORE = 1 };

struct response {
	uint8_t type; /* of the request */
	uint8_t flags;
	int error;         /* 0 or a negative errno */
	uint64_t revision; /* of the store as it answered; of the write */
	uint64_t count;    /* keys in this page, keys deleted, keys loaded */
	struct span text;  /* one line on an error; STATUS, HEALTH */
	struct span next;
	struct kv *kvs; /* owned: response_done frees it */
	uint32_t kvs_count;
};

/* The name of a request type, for logs and counters; "malformed" for 0. */
const char *request_type_name(uint8_t type);
/* Writes that change the store: to be sent at most once. */
bool request_writes(uint8_t type);

void request_encode(struct writer *w, const struct request *r);
/* Everything in *out is borrowed from `bytes`. */
int request_decode(struct span bytes, struct request *out);

/* A response is a head and then its kvs, which a server writes on their own: two pieces of one message.
 * `r->kvs` is not looked at; kvs_count says how many follow. */
void response_encode_head(struct writer *w, const struct response *r);
/* Writes all but the value of a kv, which is value_size bytes: returns where to put them, valid until the next call on `w`. */
void *kv_encode(struct writer *w, const struct kv *kv, uint32_t value_size);
/* Spans are borrowed from `bytes`, kvs are allocated. */
int response_decode(struct span bytes, struct response *out);
/* A zeroed response is fine. */
void response_done(struct response *r);

/* --- prefixes of keys --- */

/* Could a key begin with it? A prefix may be empty and its last segment unfinished; else the rules of command_key_valid. */
bool prefix_valid(struct span prefix);
/* The first key after all those with this prefix, into `end` (prefix.size bytes of room). Returns its length; 0: there is no such key. */
size_t prefix_end(struct span prefix, char *end);

#endif
