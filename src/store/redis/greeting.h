/*
 * What is said on a new connection before it is used: who we are, who the server is, and that the last
 * connection is dead. Commands and replies only; conn.c moves them.
 */
#ifndef EA_STORE_REDIS_GREETING_H
#define EA_STORE_REDIS_GREETING_H

#include "store/redis/conn.h"

/* Each writes commands and returns how many replies they have. */
unsigned greeting_write_hello(const struct redis_conn *conn, struct buf *out);
unsigned greeting_write_preparation(const struct redis_conn *conn, struct buf *out);
unsigned greeting_write_scripts(enum redis_edition edition, struct buf *out);

/* A reply, `left` more follow. An error says what is wrong with the server, and the connection is of no use. */
enum err greeting_take_fact(struct redis_conn *conn, unsigned left, const struct resp_value *value,
                            struct error *error) EA_MUST_CHECK;
enum err greeting_take_preparation(struct redis_conn *conn, unsigned left, const struct resp_value *value,
                                   struct error *error) EA_MUST_CHECK;

/* Asks whether the server still is what it said; one reply. */
void greeting_write_recheck(struct buf *out);
/* Whether it is. What is no answer changes nothing. */
bool greeting_is_same(const struct redis_conn *conn, const struct resp_value *value);

#endif
