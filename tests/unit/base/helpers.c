#include "helpers.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int run_in_child(void (*f)(void *arg), void *arg, struct buf *words)
{
    int fds[2];
    if (pipe(fds) != 0) {
        abort();
    }
    pid_t child = fork();
    if (child < 0) {
        abort();
    }
    if (child == 0) {
        const struct rlimit no_core = {0, 0};
        const int caught[] = {SIGABRT, SIGSEGV, SIGFPE, SIGILL, SIGBUS};
        setrlimit(RLIMIT_CORE, &no_core);
        for (size_t i = 0; i < sizeof caught / sizeof caught[0]; i++) {
            signal(caught[i], SIG_DFL); /* cmocka and sanitizers catch them */
        }
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        close(fds[1]);
        f(arg);
        _exit(0);
    }
    close(fds[1]);
    ssize_t n;
    do {
        n = read(fds[0], buf_reserve(words, 4096), 4096);
        words->n += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    close(fds[0]);
    *buf_reserve(words, 1) = '\0';
    int status = -1;
    waitpid(child, &status, 0);
    return status;
}

bool died_by(int status, int number)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == number;
}

void fill_hostile(struct rng *rng, char *bytes, size_t n)
{
    static const char pieces[] = "\xC3\xA4\n\"\\a\xE2\x80\xAE";
    for (size_t i = 0; i < n; i++) {
        char any = (char)rng_next(rng);
        char piece = pieces[rng_below(rng, sizeof pieces - 1)];
        bytes[i] = rng_below(rng, 4) == 0 ? any : piece;
    }
}

static bool take(struct str *s, char c)
{
    if (s->n == 0 || s->p[0] != c) {
        return false;
    }
    s->p++;
    s->n--;
    return true;
}

/* Below U+10000 only: base escapes nothing above. */
static void add_utf8(struct buf *out, uint32_t code)
{
    char bytes[3];
    size_t n = 0;
    if (code < 0x80) {
        bytes[n++] = (char)code;
    } else if (code < 0x800) {
        bytes[n++] = (char)(0xC0 | code >> 6);
        bytes[n++] = (char)(0x80 | (code & 0x3F));
    } else {
        bytes[n++] = (char)(0xE0 | code >> 12);
        bytes[n++] = (char)(0x80 | (code >> 6 & 0x3F));
        bytes[n++] = (char)(0x80 | (code & 0x3F));
    }
    buf_add(out, bytes, n);
}

static bool take_escape(struct str *s, struct buf *out)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    if (s->n == 0) {
        return false;
    }
    char letter = s->p[0];
    s->p++;
    s->n--;
    if (letter == 'u') {
        char digits[5] = {0};
        char *end;
        if (s->n < 4) {
            return false;
        }
        memcpy(digits, s->p, 4);
        unsigned long code = strtoul(digits, &end, 16);
        s->p += 4;
        s->n -= 4;
        add_utf8(out, (uint32_t)code);
        return end == digits + 4;
    }
    const char *found = letter != '\0' ? strchr(letters, letter) : NULL;
    if (found == NULL) {
        return false;
    }
    buf_add(out, &meanings[found - letters], 1);
    return true;
}

bool json_take_string(struct str *s, struct buf *out)
{
    if (!take(s, '"')) {
        return false;
    }
    while (!take(s, '"')) {
        if (s->n == 0 || (unsigned char)s->p[0] < 0x20) {
            return false;
        }
        if (take(s, '\\')) {
            if (!take_escape(s, out)) {
                return false;
            }
        } else {
            buf_add(out, s->p, 1);
            s->p++;
            s->n--;
        }
    }
    return str_is_utf8(buf_str(out));
}

static bool take_value(struct str *s, struct buf *out)
{
    if (str_starts(*s, STR("true"))) {
        s->p += 4;
        s->n -= 4;
        return true;
    }
    if (s->n > 0 && s->p[0] == '"') {
        return json_take_string(s, out);
    }
    bool digit = false;
    take(s, '-');
    while (s->n > 0 && s->p[0] >= '0' && s->p[0] <= '9') {
        digit = true;
        s->p++;
        s->n--;
    }
    return digit;
}

bool json_is_flat_object(struct str s)
{
    struct buf scratch = BUF_EMPTY;
    bool valid = take(&s, '{');
    do {
        valid = valid && json_take_string(&s, &scratch) && take(&s, ':') && take_value(&s, &scratch);
        buf_clear(&scratch);
    } while (valid && take(&s, ','));
    buf_fini(&scratch);
    return valid && take(&s, '}') && take(&s, '\n') && s.n == 0;
}
