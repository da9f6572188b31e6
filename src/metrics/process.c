#include "metrics/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static int64_t timeval_us(struct timeval t)
{
    return (int64_t)t.tv_sec * 1000000 + t.tv_usec;
}

/* The second number of /proc/self/statm, in pages. */
static int64_t read_resident_bytes(void)
{
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) {
        return -1;
    }
    text[n] = '\0';
    char *end;
    (void)strtoll(text, &end, 10);
    char *resident = end;
    long long pages = strtoll(resident, &end, 10);
    return end != resident ? (int64_t)pages * sysconf(_SC_PAGESIZE) : -1;
}

int64_t process_list_fds(const char *directory)
{
    DIR *dir = opendir(directory);
    if (dir == NULL) {
        return -1;
    }
    int64_t n = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        n += entry->d_name[0] != '.';
    }
    closedir(dir);
    return n - 1;
}

static int64_t count_open_fds(void)
{
    /* Since Linux 6.2 the directory's size is their number: no list of 100000 connections at every scrape. */
    struct stat st;
    if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0) {
        return st.st_size;
    }
    return process_list_fds("/proc/self/fd");
}

void process_read(struct process_facts *out)
{
    struct rusage usage;
    struct rlimit limit;
    out->cpu_us =
        getrusage(RUSAGE_SELF, &usage) == 0 ? timeval_us(usage.ru_utime) + timeval_us(usage.ru_stime) : 0;
    out->resident_bytes = read_resident_bytes();
    out->open_fds = count_open_fds();
    out->max_fds = -1;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        out->max_fds = limit.rlim_cur == RLIM_INFINITY ? INT64_MAX : (int64_t)limit.rlim_cur;
    }
}
