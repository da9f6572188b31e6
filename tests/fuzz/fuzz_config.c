/*
 * The configuration from hostile text. The first byte says what the rest is: a YAML file, a .env file, or
 * flags, a line each. What loads must print to YAML that loads to the same.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "config/config.h"

#define FLAGS_MAX  64
#define PATH_BYTES 48

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const drivers[] = {"embedded", "memory", NULL};

static void ignore_warning(void *arg, const char *text)
{
    assert(strlen(text) > 0);
}

/* A file in memory; `prefix` and its path go to out. */
static int make_file(const void *bytes, size_t n, const char *prefix, char out[PATH_BYTES])
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, bytes, n) != (ssize_t)n) {
        abort();
    }
    snprintf(out, PATH_BYTES, "%s/proc/self/fd/%d", prefix, fd);
    return fd;
}

static struct config *load(int argc, char **argv, const char *dotenv)
{
    const struct config_io io = {.argc = argc,
                                 .argv = argv,
                                 .dotenv = dotenv,
                                 .drivers = drivers,
                                 .processors = 2,
                                 .warn = ignore_warning};
    struct config *config;
    enum config_action action;
    struct error error = ERROR_NONE;
    enum err e = config_load(&config, &io, &action, &error);
    assert((e == EA_OK) == (error.text[0] == '\0'));
    assert(e == EA_OK || config == NULL);
    return config;
}

static struct config *load_yaml(const void *bytes, size_t n)
{
    char program[] = "fuzz";
    char flag[PATH_BYTES];
    int fd = make_file(bytes, n, "--config-file=", flag);
    char *argv[] = {program, flag, NULL};
    struct config *config = load(2, argv, NULL);
    close(fd);
    return config;
}

static struct config *load_dotenv(const void *bytes, size_t n)
{
    char program[] = "fuzz";
    char path[PATH_BYTES];
    int fd = make_file(bytes, n, "", path);
    char *argv[] = {program, NULL};
    struct config *config = load(1, argv, path);
    close(fd);
    return config;
}

/* Each line is an argument. */
static struct config *load_flags(const void *bytes, size_t n)
{
    char program[] = "fuzz";
    char *argv[FLAGS_MAX + 1] = {program};
    int argc = 1;
    char *text = mem_alloc(n + 1);
    memcpy(text, bytes, n);
    text[n] = '\0';
    char *rest = text;
    for (char *line; argc < FLAGS_MAX && (line = strsep(&rest, "\n")) != NULL;) {
        /* A file of the machine is no input. */
        if (strstr(line, "config") == NULL) {
            argv[argc++] = line;
        }
    }
    struct config *config = load(argc, argv, NULL);
    mem_free(text);
    return config;
}

static void refuse_difference(void *arg, const char *key, bool reloadable)
{
    fprintf(stderr, "%s differs\n", key);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct config *config = NULL;
    const void *rest = data + 1;
    switch (data[0] % 3) {
    case 0:
        config = load_yaml(rest, size - 1);
        break;
    case 1:
        /* A file of the machine is no input. */
        config = memmem(data, size, "CONFIG_FILE", 11) == NULL ? load_dotenv(rest, size - 1) : NULL;
        break;
    default:
        config = load_flags(rest, size - 1);
        break;
    }
    if (config != NULL) {
        struct buf yaml = BUF_EMPTY;
        config_print(config, &yaml);
        struct config *again = load_yaml(yaml.p, yaml.n);
        assert(again != NULL);
        config_diff(config, again, refuse_difference, NULL);
        config_free(again);
        config_free(config);
        buf_fini(&yaml);
    }
    return 0;
}
