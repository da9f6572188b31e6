#include "store/embedded/writer.h"

#include <assert.h>
#include <string.h>

#include <uv.h>

#include "base/hlc.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/embedded/syncer.h"

/* What a process-mode file may lack after a power cut, when nothing else syncs it. */
#define SYNC_AFTER_NS UINT64_C(2000000000)

/* How often an idle writer looks whether the ceiling is still far enough ahead. */
#define LOOK_AFTER_NS UINT64_C(60000000000)

/* A batch that grew beyond this gives its memory back. */
#define BATCH_KEEP_BYTES ((size_t)1024 * 1024)

/* --- batches --- */

enum change_kind { CHANGE_DROP, CHANGE_LONGER, CHANGE_BEGIN };

struct change_head {
    uint16_t key_bytes;
    uint16_t value_bytes;
    uint8_t kind;
    uint8_t unused;
};

struct change {
    enum change_kind kind;
    struct str key;
    struct str value;
};

void batch_init(struct batch *batch, struct loop *loop,
                void (*deliver)(struct loop *loop, struct loop_message *message))
{
    *batch = (struct batch){.loop = loop};
    batch->message.deliver = deliver;
    batch->waiting_end = &batch->waiting;
}

void batch_fini(struct batch *batch)
{
    buf_fini(&batch->changes);
}

void batch_clear(struct batch *batch)
{
    assert(batch->waiting == NULL);
    if (batch->changes.cap > BATCH_KEEP_BYTES) {
        buf_fini(&batch->changes);
        batch->changes = BUF_EMPTY;
    }
    buf_clear(&batch->changes);
    batch->n_changes = 0;
    batch->max_token = 0;
    batch->max_term_ms = 0;
    batch->outcome = ERROR_NONE;
}

static void batch_add(struct batch *batch, enum change_kind kind, struct str key, struct str value)
{
    struct change_head head = {(uint16_t)key.n, (uint16_t)value.n, (uint8_t)kind, 0};
    buf_add(&batch->changes, &head, sizeof head);
    buf_add_str(&batch->changes, key);
    buf_add_str(&batch->changes, value);
    batch->n_changes++;
}

void batch_keep(struct batch *batch, const struct book_record *record, bool begins)
{
    char key_bytes[RECORD_KEY_BYTES_MAX];
    char value_bytes[RECORD_VALUE_BYTES_MAX];
    struct str key = {key_bytes, record_key(record->kind, record->election, key_bytes)};
    struct str value = {value_bytes, record_value(record, key, value_bytes)};
    batch_add(batch, begins ? CHANGE_BEGIN : CHANGE_LONGER, key, value);
    batch->max_token = record->token > batch->max_token ? record->token : batch->max_token;
    batch->max_term_ms = record->term_ms > batch->max_term_ms ? record->term_ms : batch->max_term_ms;
}

void batch_drop(struct batch *batch, struct str kind, struct str election)
{
    char key[RECORD_KEY_BYTES_MAX];
    batch_add(batch, CHANGE_DROP, (struct str){key, record_key(kind, election, key)}, (struct str){NULL, 0});
}

void batch_prepend(struct batch *batch, struct batch *earlier)
{
    buf_add_str(&earlier->changes, buf_str(&batch->changes));
    struct buf joined = earlier->changes;
    earlier->changes = batch->changes;
    batch->changes = joined;
    batch->n_changes += earlier->n_changes;
    batch->max_token = earlier->max_token > batch->max_token ? earlier->max_token : batch->max_token;
    batch->max_term_ms =
        earlier->max_term_ms > batch->max_term_ms ? earlier->max_term_ms : batch->max_term_ms;
    batch_clear(earlier);
}

static struct change change_at(const struct batch *batch, size_t *at)
{
    struct change_head head;
    assert(batch->changes.n - *at >= sizeof head);
    memcpy(&head, batch->changes.p + *at, sizeof head);
    const char *p = batch->changes.p + *at + sizeof head;
    *at += sizeof head + head.key_bytes + head.value_bytes;
    assert(*at <= batch->changes.n);
    return (struct change){
        (enum change_kind)head.kind, {p, head.key_bytes}, {p + head.key_bytes, head.value_bytes}};
}

void batch_each_begun(const struct batch *batch, void (*visit)(void *arg, const struct book_record *record),
                      void *arg)
{
    for (size_t at = 0; at < batch->changes.n;) {
        struct change change = change_at(batch, &at);
        struct book_record record;
        if (change.kind == CHANGE_BEGIN) {
            enum err err = record_read(change.key, change.value, &record, NULL);
            assert(err == EA_OK); /* it was written here */
            (void)err;
            visit(arg, &record);
        }
    }
}

/* --- the thread --- */

struct writer {
    struct database *db;
    const struct clock *clock;
    struct database_header header; /* as it stands on the disk */
    uint64_t ceiling;              /* as it stands in the file; above the header's: on its way to the disk */
    uint64_t ceiling_ask;          /* the syncer's number for it */
    struct syncer *syncer;         /* NULL in power mode */
    char boot_id[BOOT_ID_BYTES];
    bool power;
    bool quarantined; /* the past is not trusted yet, and the header must not say that it is */
    bool dirty;       /* something was written since the last sync */
    uint64_t max_token;
    uv_thread_t thread;
    uv_mutex_t lock; /* guards what follows; held for a few instructions, once a turn of a lane */
    uv_cond_t wake;
    struct batch *first;
    struct batch **end;
    bool settling;
    bool stopping;
};

/* What one transaction writes. */
struct transaction {
    const struct batch *batches;
    struct database_header header;
    bool with_header;
};

static enum err fill(struct database_txn *txn, void *arg)
{
    const struct transaction *t = arg;
    enum err err = EA_OK;
    for (const struct batch *batch = t->batches; batch != NULL; batch = batch->next) {
        for (size_t at = 0; at < batch->changes.n && err == EA_OK;) {
            struct change change = change_at(batch, &at);
            err = change.kind == CHANGE_DROP ? database_delete(txn, change.key)
                                             : database_put(txn, change.key, change.value);
        }
    }
    if (t->with_header && err == EA_OK) {
        char value[HEADER_VALUE_BYTES];
        header_value(&t->header, value);
        err = database_put(txn, header_key, (struct str){value, sizeof value});
    }
    return err;
}

/*
 * Writes a transaction. One that changes the header is on the disk before this returns, in either mode: what
 * the header promises (S4: no token above the ceiling; after a power cut no lease longer than the longest)
 * has to hold even if the leases themselves are lost.
 */
static enum err commit(struct writer *writer, const struct transaction *t, struct error *error)
{
    enum err err = database_write(writer->db, fill, (void *)t, error);
    if (err != EA_OK) {
        return err;
    }
    writer->dirty = !writer->power;
    if (t->with_header && !writer->power) {
        err = database_sync(writer->db, error);
        writer->dirty = err != EA_OK;
    }
    if (err == EA_OK && t->with_header) {
        writer->header = t->header;
        writer->ceiling = t->header.ceiling;
    }
    return err;
}

/* What a transaction that changes the header begins with. */
static struct database_header present_header(const struct writer *writer)
{
    struct database_header header = writer->header;
    header.ceiling = writer->ceiling;
    return header;
}

static struct transaction transaction_of(struct writer *writer, const struct batch *batches)
{
    struct transaction t = {.batches = batches, .header = present_header(writer)};
    for (const struct batch *batch = batches; batch != NULL; batch = batch->next) {
        writer->max_token = batch->max_token > writer->max_token ? batch->max_token : writer->max_token;
        if (batch->max_term_ms > t.header.longest_ms) {
            t.header.longest_ms = batch->max_term_ms;
            t.with_header = true;
        }
    }
    if (writer->max_token > writer->header.ceiling) { /* S4 */
        uint64_t next = startup_ceiling(writer->max_token, clock_wall(writer->clock));
        t.header.ceiling = next > t.header.ceiling ? next : t.header.ceiling;
        t.with_header = true;
    }
    return t;
}

static void write_batches(struct writer *writer, struct batch *batches)
{
    struct transaction t = transaction_of(writer, batches);
    struct error outcome = ERROR_NONE;
    (void)commit(writer, &t, &outcome);
    while (batches != NULL) {
        struct batch *batch = batches;
        batches = batch->next; /* the lane owns it as soon as it is posted */
        batch->outcome = outcome;
        loop_post(batch->loop, &batch->message);
    }
}

/* Writes a higher ceiling. In process mode it counts when the syncer has been there. */
static void raise_ceiling(struct writer *writer, uint64_t ceiling)
{
    struct transaction t = {.header = present_header(writer), .with_header = true};
    struct error error = ERROR_NONE;
    t.header.ceiling = ceiling;
    enum err err = EA_OK;
    if (writer->syncer == NULL) {
        err = commit(writer, &t, &error);
    } else if ((err = database_write(writer->db, fill, &t, &error)) == EA_OK) {
        writer->ceiling = ceiling;
        writer->ceiling_ask = syncer_ask(writer->syncer);
        writer->dirty = false;
    }
    if (err != EA_OK) {
        log_warning("store", "the ceiling of tokens could not be raised ahead", LOG_TEXT("why", error.text));
    }
}

/*
 * Now and then: the disk catches up, and the ceiling is raised before somebody has to wait for it. Nothing here
 * waits for the disk in process mode, since answers wait for this thread.
 */
static void catch_up(struct writer *writer)
{
    uint64_t next = startup_ceiling(writer->max_token, clock_wall(writer->clock));
    if (writer->ceiling > writer->header.ceiling && syncer_done(writer->syncer) >= writer->ceiling_ask) {
        writer->header.ceiling = writer->ceiling;
    }
    if (next > writer->ceiling && next - writer->ceiling > CEILING_STEP_US / 2) {
        raise_ceiling(writer, next);
    } else if (writer->dirty) {
        (void)syncer_ask(writer->syncer);
        writer->dirty = false;
    }
}

/* What the file says while everything in it can be relied on. */
static struct database_header trusted_header(const struct writer *writer)
{
    struct database_header header = present_header(writer);
    memcpy(header.boot_id, writer->boot_id, BOOT_ID_BYTES);
    header.power = writer->power;
    return header;
}

static void settle(struct writer *writer)
{
    struct transaction t = {.header = trusted_header(writer), .with_header = true};
    struct error error = ERROR_NONE;
    writer->quarantined = false;
    if (commit(writer, &t, &error) != EA_OK) {
        log_warning("store", "the end of the quarantine is not recorded: a restart begins it anew",
                    LOG_TEXT("why", error.text));
    }
}

/* Waits for work; false when there is none and none will come. */
static bool take_work(struct writer *writer, struct batch **batches, bool *settling)
{
    uv_mutex_lock(&writer->lock);
    int timed_out = 0;
    while (writer->first == NULL && !writer->settling && !writer->stopping && timed_out == 0) {
        timed_out =
            uv_cond_timedwait(&writer->wake, &writer->lock, writer->dirty ? SYNC_AFTER_NS : LOOK_AFTER_NS);
    }
    *batches = writer->first;
    *settling = writer->settling;
    writer->first = NULL;
    writer->end = &writer->first;
    writer->settling = false;
    bool more = *batches != NULL || *settling || !writer->stopping;
    uv_mutex_unlock(&writer->lock);
    return more;
}

static void run(void *arg)
{
    struct writer *writer = arg;
    struct batch *batches;
    bool settling;
    uint64_t synced_ns = uv_hrtime();
    while (take_work(writer, &batches, &settling)) {
        if (settling) {
            settle(writer);
        }
        if (batches != NULL) {
            write_batches(writer, batches);
        }
        uint64_t now_ns = uv_hrtime();
        if (now_ns - synced_ns >= SYNC_AFTER_NS) {
            catch_up(writer);
            synced_ns = now_ns;
        }
    }
}

/*
 * Closed in order: the file says so, twice, since LMDB keeps the last two states of a file: so both are the
 * same, and damage to one meta page cannot bring an older one back.
 */
static void close_in_order(struct writer *writer)
{
    struct transaction t = {.header = writer->quarantined ? present_header(writer) : trusted_header(writer),
                            .with_header = true};
    struct error error = ERROR_NONE;
    t.header.clean = !writer->quarantined;
    enum err err = commit(writer, &t, &error);
    if (err == EA_OK) {
        err = commit(writer, &t, &error);
    }
    if (err != EA_OK) {
        log_warning("store", "not closed in order", LOG_TEXT("why", error.text));
    }
}

enum err writer_start(struct writer **out, struct startup *startup, struct error *error)
{
    struct writer *writer = mem_zalloc(sizeof *writer);
    writer->header = startup->header;
    writer->ceiling = startup->header.ceiling;
    writer->power = startup->sync_power;
    writer->quarantined = startup->quarantine_ms > 0;
    writer->end = &writer->first;
    memcpy(writer->boot_id, startup->boot_id, BOOT_ID_BYTES);
    int failed = uv_mutex_init(&writer->lock);
    if (failed != 0) {
        goto out;
    }
    failed = uv_cond_init(&writer->wake);
    if (failed != 0) {
        goto out_lock;
    }
    writer->db = startup->db;
    writer->clock = startup->clock;
    if (!writer->power) {
        enum err err = syncer_start(&writer->syncer, startup->path, error);
        if (err != EA_OK) {
            uv_cond_destroy(&writer->wake);
            uv_mutex_destroy(&writer->lock);
            mem_free(writer);
            return err;
        }
    }
    failed = uv_thread_create(&writer->thread, run, writer);
    if (failed != 0) {
        goto out_cond;
    }
    startup->db = NULL;
    *out = writer;
    return EA_OK;
out_cond:
    syncer_stop(writer->syncer);
    uv_cond_destroy(&writer->wake);
out_lock:
    uv_mutex_destroy(&writer->lock);
out:
    mem_free(writer);
    return error_set(error, EA_IO, "cannot start the writing thread: %s", uv_strerror(failed));
}

void writer_post(struct writer *writer, struct batch *batch)
{
    batch->next = NULL;
    uv_mutex_lock(&writer->lock);
    bool idle = writer->first == NULL;
    *writer->end = batch;
    writer->end = &batch->next;
    uv_mutex_unlock(&writer->lock);
    if (idle) {
        uv_cond_signal(&writer->wake);
    }
}

void writer_settle(struct writer *writer)
{
    uv_mutex_lock(&writer->lock);
    writer->settling = true;
    uv_mutex_unlock(&writer->lock);
    uv_cond_signal(&writer->wake);
}

void writer_stop(struct writer *writer)
{
    uv_mutex_lock(&writer->lock);
    writer->stopping = true;
    uv_mutex_unlock(&writer->lock);
    uv_cond_signal(&writer->wake);
    (void)uv_thread_join(&writer->thread);
    syncer_stop(writer->syncer);
    writer->syncer = NULL;
}

enum err writer_write(struct writer *writer, struct batch *batch, struct error *error)
{
    batch->next = NULL;
    struct transaction t = transaction_of(writer, batch);
    return commit(writer, &t, error);
}

void writer_free(struct writer *writer, bool complete)
{
    if (complete) {
        close_in_order(writer);
    }
    database_free(writer->db);
    uv_cond_destroy(&writer->wake);
    uv_mutex_destroy(&writer->lock);
    mem_free(writer);
}
