/* The head of an HTTP/1.1 answer, as bytes. Deciding code. */
#ifndef EA_HTTP_H1_ANSWER_H
#define EA_HTTP_H1_ANSWER_H

#include "http/exchange.h"

enum h1_framing {
    H1_BY_LENGTH, /* content-length */
    H1_BY_CHUNKS, /* transfer-encoding: chunked */
    H1_BY_CLOSE   /* until the connection is closed (HTTP/1.0) */
};

struct h1_answer {
    int status;
    enum h1_framing framing;
    uint64_t length;
    const struct http_field *fields;
    size_t n_fields;
    struct str date;
    bool close;      /* says that this is the connection's last answer */
    bool keep_alive; /* says that it is not, to a client of HTTP/1.0 that asked */
};

/* How many bytes h1_answer_write() needs at most. */
size_t h1_answer_room(const struct h1_answer *answer);

/* Returns how many it wrote. */
size_t h1_answer_write(const struct h1_answer *answer, char *out);

/* Whether an answer with this status has a body at all (RFC 9112, 6.3). */
bool h1_answer_has_body(int status);

/* "Not Found"; empty for a status that has no registered name. */
struct str h1_reason(int status);

#endif
