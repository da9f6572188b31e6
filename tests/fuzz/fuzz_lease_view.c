/*
 * What stands in Leases, whoever wrote it: a Lease a line, each seen by the Lease store after the one before; after each,
 * every request is decided, and what would be written is read back.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kube/items.h"
#include "kube/lease.h"
#include "store/kubernetes/decide.h"

#define LINES_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct scene {
    struct view view;
    bool begun;
    struct mono now;
    struct wall wall;
    struct arena arena;
};

static void read_back(const struct scene *s, const struct plan *plan)
{
    struct kube_lease lease;
    struct kube_lease again;
    struct error error = ERROR_NONE;
    struct buf text = BUF_EMPTY;
    json_t *doc = NULL;
    plan_write(plan, &s->view, &lease);
    kube_lease_encode(&lease, &text);
    if (kube_json_parse(buf_str(&text), &doc, &error) != EA_OK ||
        kube_lease_decode(&again, doc, &error) != EA_OK || !plan_is_there(plan, &again)) {
        abort();
    }
    json_decref(doc);
    buf_fini(&text);
    kube_lease_fini(&again);
    kube_lease_fini(&lease);
}

static void ask(struct scene *s, enum election_op op)
{
    struct plan plan = {.kind = PLAN_END};
    struct election_request request = {
        .op = op,
        .kind = view_kind(&s->view),
        .election = view_election(&s->view),
        .candidate = STR("a"),
        .term_ms = 5000,
        .start = s->now,
        .deadline = mono_add_ms(s->now, 3000),
        .arena = &s->arena,
    };
    if (!decide(&s->view, &request, s->now, s->wall, &plan)) {
        read_back(s, &plan);
    } else if (op == OP_GET && request.err == EA_OK && !view_is_led(&s->view, s->now)) {
        abort();
    }
    arena_reset(&s->arena);
}

static void see(struct scene *s, const struct kube_lease *lease)
{
    char name[LEASE_NAME_BYTES_MAX + 1];
    struct lease_election id;
    if (!lease_name_read(str_of(lease->name), kube_lease_annotation(lease, LEASE_KIND_NOTE),
                         kube_lease_annotation(lease, LEASE_ELECTION_NOTE), &id)) {
        return;
    }
    /* No two Leases are one election. */
    (void)lease_name_write(str_from(id.kind, id.kind_bytes), str_from(id.election, id.election_bytes), name);
    if (strcmp(name, lease->name) != 0) {
        abort();
    }
    if (s->begun && strcmp(s->view.lease.name, lease->name) != 0) {
        view_fini(&s->view);
        s->begun = false;
    }
    bool first = !s->begun;
    if (first) {
        view_init(&s->view, &id, "ns", lease->name);
        s->begun = true;
    }
    view_see(&s->view, lease, first, s->now, s->wall);
    for (enum election_op op = OP_CAMPAIGN; op < OP_LIST; op++) {
        ask(s, op);
    }
    if (s->view.led && !view_is_led(&s->view, s->now)) {
        view_end(&s->view, s->now, s->wall);
    }
    s->now = mono_add_ms(s->now, 1500);
    s->wall.us += 1500000;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct scene s = {.now = {1000000}, .wall = {1790000000000000}};
    struct str rest = str_from((const char *)data, size);
    arena_init(&s.arena, NULL, 0);
    for (unsigned i = 0; i < LINES_MAX && rest.n > 0; i++) {
        const char *end = memchr(rest.p, '\n', rest.n);
        struct str line = str_from(rest.p, end != NULL ? (size_t)(end - rest.p) : rest.n);
        struct error error = ERROR_NONE;
        struct kube_lease lease;
        json_t *doc = NULL;
        if (kube_json_parse(line, &doc, &error) == EA_OK) {
            if (kube_lease_decode(&lease, doc, &error) == EA_OK) {
                see(&s, &lease);
                kube_lease_fini(&lease);
            }
            json_decref(doc);
        }
        size_t taken = line.n + (end != NULL);
        rest = str_from(rest.p + taken, rest.n - taken);
    }
    if (s.begun) {
        view_see_gone(&s.view, NULL, s.now, s.wall);
        view_fini(&s.view);
    }
    return 0;
}
