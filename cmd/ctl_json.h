/* ctl_json.h: pieces of JSON onto stdout. */
#ifndef TALLY_CMD_CTL_JSON_H
#define TALLY_CMD_CTL_JSON_H

#include "base/codec.h"

#include <stdbool.h>

/* A string in quotes. Bytes that are not UTF-8 become U+FFFD. */
void json_string(struct span s);
/* "NAME":"..." if the bytes are UTF-8, else "NAME_base64":"...". */
void json_bytes(const char *name, struct span s);
bool json_is_utf8(struct span s);

#endif
