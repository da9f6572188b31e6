/* libuv is linked into the library, out of everybody's sight, and takes its memory where the rooms take theirs: it
 * ends the program when it gets none, which a pool that was reserved before prevents. */
#ifndef EA_CLIENT_ENGINE_UV_H
#define EA_CLIENT_ENGINE_UV_H

void engine_own_libuv(void); /* before its first use; any thread, any number of times */

#endif
