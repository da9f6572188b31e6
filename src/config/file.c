#include "config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_BYTES ((size_t)16 * 1024)

void config_file_show(const char *path, char out[CONFIG_SHOWN_PATH_BYTES])
{
    /* The end of a long path says more than its beginning. */
    struct str s = str_of(path);
    size_t room = CONFIG_SHOWN_PATH_BYTES - 4;
    if (s.n > room) {
        memset(out, '.', 3);
        str_escape(str_from(s.p + s.n - room, room), out + 3, CONFIG_SHOWN_PATH_BYTES - 3);
    } else {
        str_escape(s, out, CONFIG_SHOWN_PATH_BYTES);
    }
}

enum err config_file_read(const char *path, struct buf *out, struct error *error)
{
    char shown[CONFIG_SHOWN_PATH_BYTES];
    config_file_show(path, shown);
    enum err e = EA_OK;
    size_t start = out->n;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return error_set_errno(error, errno == ENOENT ? EA_NOT_FOUND : EA_CONFIG, errno, "cannot read %s",
                               shown);
    }
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        e = error_set_errno(error, EA_CONFIG, EISDIR, "cannot read %s", shown);
        goto out;
    }
    for (;;) {
        ssize_t n = read(fd, buf_reserve(out, CHUNK_BYTES), CHUNK_BYTES);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            e = error_set_errno(error, EA_CONFIG, errno, "cannot read %s", shown);
            goto out;
        }
        if (n == 0) {
            break;
        }
        out->n += (size_t)n;
        if (out->n - start > CONFIG_FILE_BYTES_MAX) {
            e = error_set(error, EA_CONFIG, "%s is larger than %zu bytes", shown, CONFIG_FILE_BYTES_MAX);
            goto out;
        }
    }
out:
    close(fd);
    return e;
}
