/* The file under the embedded store: whole transactions or none, and room when it is needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "embedded_rig.h"

struct bench {
    struct rig rig; /* its directory */
    struct database *db;
};

static int set_up(void **state)
{
    struct bench *b = mem_zalloc(sizeof *b);
    rig_init(&b->rig);
    assert_int_equal(database_new(&b->db, b->rig.file, 0, false, NULL), EA_OK);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    database_free(b->db);
    rig_fini(&b->rig);
    mem_free(b);
    return 0;
}

struct content {
    size_t first;
    size_t n;
    size_t value_bytes;
    bool deletes;
    int times; /* how often it was filled in */
};

static enum err fill(struct database_txn *txn, void *arg)
{
    struct content *content = arg;
    enum err err = EA_OK;
    char *value = mem_zalloc(content->value_bytes + 1);
    content->times++;
    for (size_t i = content->first; i < content->first + content->n && err == EA_OK; i++) {
        char key[32];
        snprintf(key, sizeof key, "k%06zu", i);
        err = content->deletes ? database_delete(txn, str_of(key))
                               : database_put(txn, str_of(key), (struct str){value, content->value_bytes});
    }
    mem_free(value);
    return err;
}

static enum err count_record(void *arg, struct str key, struct str value, struct error *error)
{
    size_t *n = arg;
    (*n)++;
    return key.n == 7 && value.n > 0 ? EA_OK : error_set(error, EA_CORRUPT, "not what was written");
}

static size_t count_all(struct database *db)
{
    size_t n = 0;
    assert_int_equal(database_each(db, count_record, &n, NULL), EA_OK);
    return n;
}

static void what_is_written_is_there_and_what_is_deleted_is_not(void **state)
{
    struct bench *b = *state;
    struct content put = {.n = 100, .value_bytes = 50};
    struct content gone = {.first = 50, .n = 100, .deletes = true}; /* half of them were never there */
    assert_int_equal(database_write(b->db, fill, &put, NULL), EA_OK);
    assert_int_equal(count_all(b->db), 100);
    assert_int_equal(database_write(b->db, fill, &gone, NULL), EA_OK);
    assert_int_equal(count_all(b->db), 50);
    assert_int_equal(database_sync(b->db, NULL), EA_OK);
}

static void the_file_grows_beyond_its_first_size(void **state)
{
    struct bench *b = *state;
    struct content large = {.n = 40, .value_bytes = (size_t)2 * 1024 * 1024};
    assert_int_equal(database_write(b->db, fill, &large, NULL), EA_OK);
    assert_true(large.times > 1); /* it had to begin again */
    assert_int_equal(count_all(b->db), 40);
}

static void a_write_that_fails_leaves_nothing_and_the_next_one_works(void **state)
{
    struct bench *b = *state;
    struct content small = {.n = 10, .value_bytes = 50};
    struct content large = {.first = 10, .n = 1000, .value_bytes = 2000};
    struct rlimit limit;
    struct error error = ERROR_NONE;
    assert_int_equal(database_write(b->db, fill, &small, NULL), EA_OK);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = 100000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(database_write(b->db, fill, &large, &error), EA_IO);
    assert_non_null(strstr(error.text, b->rig.file));
    limit.rlim_cur = before;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    small.first = 20;
    assert_int_equal(database_write(b->db, fill, &small, NULL), EA_OK);
    assert_int_equal(count_all(b->db), 20);
    assert_int_equal(database_write(b->db, fill, &large, NULL), EA_OK);
    assert_int_equal(count_all(b->db), 1010);
}

static void a_file_that_was_taken_away_is_not_made_anew(void **state)
{
    struct bench *b = *state;
    struct content large = {.n = 1000, .value_bytes = 2000};
    struct rlimit limit;
    struct error error = ERROR_NONE;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = 100000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(database_write(b->db, fill, &large, NULL), EA_IO); /* so it has to be opened again */
    limit.rlim_cur = before;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(unlink(b->rig.file), 0);
    assert_int_equal(database_write(b->db, fill, &large, &error), EA_IO);
    assert_non_null(strstr(error.text, "No such file"));
    assert_int_equal(access(b->rig.file, F_OK), -1);
}

#define HOLDS(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOLDS(what_is_written_is_there_and_what_is_deleted_is_not),
        HOLDS(the_file_grows_beyond_its_first_size),
        HOLDS(a_write_that_fails_leaves_nothing_and_the_next_one_works),
        HOLDS(a_file_that_was_taken_away_is_not_made_anew),
    };
    return cmocka_run_group_tests_name("embedded database", tests, NULL, NULL);
}
