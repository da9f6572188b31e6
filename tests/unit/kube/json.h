/* JSON in tests, written with ' for ". */
#ifndef EA_TESTS_KUBE_JSON_H
#define EA_TESTS_KUBE_JSON_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>

/* Fails the test if it is none. */
json_t *test_json(const char *text);

#endif
