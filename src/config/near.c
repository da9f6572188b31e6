#include "config/near.h"

#include <stddef.h>

static char fold(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return (char)(c - 'A' + 'a');
    }
    return c == '-' ? '_' : c;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned near_distance(struct str a, struct str b, unsigned limit)
{
    size_t difference = a.n > b.n ? a.n - b.n : b.n - a.n;
    if (a.n > NEAR_BYTES_MAX || b.n > NEAR_BYTES_MAX || difference > limit) {
        return limit + 1;
    }
    /* Three rows of the matrix are enough: a swap looks two rows back. */
    unsigned rows[3][NEAR_BYTES_MAX + 1] = {{0}};
    unsigned *before = rows[0];
    unsigned *above = rows[1];
    unsigned *row = rows[2];
    for (size_t j = 0; j <= b.n; j++) {
        above[j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a.n; i++) {
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.n; j++) {
            char x = fold(a.p[i - 1]);
            char y = fold(b.p[j - 1]);
            unsigned d = least(above[j] + 1, row[j - 1] + 1);
            d = least(d, above[j - 1] + (x != y ? 1 : 0));
            if (i > 1 && j > 1 && x == fold(b.p[j - 2]) && y == fold(a.p[i - 2])) {
                d = least(d, before[j - 2] + 1);
            }
            row[j] = d;
        }
        unsigned *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[b.n] > limit ? limit + 1 : above[b.n];
}

void near_try(struct near *near, const char *word)
{
    /* One slip in three letters, at most three: more would suggest words that have nothing in common. */
    unsigned limit = near->wanted.n >= 9 ? 3 : (unsigned)near->wanted.n / 3;
    if (near->word != NULL) {
        if (near->distance == 0) {
            return;
        }
        limit = near->distance - 1;
    }
    unsigned distance = near_distance(near->wanted, str_of(word), limit);
    if (distance <= limit) {
        near->word = word;
        near->distance = distance;
    }
}
