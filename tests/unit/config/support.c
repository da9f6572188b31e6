#include "support.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ARGUMENTS_MAX 64

static void keep_warning(void *arg, const char *text)
{
    buf_format(arg, "%s\n", text);
}

int memory_file(const void *bytes, size_t n, char out[MEMORY_PATH_BYTES])
{
    int fd = memfd_create("config", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), (ssize_t)n);
    snprintf(out, MEMORY_PATH_BYTES, "/proc/self/fd/%d", fd);
    return fd;
}

void load(struct loaded *out, const struct load_options *options)
{
    char dotenv[MEMORY_PATH_BYTES] = "";
    char yaml[MEMORY_PATH_BYTES] = "";
    char program[] = "election-agent";
    char flag[] = "--config-file";
    char *argv[ARGUMENTS_MAX] = {program};
    int argc = 1;
    int dotenv_fd = -1;
    int yaml_fd = -1;
    if (options->dotenv != NULL) {
        dotenv_fd = memory_file(options->dotenv, strlen(options->dotenv), dotenv);
    }
    if (options->yaml != NULL) {
        size_t n = options->yaml_bytes > 0 ? options->yaml_bytes : strlen(options->yaml);
        yaml_fd = memory_file(options->yaml, n, yaml);
        argv[argc++] = flag;
        argv[argc++] = yaml;
    }
    for (const char *const *f = options->flags; f != NULL && *f != NULL; f++) {
        assert_true(argc < ARGUMENTS_MAX);
        argv[argc++] = (char *)*f;
    }
    *out = (struct loaded){.error = ERROR_NONE};
    const struct config_io io = {
        .env = (char **)options->env,
        .argc = argc,
        .argv = argv,
        .dotenv = options->dotenv != NULL ? dotenv : NULL,
        .drivers = options->drivers,
        .processors = 4,
        .warn = keep_warning,
        .arg = &out->warnings,
    };
    out->e = config_load(&out->config, &io, &out->action, &out->error);
    if (dotenv_fd >= 0) {
        close(dotenv_fd);
    }
    if (yaml_fd >= 0) {
        close(yaml_fd);
    }
}

void loaded_fini(struct loaded *loaded)
{
    config_free(loaded->config);
    buf_fini(&loaded->warnings);
}

bool warned(const struct loaded *loaded, const char *words)
{
    return loaded->warnings.n > 0 &&
           memmem(loaded->warnings.p, loaded->warnings.n, words, strlen(words)) != NULL;
}
