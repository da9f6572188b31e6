#!/usr/bin/python3
"""libelection without C, by ctypes: elected.py NAME [REDIS_URL,...]. Ctrl-C moves leadership at once."""
import ctypes as c
import signal
import sys

lib = c.CDLL("libelection.so.0")
START = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_void_p)
TIMEOUT = 4  # ELECTION_TIMEOUT


class Config(c.Structure):  # struct election_config of election.h
    _fields_ = [("size", c.c_size_t), ("project", c.c_char_p), ("node_id", c.c_char_p), ("node_priority", c.c_int32), ("strategy", c.c_int),
                ("redis_urls", c.c_char_p), ("redis_mode", c.c_int), ("redis_layout", c.c_int), ("redis_prefix", c.c_char_p),
                ("redis_allow_eviction", c.c_bool), *[("redis_tls_" + name, c.c_char_p) for name in ("ca", "cert", "key", "server_name")],
                ("agent", c.c_char_p), *[(name + "_ms", c.c_int64) for name in (
                    "lease_ttl", "max_drift", "tick_interval", "fail_back_delay", "min_tenure", "close_timeout")],
                ("loop", c.c_int), ("on_start", START), ("on_stop", c.c_void_p), ("on_change", c.c_void_p), ("logger", c.c_void_p),
                ("log_level", c.c_int), ("user", c.c_void_p)]


@START
def lead(_, context):
    context = c.c_void_p(context)
    print("leading with token", token(context), flush=True)
    while lib.election_context_wait(context, c.c_int64(1000)) == TIMEOUT:
        pass  # work, in steps much shorter than the lease; what it raises must be caught, and 1 returned
    print("leading no more", flush=True)
    return 0


token = lib.election_context_token
token.restype = c.c_uint64
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
config = Config(size=c.sizeof(Config), project=b"python", node_id=sys.argv[1].encode(), on_start=lead,
                redis_urls=(sys.argv[2] if len(sys.argv) > 2 else "redis://127.0.0.1:6379").encode())
election, words = c.c_void_p(), c.create_string_buffer(256)
if lib.election_run(c.byref(election), c.byref(config), words, c.c_size_t(len(words))) != 0:
    sys.exit(words.value.decode())
signal.sigwait({signal.SIGINT, signal.SIGTERM})
sys.exit(lib.election_free(election))
