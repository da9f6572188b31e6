/*
 * What the database file says, in bytes: keys, values, and the stream in which the reader process hands them
 * over. Deciding code: bytes in, facts out. Every byte may be hostile; what is not exactly as written here is
 * refused.
 *
 *   key of a lease      kind, 0x00, election                  no kind or election contains 0x00
 *   value of a lease    version, leader's length, 2 x 0, term (4), token (8), elected at (8), leader, check
 * (8) key of the header   0x00 "header"                         before all others value of the header
 * version, flags, 2 x 0, longest term (4), ceiling (8), boot id (36), check (8) frame of the stream key
 * length (2), value length (2), key, value end of the stream   0 (2), 8 (2), number of leases (8)
 *
 * Numbers are little-endian; check is XXH64 over key and value before it.
 */
#ifndef EA_STORE_EMBEDDED_RECORD_H
#define EA_STORE_EMBEDDED_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"
#include "core/book.h"
#include "core/names.h"

#define RECORD_KEY_BYTES_MAX   (KIND_BYTES_MAX + 1 + NAME_BYTES_MAX)
#define RECORD_VALUE_BYTES_MAX (24 + NAME_BYTES_MAX + 8)
#define BOOT_ID_BYTES          36
#define HEADER_VALUE_BYTES     (16 + BOOT_ID_BYTES + 8)

/* What is known of all leases together. */
struct database_header {
    uint64_t ceiling;            /* no token above it has been given out */
    int32_t longest_ms;          /* no running lease has a longer term */
    bool clean;                  /* closed in order: everything ever answered is in the file, on the disk */
    bool power;                  /* every commit was on the disk before its answer */
    char boot_id[BOOT_ID_BYTES]; /* zeros if the kernel has none */
};

extern const struct str header_key;

/* Writes a lease's key and returns its length. */
size_t record_key(struct str kind, struct str election, char out[RECORD_KEY_BYTES_MAX]);

/* Writes a lease's value and returns its length; `key` is record_key()'s. */
size_t record_value(const struct book_record *record, struct str key, char out[RECORD_VALUE_BYTES_MAX]);

/* The record's slices point into key and value. EA_CORRUPT. */
enum err record_read(struct str key, struct str value, struct book_record *out,
                     struct error *error) EA_MUST_CHECK;

/* Splits a lease's key; false if it is none. */
bool record_split(struct str key, struct str *kind, struct str *election);

/* The header as it stands in the database, and back: EA_CORRUPT, with what is wrong with it. */
void header_value(const struct database_header *header, char out[HEADER_VALUE_BYTES]);
enum err header_read(struct str value, struct database_header *out, struct error *error) EA_MUST_CHECK;

/*
 * The receiving end of the stream: fed with bytes as they come, it calls back for the header, then for each
 * lease, in ascending order of keys, each checked against the header too.
 */
struct record_stream {
    void (*header)(void *arg, const struct database_header *header);
    void (*lease)(void *arg, struct str key, struct str value, const struct book_record *record);
    void *arg;
    struct buf bytes; /* an incomplete frame */
    size_t at;
    bool has_header;
    bool ended;
    struct database_header known;
    uint64_t leases;
    size_t last_bytes;
    char last[RECORD_KEY_BYTES_MAX];
};

/* Zero the struct and set the callbacks before. EA_CORRUPT. */
enum err record_stream_feed(struct record_stream *stream, const void *p, size_t n,
                            struct error *error) EA_MUST_CHECK;

/* No more bytes will come: EA_CORRUPT unless the stream was whole. */
enum err record_stream_end(const struct record_stream *stream, struct error *error) EA_MUST_CHECK;
void record_stream_fini(struct record_stream *stream);

/* The sending end. */
void record_stream_add(struct buf *out, struct str key, struct str value);
void record_stream_add_end(struct buf *out, uint64_t leases);

#endif
