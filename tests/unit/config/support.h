/*
 * What the tests of the configuration share: a load from literals, with the warnings kept.
 */
#ifndef EA_TESTS_CONFIG_SUPPORT_H
#define EA_TESTS_CONFIG_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above. */
#include <cmocka.h>

#include "config/config.h"

/* The result of one load. */
struct loaded {
    struct config *config;
    enum config_action action;
    enum err e;
    struct error error;
    struct buf warnings; /* a line each */
};

struct load_options {
    const char *const *env;   /* NULL-terminated; NULL: none */
    const char *const *flags; /* without argv[0], NULL-terminated; NULL: none */
    const char *dotenv;       /* text of the .env file; NULL: no file */
    const char *yaml;         /* text of the YAML file; NULL: no file */
    size_t yaml_bytes;        /* 0: strlen(yaml) */
    const char *const *drivers;
};

/* Files get names of their own (file descriptors in memory), so that tests run side by side. */
void load(struct loaded *out, const struct load_options *options);
void loaded_fini(struct loaded *loaded);

/* A file in memory; its path is written to out. Returns the descriptor, to be closed. */
#define MEMORY_PATH_BYTES 32
int memory_file(const void *bytes, size_t n, char out[MEMORY_PATH_BYTES]);

bool warned(const struct loaded *loaded, const char *words);

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Loads, and expects success or exactly this error. */
#define expect_loaded(loaded, ...)                               \
    do {                                                         \
        load(loaded, &(const struct load_options){__VA_ARGS__}); \
        if ((loaded)->e != EA_OK) {                              \
            fail_msg("%s", (loaded)->error.text);                \
        }                                                        \
    } while (0)

#define expect_error(words, ...)                                     \
    do {                                                             \
        struct loaded expected_;                                     \
        load(&expected_, &(const struct load_options){__VA_ARGS__}); \
        assert_string_equal(expected_.error.text, words);            \
        assert_int_equal(expected_.e, EA_CONFIG);                    \
        assert_int_equal(expected_.error.code, EA_CONFIG);           \
        assert_null(expected_.config);                               \
        loaded_fini(&expected_);                                     \
    } while (0)

#endif
