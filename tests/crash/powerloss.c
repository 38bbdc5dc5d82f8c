/*
 * A disk that loses power, as an LD_PRELOAD library.
 *
 * The process works on the tree POWER_LIVE. Beside it the tree POWER_DISK is kept as a disk would hold it if the power
 * went now:
 *   - octets get there by fsync and fdatasync of their file, and by sync_file_range within the length that is durable
 *     already (its man page promises no more);
 *   - names get there by fsync of their directory, also those that are gone or renamed;
 *   - POWER_EARLY percent of all writes have a page or a few written back early, as the kernel may do at any time.
 * Kill the process and open POWER_DISK: that is the power cut.
 *
 * Durable contents are kept by inode in POWER_DISK.inodes and hard-linked to their names. A directory is taken to be
 * durable with its first entry. What the drive itself may hold back is not modelled.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define PAGE 4096

struct range {
    off_t from, to;
};

/* A file under POWER_LIVE: what of it is written and not durable. */
struct file {
    ino_t inode;
    off_t low; /* the least length it had since it was durable */
    struct range *dirty;
    size_t count, room;
    struct file *next;
};

static struct file *files[4096];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static __thread int is_inside; /* our own calls are not looked at */
static char live[PATH_MAX], disk[PATH_MAX];

static unsigned early, chance;

__attribute__((constructor)) static void begin(void)
{
    const char *from = getenv("POWER_LIVE"), *to = getenv("POWER_DISK"), *percent = getenv("POWER_EARLY");
    if (!from || !to || !realpath(from, live) || !realpath(to, disk))
        live[0] = 0;
    early = percent ? (unsigned)atoi(percent) : 0;
    chance = (unsigned)getpid() * 2654435761u;
}

static int enter(void)
{
    if (!live[0] || is_inside)
        return 0;
    is_inside = 1;
    pthread_mutex_lock(&mutex);
    return 1;
}

static void leave(void)
{
    pthread_mutex_unlock(&mutex);
    is_inside = 0;
}

static void inode_path(char *path, ino_t inode)
{
    snprintf(path, PATH_MAX, "%s.inodes/%ju", disk, (uintmax_t)inode);
}

/* The place on the disk of a path under POWER_LIVE. */
static int disk_path(char *path, const char *of)
{
    size_t length = strlen(live);
    if (strncmp(of, live, length) != 0 || (of[length] != 0 && of[length] != '/'))
        return 0;
    return snprintf(path, PATH_MAX, "%s%s", disk, of + length) < PATH_MAX;
}

static int path_of(int fd, char *path)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    return 1;
}

static struct file *find(ino_t inode)
{
    struct file *file = files[inode % 4096];
    while (file && file->inode != inode)
        file = file->next;
    return file;
}

static void forget(ino_t inode)
{
    char path[PATH_MAX];
    inode_path(path, inode);
    REAL(unlink)(path);
    for (struct file **at = &files[inode % 4096]; *at; at = &(*at)->next) {
        if ((*at)->inode == inode) {
            struct file *gone = *at;
            *at = gone->next;
            free(gone->dirty);
            free(gone);
            return;
        }
    }
}

static int open_durable(ino_t inode)
{
    char path[PATH_MAX];
    inode_path(path, inode);
    return REAL(open64)(path, O_RDWR | O_CREAT, 0644);
}

static void opened(int fd)
{
    struct stat status, durable;
    char path[PATH_MAX], there[PATH_MAX], kept[PATH_MAX];
    if (fd < 0 || !enter())
        return;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && path_of(fd, path) && disk_path(there, path)) {
        struct file *file = find(status.st_ino);
        if (!file) {
            inode_path(kept, status.st_ino);
            if (link(there, kept) != 0)
                close(open_durable(status.st_ino));
            file = calloc(1, sizeof *file);
            file->inode = status.st_ino;
            file->low = stat(kept, &durable) == 0 ? durable.st_size : 0;
            file->next = files[status.st_ino % 4096];
            files[status.st_ino % 4096] = file;
        }
        if (status.st_size < file->low) /* O_TRUNC */
            file->low = status.st_size;
    }
    leave();
}

static void copy(int from, int to, off_t at, off_t end)
{
    static char piece[1 << 18];
    while (at < end) {
        size_t want = (size_t)(end - at) < sizeof piece ? (size_t)(end - at) : sizeof piece;
        ssize_t got = pread(from, piece, want, at);
        if (got <= 0 || REAL(pwrite64)(to, piece, (size_t)got, at) != got)
            return;
        at += got;
    }
}

/* A descriptor to read from: the process's own may be for writing only. */
static int readable(int fd)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return REAL(open64)(link, O_RDONLY);
}

static void wrote(int fd, off_t from, ssize_t octets)
{
    struct stat status;
    if (octets <= 0 || !enter())
        return;
    struct file *file = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) ? find(status.st_ino) : NULL;
    if (file) {
        struct range *last = file->count ? &file->dirty[file->count - 1] : NULL;
        if (last && last->to == from) {
            last->to = from + octets;
        } else {
            if (file->count == file->room) {
                file->room = file->room ? file->room * 2 : 16;
                file->dirty = realloc(file->dirty, file->room * sizeof *file->dirty);
            }
            file->dirty[file->count++] = (struct range){from, from + octets};
        }
        if ((unsigned)(rand_r(&chance) % 100) < early) {
            off_t page = (from + rand_r(&chance) % octets) / PAGE * PAGE;
            off_t end = page + PAGE * (1 + rand_r(&chance) % 4);
            int source = readable(fd), target = open_durable(file->inode);
            copy(source, target, page < from ? from : page, end > from + octets ? from + octets : end);
            close(source);
            close(target);
        }
    }
    leave();
}

static void sync_file(int fd, const struct stat *status, off_t from, off_t to, int is_whole)
{
    struct file *file = find(status->st_ino);
    struct stat durable;
    if (!file)
        return;
    int source = readable(fd), target = open_durable(file->inode);
    if (is_whole && fstat(target, &durable) == 0 && file->low < durable.st_size)
        REAL(ftruncate64)(target, file->low);
    off_t limit = is_whole || fstat(target, &durable) != 0 ? to : durable.st_size;
    for (size_t at = 0; at < file->count; at++) {
        struct range range = file->dirty[at];
        off_t begin = range.from > from ? range.from : from, end = range.to;
        end = end < to ? end : to;
        copy(source, target, begin, end < limit ? end : limit);
    }
    if (is_whole) {
        REAL(ftruncate64)(target, status->st_size);
        file->low = status->st_size;
        file->count = 0;
    }
    close(source);
    close(target);
}

static void make_parents(const char *path)
{
    char part[PATH_MAX];
    snprintf(part, sizeof part, "%s", path);
    for (char *at = part + 1; *at; at++) {
        if (*at == '/') {
            *at = 0;
            REAL(mkdir)(part, 0755);
            *at = '/';
        }
    }
    REAL(mkdir)(part, 0755);
}

/* The names on the disk become those that are there now. */
static void sync_names(const char *folder, const char *there)
{
    char from[PATH_MAX + NAME_MAX + 2], to[PATH_MAX + NAME_MAX + 2], kept[PATH_MAX], fresh[PATH_MAX + 16];
    struct stat status, durable;
    struct dirent *entry;
    make_parents(there);
    DIR *names = opendir(there);
    while (names && (entry = readdir(names))) {
        snprintf(from, sizeof from, "%s/%s", folder, entry->d_name);
        snprintf(to, sizeof to, "%s/%s", there, entry->d_name);
        if (entry->d_type == DT_REG && (lstat(from, &status) != 0 || !S_ISREG(status.st_mode)))
            REAL(unlink)(to);
    }
    if (names)
        closedir(names);
    names = opendir(folder);
    while (names && (entry = readdir(names))) {
        snprintf(from, sizeof from, "%s/%s", folder, entry->d_name);
        snprintf(to, sizeof to, "%s/%s", there, entry->d_name);
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
            REAL(mkdir)(to, 0755);
        if (entry->d_type != DT_REG || lstat(from, &status) != 0 || !find(status.st_ino))
            continue;
        inode_path(kept, status.st_ino);
        if (stat(kept, &durable) == 0 && stat(to, &status) == 0 && durable.st_ino == status.st_ino)
            continue;
        /* In one step: the process may be killed in between. */
        snprintf(fresh, sizeof fresh, "%s.inodes/new", disk);
        REAL(unlink)(fresh);
        if (link(kept, fresh) != 0 || REAL(rename)(fresh, to) != 0)
            fprintf(stderr, "powerloss: %s is not linked\n", to);
    }
    if (names)
        closedir(names);
}

static void synced(int fd)
{
    struct stat status;
    char path[PATH_MAX], there[PATH_MAX];
    if (!enter())
        return;
    if (fstat(fd, &status) == 0 && path_of(fd, path)) {
        if (S_ISREG(status.st_mode))
            sync_file(fd, &status, 0, INT64_MAX, 1);
        else if (S_ISDIR(status.st_mode) && disk_path(there, path))
            sync_names(path, there);
    }
    leave();
}

static void shortened(int fd, off_t length)
{
    struct stat status;
    if (!enter())
        return;
    struct file *file = fstat(fd, &status) == 0 ? find(status.st_ino) : NULL;
    if (file && length < file->low)
        file->low = length;
    leave();
}

/* The file that a path names, if it is one of ours and has no other name. */
static ino_t inode_at(int folder, const char *path)
{
    struct stat status;
    if (fstatat(folder, path, &status, AT_SYMLINK_NOFOLLOW) != 0 || status.st_nlink != 1)
        return 0;
    return find(status.st_ino) ? status.st_ino : 0;
}

/* Removals are done with the mutex held: a new file may get the inode at once. */
#define REMOVE(inode, call)                                                                                            \
    int is_ours = enter();                                                                                             \
    ino_t covered = is_ours ? inode : 0;                                                                               \
    int failed = call;                                                                                                 \
    if (!failed && covered)                                                                                            \
        forget(covered);                                                                                               \
    if (is_ours)                                                                                                       \
        leave();                                                                                                       \
    return failed;

#define OPEN(name, decl, ...)                                                                                          \
    int name decl                                                                                                      \
    {                                                                                                                  \
        mode_t mode = 0;                                                                                               \
        if (flags & (O_CREAT | __O_TMPFILE)) {                                                                         \
            va_list rest;                                                                                              \
            va_start(rest, flags);                                                                                     \
            mode = va_arg(rest, mode_t);                                                                               \
            va_end(rest);                                                                                              \
        }                                                                                                              \
        int fd = REAL(name)(__VA_ARGS__, flags, mode);                                                                 \
        opened(fd);                                                                                                    \
        return fd;                                                                                                     \
    }
OPEN(open, (const char *path, int flags, ...), path)
OPEN(open64, (const char *path, int flags, ...), path)
OPEN(openat, (int folder, const char *path, int flags, ...), folder, path)
OPEN(openat64, (int folder, const char *path, int flags, ...), folder, path)

ssize_t write(int fd, const void *octets, size_t count)
{
    ssize_t done = REAL(write)(fd, octets, count);
    off_t end = done > 0 && live[0] && !is_inside ? lseek(fd, 0, SEEK_CUR) : -1;
    if (end >= done)
        wrote(fd, end - done, done);
    return done;
}

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    ssize_t done = REAL(writev)(fd, pieces, count);
    off_t end = done > 0 && live[0] && !is_inside ? lseek(fd, 0, SEEK_CUR) : -1;
    if (end >= done)
        wrote(fd, end - done, done);
    return done;
}

ssize_t pwrite(int fd, const void *octets, size_t count, off_t at)
{
    ssize_t done = REAL(pwrite)(fd, octets, count, at);
    wrote(fd, at, done);
    return done;
}

ssize_t pwrite64(int fd, const void *octets, size_t count, off64_t at)
{
    ssize_t done = REAL(pwrite64)(fd, octets, count, at);
    wrote(fd, at, done);
    return done;
}

int fsync(int fd)
{
    int failed = REAL(fsync)(fd);
    if (!failed)
        synced(fd);
    return failed;
}

int fdatasync(int fd)
{
    int failed = REAL(fdatasync)(fd);
    if (!failed)
        synced(fd);
    return failed;
}

int sync_file_range(int fd, off64_t from, off64_t octets, unsigned flags)
{
    struct stat status;
    int failed = REAL(sync_file_range)(fd, from, octets, flags);
    if (!failed && enter()) {
        if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
            sync_file(fd, &status, from, octets ? from + octets : INT64_MAX, 0);
        leave();
    }
    return failed;
}

int ftruncate(int fd, off_t length)
{
    int failed = REAL(ftruncate)(fd, length);
    if (!failed)
        shortened(fd, length);
    return failed;
}

int ftruncate64(int fd, off64_t length)
{
    int failed = REAL(ftruncate64)(fd, length);
    if (!failed)
        shortened(fd, length);
    return failed;
}

int unlink(const char *path)
{
    REMOVE(inode_at(AT_FDCWD, path), REAL(unlink)(path))
}

int unlinkat(int folder, const char *path, int flags)
{
    REMOVE(inode_at(folder, path), REAL(unlinkat)(folder, path, flags))
}

int rename(const char *from, const char *to)
{
    REMOVE(inode_at(AT_FDCWD, to), REAL(rename)(from, to))
}
