/* Damaged files: named, left as they are, and never the end of the process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "embedded_rig.h"

#define LEASES ((size_t)40)

/* Reading a file takes a process; so not every byte can be tried in every run. `DAMAGE_ALL=1` tries all. */
#define SAMPLES_DEFAULT 250

struct damaged {
    struct rig rig;
    char *bytes; /* of a whole file, closed in order */
    size_t n;
    char original[64 * LEASES]; /* what is in it */
};

static void describe(void *arg, const struct book_record *record)
{
    char *text = arg;
    size_t n = strlen(text);
    snprintf(text + n, 64 * LEASES - n, "%.*s/%.*s=%.*s %llu %d\n", STR_ARG(record->kind),
             STR_ARG(record->election), STR_ARG(record->leader), (unsigned long long)record->token,
             record->term_ms);
}

/* Starts on the file; EA_OK with what was in it, or why not. */
static enum err start(struct rig *rig, char *text, struct error *error)
{
    struct startup startup;
    struct startup_options options = {
        .directory = rig->directory, .clock = &rig->clock.clock, .boot_id_file = rig->boot_id_file};
    *error = ERROR_NONE;
    text[0] = '\0';
    enum err err = startup_run(&startup, &options, error);
    if (err == EA_OK) {
        err = startup_restore(&startup, describe, text, error);
        startup_fini(&startup);
    }
    return err;
}

static int set_up(void **state)
{
    struct damaged *d = mem_zalloc(sizeof *d);
    struct error error;
    rig_init(&d->rig);
    assert_int_equal(rig_open(&d->rig, NULL), EA_OK);
    for (size_t i = 0; i < LEASES; i++) {
        char name[32];
        snprintf(name, sizeof name, "election %zu", i);
        assert_true(rig_op(&d->rig, OP_CAMPAIGN, name, "somebody")->elected);
    }
    rig_close(&d->rig);
    d->bytes = rig_read(d->rig.file, &d->n);
    assert_int_equal(start(&d->rig, d->original, &error), EA_OK);
    assert_true(strlen(d->original) > 20 * LEASES);
    *state = d;
    return 0;
}

static int tear_down(void **state)
{
    struct damaged *d = *state;
    rig_fini(&d->rig);
    mem_free(d->bytes);
    mem_free(d);
    return 0;
}

/* The file with these bytes is whole in effect, or refused and untouched. True if it was refused. */
static bool try_bytes(struct damaged *d, const char *bytes, size_t n)
{
    char text[64 * LEASES];
    struct error error;
    rig_write(d->rig.file, bytes, n);
    enum err err = start(&d->rig, text, &error);
    if (err == EA_OK) {
        assert_string_equal(text, d->original);
        return false;
    }
    assert_int_equal(err, EA_CORRUPT);
    assert_non_null(strstr(error.text, d->rig.file));
    assert_non_null(strstr(error.text, "move it away"));
    size_t left;
    char *after = rig_read(d->rig.file, &left);
    assert_true(left == n && memcmp(after, bytes, n) == 0);
    mem_free(after);
    return true;
}

static void a_file_with_a_changed_byte_opens_whole_or_not_at_all(void **state)
{
    struct damaged *d = *state;
    const char *all = getenv("DAMAGE_ALL");
    size_t tries = all != NULL ? d->n : SAMPLES_DEFAULT;
    size_t refused = 0;
    struct rng rng;
    rng_seed(&rng, 11);
    for (size_t i = 0; i < tries; i++) {
        /* The first bytes of a page say most; half of the samples go there. */
        size_t at = all != NULL ? i : rng_below(&rng, d->n);
        if (all == NULL && i % 2 == 0) {
            at = at / 4096 * 4096 + rng_below(&rng, 200);
        }
        char was = d->bytes[at];
        d->bytes[at] = (char)(was ^ (all != NULL || i % 3 == 0 ? 0xff : 1 << rng_below(&rng, 8)));
        refused += try_bytes(d, d->bytes, d->n);
        d->bytes[at] = was;
    }
    assert_true(refused > tries / 50); /* the damage was felt */
    assert_false(try_bytes(d, d->bytes, d->n));
}

static void a_file_cut_short_is_refused(void **state)
{
    struct damaged *d = *state;
    struct rng rng;
    rng_seed(&rng, 12);
    assert_true(try_bytes(d, d->bytes, 0));
    assert_true(try_bytes(d, d->bytes, 1));
    assert_true(try_bytes(d, d->bytes, 4096));
    for (int i = 0; i < 20; i++) {
        (void)try_bytes(d, d->bytes, rng_below(&rng, d->n));
    }
}

static void a_file_of_noise_is_refused(void **state)
{
    struct damaged *d = *state;
    struct rng rng;
    rng_seed(&rng, 13);
    char *noise = mem_dup(d->bytes, d->n);
    for (int i = 0; i < 20; i++) {
        /* Whole noise first, then a whole page of it in a file that is otherwise sound. */
        size_t from = i == 0 ? 0 : rng_below(&rng, d->n / 4096) * 4096;
        size_t to = i == 0 ? d->n : from + 4096;
        for (size_t at = from; at < to; at++) {
            noise[at] = (char)rng_next(&rng);
        }
        bool refused = try_bytes(d, noise, d->n);
        assert_true(refused || i > 0);
        memcpy(noise, d->bytes, d->n);
    }
    assert_true(try_bytes(d, "these are the leases of last summer\n", 36));
    mem_free(noise);
}

static void what_cannot_be_read_is_not_taken_for_absent(void **state)
{
    struct damaged *d = *state;
    char text[64 * LEASES];
    struct error error;
    (void)unlink(d->rig.file);
    assert_int_equal(mkdir(d->rig.file, 0700), 0);
    assert_int_equal(start(&d->rig, text, &error), EA_CONFIG);
    assert_non_null(strstr(error.text, "is not a file"));
    assert_int_equal(rmdir(d->rig.file), 0);
}

static void what_a_killed_start_left_behind_does_not_matter(void **state)
{
    struct damaged *d = *state;
    char left[128];
    char text[64 * LEASES];
    struct error error;
    snprintf(left, sizeof left, "%s.new", d->rig.file);
    rig_write(left, "half a file", 11);
    assert_int_equal(start(&d->rig, text, &error), EA_OK);
    assert_string_equal(text, d->original);
    assert_int_equal(access(left, F_OK), -1);
}

#define HOLDS(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        HOLDS(a_file_with_a_changed_byte_opens_whole_or_not_at_all),
        HOLDS(a_file_cut_short_is_refused),
        HOLDS(a_file_of_noise_is_refused),
        HOLDS(what_cannot_be_read_is_not_taken_for_absent),
        HOLDS(what_a_killed_start_left_behind_does_not_matter),
    };
    return cmocka_run_group_tests_name("embedded damage", tests, NULL, NULL);
}
