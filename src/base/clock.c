#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define US_PER_S  INT64_C(1000000)
#define NS_PER_US 1000
#define S_PER_DAY INT64_C(86400)
#define FAKE_MONO US_PER_S
#define FAKE_WALL (INT64_C(1767225600) * US_PER_S) /* 2026-01-01T00:00:00Z */

static int64_t read_us(clockid_t id)
{
    struct timespec t;
    if (clock_gettime(id, &t) != 0) {
        /* Without a clock nothing here can be decided; a made-up time could elect two leaders. */
        fputs("the machine's clock cannot be read\n", stderr);
        abort();
    }
    return (int64_t)t.tv_sec * US_PER_S + t.tv_nsec / NS_PER_US;
}

static struct mono system_mono(void *arg)
{
    (void)arg;
    return (struct mono){read_us(CLOCK_BOOTTIME)};
}

static struct wall system_wall(void *arg)
{
    (void)arg;
    return (struct wall){read_us(CLOCK_REALTIME)};
}

const struct clock clock_system = {.mono = system_mono, .wall = system_wall, .arg = NULL};

static struct mono fake_mono(void *arg)
{
    const struct clock_fake *fake = arg;
    return fake->mono;
}

static struct wall fake_wall(void *arg)
{
    const struct clock_fake *fake = arg;
    return fake->wall;
}

void clock_fake_init(struct clock_fake *fake)
{
    fake->clock = (struct clock){.mono = fake_mono, .wall = fake_wall, .arg = fake};
    fake->mono = (struct mono){FAKE_MONO};
    fake->wall = (struct wall){FAKE_WALL};
}

void clock_fake_advance_us(struct clock_fake *fake, int64_t us)
{
    fake->mono.us += us;
    fake->wall.us += us;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static void put_digits(char *out, int digits, int64_t value)
{
    while (digits-- > 0) {
        out[digits] = (char)('0' + value % 10);
        value /= 10;
    }
}

/*
 * By hand, since gmtime_r() takes a lock and strftime() a locale, and every log line comes here. Days to a
 * civil date: years begin in March, so that the leap day is the last one; eras are 400 years = 146097 days.
 */
void wall_format(struct wall t, char out[WALL_TEXT_BYTES])
{
    /* The form has four digits for the year. */
    const int64_t least = -62135596800 * US_PER_S;    /* 0001-01-01 */
    const int64_t most = 253402300800 * US_PER_S - 1; /* the end of 9999 */
    int64_t us = t.us < least ? least : t.us > most ? most : t.us;
    int64_t seconds = floor_div(us, US_PER_S);
    int64_t days = floor_div(seconds, S_PER_DAY);
    int64_t in_day = seconds - days * S_PER_DAY;

    int64_t z = days + 719468; /* since 0000-03-01 */
    int64_t era = floor_div(z, 146097);
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t march_month = (5 * day_of_year + 2) / 153;
    int64_t day = day_of_year - (153 * march_month + 2) / 5 + 1;
    int64_t month = march_month < 10 ? march_month + 3 : march_month - 9;
    int64_t year = year_of_era + era * 400 + (month <= 2);

    memcpy(out, "0000-00-00T00:00:00.000Z", 25);
    put_digits(out, 4, year);
    put_digits(out + 5, 2, month);
    put_digits(out + 8, 2, day);
    put_digits(out + 11, 2, in_day / 3600);
    put_digits(out + 14, 2, in_day / 60 % 60);
    put_digits(out + 17, 2, in_day % 60);
    put_digits(out + 20, 3, (us - seconds * US_PER_S) / 1000);
}
