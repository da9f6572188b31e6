/* The lists in the manual pages, in mdoc(7). The pages' own words stand in docs/man. */
#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "config/row.h"
#include "config/show.h"
#include "config/value.h"
#include "gen_docs.h"

#define LINE_BYTES 78

static void add(struct buf *out, const char *text)
{
    buf_add_str(out, str_of(text));
}

/* A word of running text: nothing in it may be taken for markup. `quoted`: a backtick opened and is still to close. */
static void add_word(struct buf *out, struct str word, bool first_of_line, bool *quoted)
{
    if (first_of_line && (word.p[0] == '.' || word.p[0] == '\'')) {
        add(out, "\\&");
    }
    for (size_t i = 0; i < word.n; i++) {
        if (word.p[i] == '\\') {
            add(out, "\\e");
        } else if (word.p[i] == '-') {
            add(out, "\\-");
        } else if (word.p[i] == '`') {
            add(out, *quoted ? "\\(cq" : "\\(oq");
            *quoted = !*quoted;
        } else {
            buf_add(out, word.p + i, 1);
        }
    }
}

/* Text in lines, each sentence on lines of its own, as mdoc wants it. */
static void add_text(struct buf *out, struct str text)
{
    size_t used = 0;
    bool quoted = false;
    for (struct str word; text.n > 0 && str_split(&text, ' ', &word);) {
        if (word.n == 0) {
            continue;
        }
        if (used > 0) {
            bool breaks = used + 1 + word.n > LINE_BYTES;
            add(out, breaks ? "\n" : " ");
            used = breaks ? 0 : used + 1;
        }
        add_word(out, word, used == 0, &quoted);
        used += word.n;
        if (strchr(".!?", word.p[word.n - 1]) != NULL) {
            add(out, "\n");
            used = 0;
        }
    }
    if (used > 0) {
        add(out, "\n");
    }
}

/* A name in a macro's line, where only its dashes matter. */
static void add_name(struct buf *out, const char *name)
{
    bool quoted = false;
    add_word(out, str_of(name), false, &quoted);
}

void gen_docs_man_elector(struct buf *out)
{
    static const struct {
        const char *flag;
        const char *fallback;
        const char *argument;
        const char *help;
    } flags[] = {
#define O(type, member, flag, fallback, argument, help) {flag, fallback, argument, help},
#include "elector/options.def"
#undef O
    };
    add(out, ".Bl -tag -width Ds\n");
    for (size_t i = 0; i < ARRAY_LENGTH(flags); i++) {
        add(out, ".It Fl \\-");
        add_name(out, flags[i].flag);
        buf_format(out, " Ns = Ns Ar %s , Ev ELECTOR_", flags[i].argument);
        for (const char *p = flags[i].flag; *p != '\0'; p++) {
            buf_add(out, (char[]){*p == '-' ? '_' : (char)toupper((unsigned char)*p)}, 1);
        }
        struct buf words = BUF_EMPTY;
        buf_format(&words, "%s.", flags[i].help);
        if (flags[i].fallback != NULL) {
            buf_format(&words, " The default is %s.", flags[i].fallback);
        }
        add(out, "\n");
        add_text(out, buf_str(&words));
        buf_fini(&words);
    }
    add(out, ".El\n");
}

static void setting(struct buf *out, const struct config_row *row)
{
    struct buf words = BUF_EMPTY;
    struct buf fallback = BUF_EMPTY;
    buf_format(out, ".It Ic %s , Ev %s\n", row->key, row->variable);
    add_text(out, str_of(row->help));
    config_show_default(row, &fallback);
    add(&words, "Takes ");
    config_value_expected(row, &words);
    if (fallback.n > 0) {
        buf_format(&words, "; default: %.*s", STR_ARG(buf_str(&fallback)));
    }
    add(&words, (row->flags & CONFIG_RELOADABLE) != 0 ? "; on reload." : ".");
    add_text(out, buf_str(&words));
    buf_fini(&words);
    buf_fini(&fallback);
}

void gen_docs_man_settings(struct buf *out)
{
    const struct config_group *group = NULL;
    for (size_t i = 0; i < CONFIG_SETTING_COUNT; i++) {
        if (config_group_of(&config_rows[i]) != group) {
            add(out, group != NULL ? ".El\n" : "");
            group = config_group_of(&config_rows[i]);
            buf_format(out, ".Ss %s\n", group->title);
            add_text(out, str_of(group->text));
            add(out, ".Bl -tag -width Ds\n");
        }
        setting(out, &config_rows[i]);
    }
    add(out, ".El\n");
}
