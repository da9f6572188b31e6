/* The text forms of markers and owners: see wire.h. */
#include "store/redis/wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* "run_id replication_id nonce blank" */
size_t wire_marker_write(const struct quorum_marker *marker, char out[WIRE_MARKER_BYTES])
{
    if (!marker->there) {
        out[0] = '\0';
        return 0;
    }
    int n = snprintf(out, WIRE_MARKER_BYTES, "%s %s %" PRIu64 " %d", marker->run_id, marker->replication_id,
                     marker->nonce, marker->blank ? 1 : 0);
    return (size_t)n;
}

static bool take_id(struct str *rest, char out[QUORUM_ID_BYTES])
{
    struct str part;
    if (!str_split(rest, ' ', &part) || part.n == 0 || part.n >= QUORUM_ID_BYTES ||
        str_plain(part) != part.n) {
        return false;
    }
    memcpy(out, part.p, part.n);
    out[part.n] = '\0';
    return true;
}

void wire_marker_read(struct str text, struct quorum_marker *marker)
{
    struct str rest = text;
    struct str nonce;
    struct str blank;
    *marker = (struct quorum_marker){.there = text.n > 0};
    bool fits = take_id(&rest, marker->run_id) && take_id(&rest, marker->replication_id) &&
                str_split(&rest, ' ', &nonce) && str_to_u64(nonce, &marker->nonce) &&
                str_split(&rest, ' ', &blank) && (str_eq(blank, STR("0")) || str_eq(blank, STR("1"))) &&
                rest.p == NULL;
    if (!fits) {
        *marker = (struct quorum_marker){.there = text.n > 0};
        return;
    }
    marker->blank = blank.p[0] == '1';
}

/* "%016llu.%016llx": by hand, since it is in every command. */
void wire_owner_write(struct quorum_owner owner, char out[WIRE_OWNER_BYTES + 1])
{
    uint64_t clock = owner.clock;
    uint64_t agent = owner.agent;
    for (int i = 15; i >= 0; i--) {
        out[i] = (char)('0' + clock % 10);
        clock /= 10;
    }
    out[16] = '.';
    for (int i = WIRE_OWNER_BYTES - 1; i > 16; i--) {
        out[i] = "0123456789abcdef"[agent & 15];
        agent >>= 4;
    }
    out[WIRE_OWNER_BYTES] = '\0';
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool wire_owner_read(struct str text, struct quorum_owner *owner)
{
    if (text.n != WIRE_OWNER_BYTES || text.p[16] != '.' ||
        !str_to_u64((struct str){text.p, 16}, &owner->clock)) {
        return false;
    }
    owner->agent = 0;
    for (size_t i = 17; i < WIRE_OWNER_BYTES; i++) {
        int digit = hex_digit(text.p[i]);
        if (digit < 0) {
            return false;
        }
        owner->agent = owner->agent << 4 | (uint64_t)digit;
    }
    return true;
}

void wire_node_init(struct wire_node *node, enum redis_edition edition, const struct quorum_hello *hello,
                    uint32_t tag)
{
    struct quorum_marker marker = {.there = true};
    memcpy(marker.run_id, hello->run_id, sizeof marker.run_id);
    memcpy(marker.replication_id, hello->replication_id, sizeof marker.replication_id);
    node->edition = edition;
    node->hello = hello;
    node->tag = tag;
    (void)wire_marker_write(&marker, node->marker);
}
