/*
 * Each side's bytes go  output ──(the stage, up to the capacity)──► the other's inbox ──(next turn)──►
 * on_data. The inbox stands for the kernel's buffers. States: see net/stream_ops.h.
 */
#include "net/memstream.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "net/loop_private.h"
#include "net/output.h"
#include "net/stream_ops.h"

struct pair;

struct side {
    struct stream stream;
    struct pair *pair;
    struct side *other; /* NULL once it is gone */
    struct output out;
    struct output inbox;
    struct loop_task flush;   /* in LOOP_STAGE_STREAM */
    struct loop_task deliver; /* at a turn's start */
    struct loop_task gone;    /* in LOOP_STAGE_FREE */
    struct loop_timer timer;
    struct sm sm;
    enum err why;
    bool paused;
    bool end_arrived; /* the other's FIN is behind the inbox's bytes */
    bool reset_arrived;
    bool ended; /* and was seen */
    bool above_high;
    bool flush_wanted;
};

struct pair {
    struct side sides[2];
    struct memstream_options options;
    unsigned living;
};

static struct side *side_of(const struct stream *stream)
{
    return CONTAINER_OF(stream, struct side, stream);
}

static unsigned state(const struct side *s)
{
    return sm_now(&s->sm);
}

/* --- the end --- */

static void run_gone(struct loop *loop, struct loop_task *task)
{
    struct side *s = CONTAINER_OF(task, struct side, gone);
    struct pair *pair = s->pair;

    if (s->flush.queued || s->deliver.queued) {
        loop_at_end(loop, LOOP_STAGE_FREE, task);
        return;
    }
    if (s->other != NULL) {
        s->other->other = NULL;
    }
    if (s->stream.handler != NULL) {
        s->stream.handler->on_closed(&s->stream, s->why);
    }
    if (--pair->living == 0) {
        mem_free(pair);
    }
}

static void die(struct side *s, enum err why, bool reset)
{
    struct loop *loop = s->stream.loop;

    if (state(s) == STREAM_DEAD) {
        return;
    }
    sm_move(&s->sm, STREAM_DEAD);
    s->why = why;
    output_clear(&s->out, loop);
    output_clear(&s->inbox, loop);
    loop_timer_stop(loop, &s->timer);
    if (reset && s->other != NULL && state(s->other) != STREAM_DEAD) {
        s->other->reset_arrived = true;
        loop_at_start(loop, &s->other->deliver);
    }
    loop_at_end(loop, LOOP_STAGE_FREE, &s->gone);
}

static void begin_close(struct side *s, enum err why)
{
    struct loop *loop = s->stream.loop;

    sm_move(&s->sm, STREAM_FLUSHING);
    s->why = why;
    loop_timer_start(loop, &s->timer, mono_add_ms(loop_now(loop), STREAM_FLUSH_STALL_MS));
    loop_at_end(loop, LOOP_STAGE_STREAM, &s->flush);
    loop_at_start(loop, &s->deliver); /* what waits, is thrown away from now on */
}

static void on_time_is_up(struct loop *loop, struct loop_timer *timer)
{
    struct side *s = CONTAINER_OF(timer, struct side, timer);

    if (state(s) == STREAM_LINGERING) {
        die(s, s->why, false);
    } else {
        die(s, EA_TIMEOUT, true);
    }
}

/* --- output --- */

/* Moves what the other's inbox takes. */
static void write_out(struct side *s)
{
    struct loop *loop = s->stream.loop;
    size_t capacity = s->pair->options.capacity;
    bool moved = false;

    if (s->out.bytes > 0 && (s->other == NULL || state(s->other) == STREAM_DEAD)) {
        die(s, EA_CLOSED, false);
        return;
    }
    while (s->out.bytes > 0 && (capacity == 0 || s->other->inbox.bytes < capacity)) {
        struct iovec piece;
        size_t n;

        (void)output_peek(&s->out, &piece, 1, &n);
        if (capacity != 0 && n > capacity - s->other->inbox.bytes) {
            n = capacity - s->other->inbox.bytes;
        }
        output_write(&s->other->inbox, loop, piece.iov_base, n);
        output_consume(&s->out, loop, n);
        moved = true;
    }
    if (moved) {
        loop_at_start(loop, &s->other->deliver);
        if (state(s) == STREAM_FLUSHING) {
            loop_timer_start(loop, &s->timer, mono_add_ms(loop_now(loop), STREAM_FLUSH_STALL_MS));
        }
    }
}

static void flushed(struct side *s)
{
    struct loop *loop = s->stream.loop;

    if (s->other != NULL && state(s->other) != STREAM_DEAD) {
        s->other->end_arrived = true;
        loop_at_start(loop, &s->other->deliver);
    }
    if (s->ended || s->other == NULL) {
        die(s, s->why, false);
        return;
    }
    sm_move(&s->sm, STREAM_LINGERING);
    loop_timer_start(loop, &s->timer, mono_add_ms(loop_now(loop), STREAM_LINGER_MS));
}

static void run_flush(struct loop *loop, struct loop_task *task)
{
    struct side *s = CONTAINER_OF(task, struct side, flush);

    if (state(s) == STREAM_OPEN && s->flush_wanted) {
        s->flush_wanted = false;
        s->stream.handler->on_flush(&s->stream);
    }
    if (state(s) == STREAM_OPEN || state(s) == STREAM_FLUSHING) {
        write_out(s);
    }
    if (s->out.bytes == 0) {
        output_clear(&s->out, loop); /* what was reserved and not used */
    }
    if (state(s) == STREAM_OPEN && s->above_high && s->out.bytes <= STREAM_LOW_BYTES) {
        s->above_high = false;
        if (s->stream.handler->on_drain != NULL) {
            s->stream.handler->on_drain(&s->stream);
        }
    }
    if (state(s) == STREAM_FLUSHING && s->out.bytes == 0) {
        flushed(s);
    }
}

static uint8_t *mem_reserve(struct stream *stream, size_t min, size_t *room)
{
    struct side *s = side_of(stream);

    if (state(s) != STREAM_NEW && state(s) != STREAM_OPEN) {
        *room = LOOP_CHUNK_BYTES;
        return loop_scratch(stream->loop);
    }
    loop_at_end(stream->loop, LOOP_STAGE_STREAM, &s->flush);
    return output_reserve(&s->out, stream->loop, min, room);
}

static void mem_commit(struct stream *stream, size_t n)
{
    struct side *s = side_of(stream);

    if (state(s) == STREAM_NEW || state(s) == STREAM_OPEN) {
        output_commit(&s->out, n);
        s->above_high = s->above_high || s->out.bytes > STREAM_HIGH_BYTES;
    }
}

static size_t mem_backlog(const struct stream *stream)
{
    return side_of(stream)->out.bytes;
}

static void mem_flush_later(struct stream *stream)
{
    struct side *s = side_of(stream);

    if (state(s) == STREAM_OPEN && stream->handler->on_flush != NULL) {
        s->flush_wanted = true;
        loop_at_end(stream->loop, LOOP_STAGE_STREAM, &s->flush);
    }
}

static void mem_expect_drain(struct stream *stream)
{
    struct side *s = side_of(stream);

    s->above_high = true;
    loop_at_end(stream->loop, LOOP_STAGE_STREAM, &s->flush);
}

/* --- input --- */

static void peer_ended(struct side *s)
{
    s->ended = true;
    if (state(s) == STREAM_LINGERING) {
        die(s, s->why, false);
    } else if (state(s) == STREAM_OPEN && s->stream.handler->on_end != NULL) {
        s->stream.handler->on_end(&s->stream);
    } else if (state(s) == STREAM_OPEN) {
        begin_close(s, EA_CLOSED);
    }
}

/* Hands out one piece. Out of the loop's buffer, as with a socket: the piece outlives what the handler does.
 */
static void deliver_piece(struct side *s)
{
    size_t fragment = s->pair->options.fragment;
    uint8_t *buffer = loop_read_buffer(s->stream.loop);
    struct iovec piece;
    size_t n;

    (void)output_peek(&s->inbox, &piece, 1, &n);
    if (fragment != 0 && n > fragment) {
        n = fragment;
    }
    memcpy(buffer, piece.iov_base, n);
    output_consume(&s->inbox, s->stream.loop, n);
    s->stream.handler->on_data(&s->stream, buffer, n);
}

static void run_deliver(struct loop *loop, struct loop_task *task)
{
    struct side *s = CONTAINER_OF(task, struct side, deliver);

    if (s->reset_arrived) {
        die(s, state(s) == STREAM_LINGERING ? s->why : EA_CLOSED, false);
    }
    while (state(s) == STREAM_OPEN && !s->paused && s->inbox.bytes > 0) {
        deliver_piece(s);
    }
    if (state(s) == STREAM_FLUSHING || state(s) == STREAM_LINGERING) {
        output_clear(&s->inbox, loop);
    }
    if (s->other != NULL && s->other->out.bytes > 0) {
        loop_at_end(loop, LOOP_STAGE_STREAM, &s->other->flush); /* there is room again */
    }
    if (s->end_arrived && !s->ended && s->inbox.bytes == 0 && state(s) != STREAM_NEW &&
        !(state(s) == STREAM_OPEN && s->paused)) {
        peer_ended(s);
    }
}

static void mem_start(struct stream *stream)
{
    struct side *s = side_of(stream);

    if (state(s) == STREAM_NEW) {
        sm_move(&s->sm, STREAM_OPEN);
        loop_at_start(stream->loop, &s->deliver);
        loop_at_end(stream->loop, LOOP_STAGE_STREAM, &s->flush);
    }
}

static void mem_pause(struct stream *stream)
{
    side_of(stream)->paused = true;
}

static void mem_resume(struct stream *stream)
{
    struct side *s = side_of(stream);

    s->paused = false;
    if (state(s) == STREAM_OPEN && (s->inbox.bytes > 0 || s->end_arrived)) {
        loop_at_start(stream->loop, &s->deliver);
    }
}

static void mem_close(struct stream *stream)
{
    struct side *s = side_of(stream);

    if (state(s) == STREAM_NEW || state(s) == STREAM_OPEN) {
        begin_close(s, EA_OK);
    }
}

static void mem_abort(struct stream *stream)
{
    die(side_of(stream), EA_OK, true);
}

static size_t mem_peer(const struct stream *stream, char *out, size_t cap)
{
    int n = snprintf(out, cap, "memory");

    return (size_t)n < cap ? (size_t)n : cap - 1;
}

static const struct stream_ops mem_ops = {
    .start = mem_start,
    .reserve = mem_reserve,
    .commit = mem_commit,
    .backlog = mem_backlog,
    .flush_later = mem_flush_later,
    .pause = mem_pause,
    .resume = mem_resume,
    .close = mem_close,
    .abort = mem_abort,
    .peer = mem_peer,
    .alpn = NULL,
    .expect_drain = mem_expect_drain,
    .tls = false,
};

static void side_init(struct side *s, struct loop *loop, struct pair *pair, struct side *other)
{
    s->stream = (struct stream){.ops = &mem_ops, .loop = loop};
    s->pair = pair;
    s->other = other;
    s->flush.run = run_flush;
    s->deliver.run = run_deliver;
    s->gone.run = run_gone;
    s->timer.fire = on_time_is_up;
    sm_init(&s->sm, stream_states, STREAM_STATES, STREAM_NEW);
}

void memstream_pair(struct loop *loop, const struct memstream_options *options, struct stream **a,
                    struct stream **b)
{
    struct pair *pair = mem_zalloc(sizeof *pair);

    if (options != NULL) {
        pair->options = *options;
    }
    pair->living = 2;
    side_init(&pair->sides[0], loop, pair, &pair->sides[1]);
    side_init(&pair->sides[1], loop, pair, &pair->sides[0]);
    *a = &pair->sides[0].stream;
    *b = &pair->sides[1].stream;
}
