#include "support.h"

#include <string.h>
#include <unistd.h>

#include "config/file.h"

static void a_file_is_read_whole(void **state)
{
    char path[MEMORY_PATH_BYTES];
    int fd = memory_file("a\0b", 3, path);
    struct buf out = BUF_EMPTY;
    assert_int_equal(config_file_read(path, &out, NULL), EA_OK);
    assert_int_equal(out.n, 3);
    assert_memory_equal(out.p, "a\0b", 3);
    buf_fini(&out);
    close(fd);
}

static void a_pipe_is_read_to_its_end(void **state)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "piped", 5), 5);
    close(ends[1]);
    struct buf path = BUF_EMPTY;
    struct buf out = BUF_EMPTY;
    buf_format(&path, "/proc/self/fd/%d", ends[0]);
    buf_add(&path, "", 1);
    assert_int_equal(config_file_read(path.p, &out, NULL), EA_OK);
    assert_int_equal(out.n, 5);
    buf_fini(&out);
    buf_fini(&path);
    close(ends[0]);
}

static void a_missing_file_is_told_from_others(void **state)
{
    struct buf out = BUF_EMPTY;
    struct error error = ERROR_NONE;
    assert_int_equal(config_file_read("/does/not\n/exist", &out, &error), EA_NOT_FOUND);
    assert_string_equal(error.text, "cannot read /does/not\\n/exist: No such file or directory");
    assert_int_equal(config_file_read("/", &out, &error), EA_CONFIG);
    assert_string_equal(error.text, "cannot read /: Is a directory");
    buf_fini(&out);
}

static void a_file_over_the_bound_is_refused(void **state)
{
    struct buf text = BUF_EMPTY;
    memset(buf_reserve(&text, CONFIG_FILE_BYTES_MAX + 1), '#', CONFIG_FILE_BYTES_MAX + 1);
    char path[MEMORY_PATH_BYTES];
    struct buf out = BUF_EMPTY;
    struct error error = ERROR_NONE;
    int fd = memory_file(text.p, CONFIG_FILE_BYTES_MAX, path);
    assert_int_equal(config_file_read(path, &out, &error), EA_OK);
    close(fd);
    buf_clear(&out);
    fd = memory_file(text.p, CONFIG_FILE_BYTES_MAX + 1, path);
    assert_int_equal(config_file_read(path, &out, &error), EA_CONFIG);
    assert_non_null(strstr(error.text, "is larger than 1048576 bytes"));
    close(fd);
    buf_fini(&out);
    buf_fini(&text);
}

static void long_paths_keep_their_end(void **state)
{
    char path[300];
    memset(path, 'x', sizeof path);
    memcpy(path + sizeof path - 8, "/a.yaml", 8);
    char shown[CONFIG_SHOWN_PATH_BYTES];
    config_file_show(path, shown);
    assert_true(strlen(shown) < CONFIG_SHOWN_PATH_BYTES);
    assert_memory_equal(shown, "...xxx", 6);
    assert_string_equal(shown + strlen(shown) - 7, "/a.yaml");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read_whole),
        cmocka_unit_test(a_pipe_is_read_to_its_end),
        cmocka_unit_test(a_missing_file_is_told_from_others),
        cmocka_unit_test(a_file_over_the_bound_is_refused),
        cmocka_unit_test(long_paths_keep_their_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
