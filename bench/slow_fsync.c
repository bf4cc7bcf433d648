/* Loaded before libc (LD_PRELOAD), makes each fsync take 5 ms longer: the disk of a small virtual machine. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

static void dawdle(void)
{
    struct timespec five_ms = {0, 5 * 1000 * 1000};
    nanosleep(&five_ms, 0);
}

int fsync(int fd)
{
    static int (*real)(int);
    if (!real)
        real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    dawdle();
    return real(fd);
}

int fdatasync(int fd)
{
    static int (*real)(int);
    if (!real)
        real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    dawdle();
    return real(fd);
}
